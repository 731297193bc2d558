"""What people look at in a run: ``log.jsonl``, TensorBoard events, sample grids."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from torch.utils.tensorboard import SummaryWriter

from radcommons.files import put_whole, write_whole


class RunLog:
    """Appends to a run's logs; a resumed run drops the entries after its checkpoint."""

    def __init__(self, run: Path, images_seen: int) -> None:
        self._path = run / "log.jsonl"
        self._samples = run / "samples"
        kept = [e for e in read_log(run) if e["images_seen"] <= images_seen]
        write_whole(self._path, "".join(json.dumps(e) + "\n" for e in kept))
        self._board = SummaryWriter(str(run / "tensorboard"), purge_step=images_seen)

    def numbers(self, entry: dict[str, Any]) -> None:
        """One log line; `entry` has "images_seen" and numbers by name."""
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")
        for name, value in entry.items():
            if name != "images_seen" and isinstance(value, (int, float)):
                self._board.add_scalar(name, value, entry["images_seen"])

    def samples(self, sheet: Image.Image, images_seen: int, resolution: int) -> None:
        """A sample grid as PNG and as a TensorBoard image."""
        self._samples.mkdir(exist_ok=True)
        path = self._samples / f"{images_seen:09d}-{resolution:04d}.png"
        put_whole(path, sheet.save)
        self._board.add_image("samples", np.asarray(sheet)[None], images_seen)

    def close(self) -> None:
        """Flush TensorBoard."""
        self._board.close()


def read_log(run: Path) -> list[dict[str, Any]]:
    """The entries of ``log.jsonl``, whole lines only; empty if there is none."""
    path = run / "log.jsonl"
    if not path.is_file():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.endswith("}")]
