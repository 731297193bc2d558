"""images.npz of a synthetic set: written and read through memory maps.

The archive is not compressed: deflate saves less than a third on films, and a compressed file cannot be mapped.
"""

import io
import struct
from collections.abc import Sequence
from pathlib import Path
from zipfile import ZIP_STORED, ZipFile, ZipInfo

import numpy as np


def pack_npz(path: Path, images: np.ndarray, labels: np.ndarray, findings: Sequence[str]) -> None:
    """Write arrays ``images``, ``labels`` and ``findings`` for `numpy.load`.

    Args:
        images: uint8 (n, R, R), may be memory-mapped: a block is read at a time.
        labels: float32 (n, F).
        findings: F names.
    """
    with ZipFile(path, "w", ZIP_STORED) as archive:
        for name, array in (("images", images), ("labels", labels), ("findings", np.array(findings))):
            with archive.open(ZipInfo(f"{name}.npy"), "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, version=(1, 0), allow_pickle=False)


def map_images(path: Path) -> np.ndarray:
    """The images of an archive that `pack_npz` wrote, uint8 (n, R, R), memory-mapped, read-only."""
    with ZipFile(path) as archive:
        member = archive.getinfo("images.npy")
    if member.compress_type != ZIP_STORED:
        raise ValueError(f"{path.name} is compressed")
    with path.open("rb") as file:
        file.seek(member.header_offset + 26)  # the local header: two lengths, then name and extra field
        name_bytes, extra_bytes = struct.unpack("<HH", file.read(4))
        file.seek(name_bytes + extra_bytes, io.SEEK_CUR)
        np.lib.format.read_magic(file)
        shape, _, dtype = np.lib.format.read_array_header_1_0(file)
        return np.memmap(path, dtype, "r", file.tell(), shape)
