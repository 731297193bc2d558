"""Running sums over latent vectors; after an interruption the same command continues from the last save."""

import time

import numpy as np

from radcommons.metrics.moments import Moments
from radcommons.resume import Kept

SAVE_EVERY = 20.0  # seconds
SUMS = "sums"


class RunningSums:
    """The sums so far.

    Attributes:
        kept: where the sums are saved.
        moments: of images (k, R, R): the healthy image, then one difference per set of findings; None before the first.
        rms: of every latent vector so far, (sets, 3, n).
    """

    def __init__(self, kept: Kept) -> None:
        """Continue from what an interrupted command saved, or start at zero."""
        self.kept = kept
        self.moments: Moments | None = None
        self.rms: list[np.ndarray] = []
        self._saved = time.monotonic()
        if (saved := kept.get(SUMS)) is not None:
            self.moments = Moments(int(saved["count"]), saved["mean"], saved["squares"])
            self.rms = [saved["rms"]]

    @property
    def done(self) -> int:
        """Number of latent vectors added."""
        return 0 if self.moments is None else self.moments.count

    def add(self, moments: Moments, rms: np.ndarray) -> None:
        """Add the next latent vectors; saves every `SAVE_EVERY` seconds."""
        self.moments = moments if self.moments is None else self.moments.join(moments)
        self.rms.append(rms)
        if time.monotonic() - self._saved > SAVE_EVERY:
            self.save()

    def save(self) -> None:
        """Save the sums, whole or not at all."""
        m = self.moments
        assert m is not None
        rms = np.concatenate(self.rms, -1)
        self.kept.put(SUMS, count=np.array(m.count), mean=m.mean, squares=m.squares, rms=rms)
        self._saved = time.monotonic()
