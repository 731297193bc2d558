"""images.npz of a synthetic set: written from a file of raw pixels, read through a memory map.

The archive is stored and not compressed: deflate saves less than a third on films, and costs the map.
"""

import io
import shutil
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import IO
from zipfile import ZIP_STORED, ZipFile, ZipInfo

import numpy as np


def pack_npz(
    file: IO[bytes], pixels: IO[bytes], shape: tuple[int, int, int], labels: np.ndarray, findings: Sequence[str]
) -> None:
    """Write arrays ``images``, ``labels`` and ``findings`` for `numpy.load`, the images in constant memory.

    Args:
        file: the archive.
        pixels: uint8, `shape`, in C order.
        shape: (n, R, R).
        labels: float32 (n, F).
        findings: F names.
    """
    with ZipFile(file, "w", ZIP_STORED) as archive:
        with archive.open(ZipInfo("images.npy"), "w", force_zip64=True) as member:
            header = {"descr": "|u1", "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(member, header)
            shutil.copyfileobj(pixels, member, 1 << 20)
        for name, array in (("labels", labels), ("findings", np.array(findings))):
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
