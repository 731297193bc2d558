"""What people look at in a run: ``log.jsonl``, TensorBoard events, sample grids, and the page of them."""

import json
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from PIL import Image
from torch.utils.tensorboard import SummaryWriter

from radcommons.files import put_whole, write_whole
from radcommons.runs.page import PAGE, About, State, TrainingPage


class RunLog:
    """Appends to a run's logs; a resumed run drops the entries after its checkpoint.

    As a context it also keeps the run's page, which says at its end whether the training is finished.

    Attributes:
        finished: to be set at the end of the training.
    """

    def __init__(self, run: Path, images_seen: int, about: About | None = None) -> None:
        self._path = run / "log.jsonl"
        self._samples = run / "samples"
        self._entries = [e for e in read_log(run) if e["images_seen"] <= images_seen]
        write_whole(self._path, "".join(json.dumps(e) + "\n" for e in self._entries))
        self._board = SummaryWriter(str(run / "tensorboard"), purge_step=images_seen)
        drawn = about is not None and images_seen >= about.total_images and (run / PAGE).exists()
        self._page = TrainingPage(run, about) if about is not None and not drawn else None
        self.finished = False

    def __enter__(self) -> Self:
        if self._page is not None:
            self._page.draw(self._entries, "running")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.close()
        if self._page is not None:
            ending: State = "finished" if self.finished else "stopped"
            self._page.draw(self._entries, "broken off" if isinstance(error, Exception) else ending, error)

    @property
    def page(self) -> Path | None:
        """The page's file; None if none is drawn."""
        return self._page.path if self._page is not None else None

    def numbers(self, entry: dict[str, Any]) -> None:
        """One log line; `entry` has "images_seen" and numbers by name."""
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")
        for name, value in entry.items():
            if name != "images_seen" and isinstance(value, (int, float)):
                self._board.add_scalar(name, value, entry["images_seen"])
        self._entries.append(entry)
        if self._page is not None:
            self._page.draw_if_due(self._entries)

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
