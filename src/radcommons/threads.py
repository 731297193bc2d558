"""Results in order, worked out ahead of the caller on threads that each run torch on one core."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import islice
from typing import TypeVar

import torch

T = TypeVar("T")
R = TypeVar("R")


def thread_map(function: Callable[[T], R], items: Iterable[T], *, threads: int) -> Iterator[R]:
    """``map(function, items)`` on several threads, never more than two items a thread ahead of the caller.

    With one thread the work happens here, when the caller asks, with torch's own threads.
    """
    if threads <= 1:
        yield from map(function, items)
        return
    before = torch.get_num_threads()
    left = iter(items)
    waiting: deque[Future[R]] = deque()
    with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        try:
            waiting.extend(pool.submit(function, item) for item in islice(left, 2 * threads))
            while waiting:
                result = waiting.popleft().result()
                waiting.extend(pool.submit(function, item) for item in islice(left, 1))
                yield result
        finally:
            for future in waiting:
                future.cancel()
            torch.set_num_threads(before)  # part of what the threads set for themselves counts for all


@contextmanager
def one_core() -> Iterator[None]:
    """This thread's torch runs on one core inside, and as before afterwards."""
    before = torch.get_num_threads()
    if before == 1:  # as in thread_map's threads, which keep it
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
