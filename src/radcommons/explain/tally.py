"""Sums over pseudo-patients that survive a kill: the same command goes on after the last ones saved."""

import time
from dataclasses import dataclass, field
from typing import Self

import numpy as np

from radcommons.metrics.moments import Moments
from radcommons.resume import Kept

SAVE_EVERY = 20.0  # seconds
SUMS = "sums"


@dataclass
class Tally:
    """What has been added up so far.

    Attributes:
        kept: where it is kept; nowhere where None.
        moments: of images (k, R, R): the healthy one, then a difference a set of findings; None before the first.
        rms: of every pseudo-patient so far, (sets, 3, n).
    """

    kept: Kept | None
    moments: Moments | None = None
    rms: list[np.ndarray] = field(default_factory=list)
    _saved: float = field(default_factory=time.monotonic)

    @classmethod
    def begin(cls, kept: Kept | None) -> Self:
        """Go on with what a killed command left, or begin."""
        tally = cls(kept)
        sums = kept.get(SUMS) if kept is not None else None
        if sums is not None:
            tally.moments = Moments(int(sums["count"]), sums["mean"], sums["squares"])
            tally.rms = [sums["rms"]]
        return tally

    @property
    def done(self) -> int:
        """Pseudo-patients added."""
        return 0 if self.moments is None else self.moments.count

    def add(self, moments: Moments, rms: np.ndarray) -> None:
        """Add the next pseudo-patients; saves now and then."""
        self.moments = moments if self.moments is None else self.moments.join(moments)
        self.rms.append(rms)
        if self.kept is not None and time.monotonic() - self._saved > SAVE_EVERY:
            self.save()

    def save(self) -> None:
        """Write all of it, whole or not at all."""
        m = self.moments
        if self.kept is None or m is None:
            return
        rms = np.concatenate(self.rms, -1)
        self.kept.put(SUMS, count=np.array(m.count), mean=m.mean, squares=m.squares, rms=rms)
        self._saved = time.monotonic()
