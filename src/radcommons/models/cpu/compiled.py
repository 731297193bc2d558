"""Compiling a loop over NumPy arrays to machine code: once per machine, then read from a cache."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

F = TypeVar("F", bound=Callable[..., Any])


def kernel(function: F) -> F:
    """A loop that runs without the interpreter's lock, on the thread that calls it."""
    try:
        return cast(F, numba.njit(fastmath=True, nogil=True, error_model="numpy", cache=True)(function))
    except RuntimeError:  # numba can write neither to the package's folder nor to the user's cache
        return piece(function)


def piece(function: F) -> F:
    """An inner loop of kernels: compiled on its own, it is vectorised where a loop nest would not be."""
    return cast(F, numba.njit(fastmath=True, nogil=True, error_model="numpy")(function))


def inlined(function: F) -> F:
    """Arithmetic inside a loop."""
    return cast(F, numba.njit(fastmath=True, nogil=True, error_model="numpy", inline="always")(function))
