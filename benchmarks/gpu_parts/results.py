"""The result file of a part: whole after every row, so that a part that is ended leaves what it has found."""

import argparse
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch


@dataclass
class Results:
    """What a part has found so far, and how long it may go on.

    Attributes:
        path: the JSON file.
        seconds: the part's time limit; it is killed at its end.
    """

    path: Path
    seconds: float
    found: dict[str, Any] = field(default_factory=lambda: {"rows": []})
    started: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self._write()

    @property
    def left(self) -> float:
        """Seconds until the limit."""
        return self.seconds - (time.monotonic() - self.started)

    def add(self, row: Mapping[str, Any]) -> None:
        """Another row of the table."""
        self.found["rows"].append(rounded(row))
        print(self.found["rows"][-1], flush=True)
        self._write()

    def note(self, **values: Any) -> None:
        """Something that is no row."""
        self.found |= rounded(values)
        print(values, flush=True)
        self._write()

    def _write(self) -> None:
        new = self.path.with_suffix(".new")
        new.write_text(json.dumps(self.found, indent=1) + "\n", encoding="utf-8")
        new.replace(self.path)


def arguments(description: str | None) -> argparse.Namespace:
    """The options that every part is started with."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--out", type=Path, required=True, help="the folder of all results")
    parser.add_argument("--seconds", type=float, required=True, help="time limit of the part")
    parser.add_argument("--toy", action="store_true", help="tiny and on the CPU")
    parser.add_argument("--store", type=Path)
    parser.add_argument("--training-seconds", type=float, default=300.0)
    return parser.parse_args()


def rounded(value: Any) -> Any:
    """Four digits of every float, however deep."""
    if isinstance(value, Mapping):
        return {name: rounded(entry) for name, entry in value.items()}
    if isinstance(value, list):
        return [rounded(entry) for entry in value]
    return float(f"{value:.4g}") if isinstance(value, float) else value


def error_line(error: Exception) -> str:
    """An exception in one line: its class and the beginning of its message."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:300]}"


def wait(device: torch.device) -> None:
    """Until a GPU has done what it was told."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
