"""Running sums over latent vectors; after an interruption the same command continues from the last save."""

import time
from dataclasses import dataclass, field
from typing import Self

import numpy as np

from radcommons.metrics.moments import Moments
from radcommons.resume import Kept

SAVE_EVERY = 20.0  # seconds
SUMS = "sums"


@dataclass
class RunningSums:
    """The sums so far.

    Attributes:
        kept: where the sums are saved; None = nowhere.
        moments: of images (k, R, R): the healthy image, then one difference per set of findings; None before the first.
        rms: of every latent vector so far, (sets, 3, n).
    """

    kept: Kept | None
    moments: Moments | None = None
    rms: list[np.ndarray] = field(default_factory=list)
    _saved: float = field(default_factory=time.monotonic)

    @classmethod
    def begin(cls, kept: Kept | None) -> Self:
        """Continue from what an interrupted command saved, or start at zero."""
        sums = cls(kept)
        saved = kept.get(SUMS) if kept is not None else None
        if saved is not None:
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
        if self.kept is not None and time.monotonic() - self._saved > SAVE_EVERY:
            self.save()

    def save(self) -> None:
        """Save the sums, whole or not at all."""
        m = self.moments
        if self.kept is None or m is None:
            return
        rms = np.concatenate(self.rms, -1)
        self.kept.put(SUMS, count=np.array(m.count), mean=m.mean, squares=m.squares, rms=rms)
        self._saved = time.monotonic()
