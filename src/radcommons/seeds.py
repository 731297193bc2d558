"""One root seed, many named streams of random numbers, none of them global.

A stream is a pure function of (root seed, names). The state of a long job is therefore its position (a step, an
image's index) and nothing else: resuming restores the position and every later draw is the same.
"""

import hashlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch

Name = str | int


def derive(seed: int, *names: Name) -> int:
    """A 63-bit seed for the stream called `names` under a root `seed` (SHA-256 of both)."""
    text = "/".join([str(int(seed)), *(f"{type(name).__name__}:{name}" for name in names)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little") >> 1


def numpy_stream(seed: int, *names: Name) -> np.random.Generator:
    """A NumPy generator (Philox) for the stream called `names`."""
    return np.random.Generator(np.random.Philox(key=derive(seed, *names)))


def torch_stream(seed: int, *names: Name) -> "torch.Generator":
    """A CPU torch generator for the stream called `names`.

    Draws move to the device afterwards, so that every device sees the same numbers.
    """
    import torch  # here, because the processes that only read images need not wait for it

    return torch.Generator().manual_seed(derive(seed, *names))
