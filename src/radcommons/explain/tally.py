"""Sums over pseudo-patients that survive a kill: the same command goes on after the last ones saved."""

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import numpy as np

from radcommons.files import put_whole, read_arrays
from radcommons.metrics.moments import Moments

SAVE_EVERY = 20.0  # seconds


@dataclass
class Tally:
    """What has been added up so far.

    Attributes:
        path: where it is kept; nowhere where None.
        request: digest of what is added up; a file of another is not gone on with.
        moments: of images (k, R, R): the healthy one, then a difference a set of findings; None before the first.
        rms: of every pseudo-patient so far, (sets, 3, n).
    """

    path: Path | None
    request: str
    moments: Moments | None = None
    rms: list[np.ndarray] = field(default_factory=list)
    _saved: float = field(default_factory=time.monotonic)

    @classmethod
    def begin(cls, path: Path | None, request: str) -> Self:
        """Go on with what a killed command left, or begin."""
        tally = cls(path, request)
        kept = read_arrays(path) if path is not None else None
        if kept is not None and str(kept.get("request")) == request:
            tally.moments = Moments(int(kept["count"]), kept["mean"], kept["squares"])
            tally.rms = [kept["rms"]]
        return tally

    @property
    def done(self) -> int:
        """Pseudo-patients added."""
        return 0 if self.moments is None else self.moments.count

    def add(self, moments: Moments, rms: np.ndarray) -> None:
        """Add the next pseudo-patients; saves now and then."""
        self.moments = moments if self.moments is None else self.moments.join(moments)
        self.rms.append(rms)
        if self.path is not None and time.monotonic() - self._saved > SAVE_EVERY:
            self.save()

    def save(self) -> None:
        """Write all of it, whole or not at all."""
        if self.path is None or self.moments is None:
            return
        put_whole(self.path, self._write)
        self._saved = time.monotonic()

    def _write(self, path: Path) -> None:
        m = self.moments
        assert m is not None
        rms = np.concatenate(self.rms, -1)
        with path.open("wb") as file:
            np.savez(file, request=self.request, count=m.count, mean=m.mean, squares=m.squares, rms=rms)
