"""How long work reports its progress without knowing who looks: a terminal bar, a log line, or nobody."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

Advance = Callable[[int], None]


class Track(Protocol):
    """Opens one progress display; the value of the context is called with the number of units just done."""

    def __call__(
        self, description: str, *, total: int, done: int = 0, unit: str = "images"
    ) -> AbstractContextManager[Advance]:
        """Start showing `description` with `done` of `total` units finished."""
        ...


@contextmanager
def silent(description: str, *, total: int, done: int = 0, unit: str = "images") -> Iterator[Advance]:
    """The Track that shows nothing."""
    del description, total, done, unit
    yield lambda count: None
