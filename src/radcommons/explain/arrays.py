"""Arrays in an .npz file that a kill may have left damaged."""

import zipfile
import zlib
from pathlib import Path

import numpy as np

UNREADABLE = (OSError, EOFError, ValueError, RuntimeError, zipfile.BadZipFile, zlib.error)


def read_arrays(path: Path) -> dict[str, np.ndarray] | None:
    """All arrays of a file by name; None where it is gone, empty, cut short or damaged."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except UNREADABLE:
        return None
