"""How a long job reports its progress; the caller decides how to show it: a terminal bar, a log line, or not at all."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

Advance = Callable[[int], None]


class Track(Protocol):
    """Opens one progress display; call the context's value with the number of units just finished."""

    def __call__(
        self, description: str, *, total: int, done: int = 0, unit: str = "images"
    ) -> AbstractContextManager[Advance]:
        """Start showing `description` with `done` of `total` units finished."""
        ...


@contextmanager
def silent(description: str, *, total: int, done: int = 0, unit: str = "images") -> Iterator[Advance]:
    """The Track that shows nothing."""
    yield lambda count: None
