"""Keep freed memory for the next film, instead of returning it to the system after each film."""

import ctypes
import sys
from functools import cache
from typing import Final

LARGEST_KEPT_BYTES: Final = 32 * 2**20  # larger arrays are returned to the system; glibc allows no more
KEPT_BYTES: Final = 256 * 2**20  # most bytes that a process keeps

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h of glibc


@cache
def keep_freed_memory() -> None:
    """Make this process keep the memory it frees; has no effect if the C library is not glibc.

    A film needs several buffers of megabytes. By default the system clears new pages for each buffer, with one page
    fault per 4 KiB: for an uncompressed DICOM film that took longer than everything else together.
    Call it only in our own processes (workers and the command); a program that uses the package decides for itself.
    """
    if not sys.platform.startswith("linux"):
        return
    set_option = getattr(ctypes.CDLL(None), "mallopt", None)
    if set_option is not None:
        set_option(_M_MMAP_THRESHOLD, LARGEST_KEPT_BYTES)
        set_option(_M_TRIM_THRESHOLD, KEPT_BYTES)
