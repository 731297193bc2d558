"""Running sums over latent vectors; after an interruption the same command continues from the last save."""

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import numpy as np

from radcommons.files import put_whole, read_arrays
from radcommons.metrics.moments import Moments

SAVE_EVERY = 20.0  # seconds


@dataclass
class RunningSums:
    """The sums so far.

    Attributes:
        path: file to save to; None = do not save.
        request: digest of what is summed; a file with another digest is ignored.
        moments: of images (k, R, R): the healthy image, then one difference per set of findings; None before the first.
        rms: of every latent vector so far, (sets, 3, n).
    """

    path: Path | None
    request: str
    moments: Moments | None = None
    rms: list[np.ndarray] = field(default_factory=list)
    _saved: float = field(default_factory=time.monotonic)

    @classmethod
    def begin(cls, path: Path | None, request: str) -> Self:
        """Continue from the file of an interrupted command, or start at zero."""
        sums = cls(path, request)
        saved = read_arrays(path) if path is not None else None
        if saved is not None and str(saved.get("request")) == request:
            sums.moments = Moments(int(saved["count"]), saved["mean"], saved["squares"])
            sums.rms = [saved["rms"]]
        return sums

    @property
    def done(self) -> int:
        """Number of latent vectors added."""
        return 0 if self.moments is None else self.moments.count

    def add(self, moments: Moments, rms: np.ndarray) -> None:
        """Add the next latent vectors; saves every `SAVE_EVERY` seconds."""
        self.moments = moments if self.moments is None else self.moments.join(moments)
        self.rms.append(rms)
        if self.path is not None and time.monotonic() - self._saved > SAVE_EVERY:
            self.save()

    def save(self) -> None:
        """Write the file, whole or not at all."""
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
