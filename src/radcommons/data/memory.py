"""Freed memory is kept for the next film instead of being given back to the system after each."""

import ctypes
import sys
from functools import cache
from typing import Final

LARGEST_KEPT_BYTES: Final = 32 * 2**20  # an array above this is given back; glibc takes no more
KEPT_BYTES: Final = 256 * 2**20  # of a process, at most

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h of glibc


@cache
def keep_freed_memory() -> None:
    """Make this process keep what it frees; nothing happens where the C library is not glibc.

    A film takes several buffers of megabytes. By default each comes as fresh pages, which the system has to clear, one
    fault every 4 KiB: for an uncompressed DICOM film that took longer than everything else together.
    For processes that are our own, workers and the command; a program that calls us decides for itself.
    """
    if not sys.platform.startswith("linux"):
        return
    set_option = getattr(ctypes.CDLL(None), "mallopt", None)
    if set_option is not None:
        set_option(_M_MMAP_THRESHOLD, LARGEST_KEPT_BYTES)
        set_option(_M_TRIM_THRESHOLD, KEPT_BYTES)
