"""One root seed, many named streams of random numbers, no global state.

A stream is a pure function of (root seed, names). So the only state of a long job is its position (a step, an image's
index): after resuming at the same position, every later random number is the same.
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

    Draw on the CPU and move the numbers to the device, so that every device gets the same numbers.
    """
    import torch  # not at the top: processes that only read images would wait for it

    return torch.Generator().manual_seed(derive(seed, *names))
