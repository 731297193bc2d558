"""Work over threads: results in order, and how many threads to use.

Each thread runs torch on one core. Threads that take whole items wait for each other once for each item; torch's own
threads wait at the end of every operation. torch is imported only by functions that need it.
"""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    import torch

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Pool:
    """`count` running threads; `open_pool` makes one."""

    count: int
    executor: ThreadPoolExecutor

    def map(self, function: Callable[..., R], *items: Iterable[Any], ahead: int | None = None) -> Generator[R]:
        """The results of ``map(function, *items)`` in order, computed on the threads.

        Besides the result that the caller holds, at most `ahead` items are being computed or wait for the caller; by
        default two for each thread. When the caller stops, items that have not begun are dropped.
        """
        left = zip(*items, strict=False)
        waiting: deque[Future[R]] = deque()
        try:
            waiting.extend(self.executor.submit(function, *item) for item in islice(left, ahead or 2 * self.count))
            while waiting:
                result = waiting.popleft().result()
                waiting.extend(self.executor.submit(function, *item) for item in islice(left, 1))
                yield result
        finally:
            for future in waiting:
                future.cancel()


@contextmanager
def open_pool(count: int, *, with_torch: bool = True) -> Iterator[Pool]:
    """`count` threads until the end of the block; torch runs on one core in each, unless it has no part in the work."""
    if with_torch:
        import torch

        before = torch.get_num_threads()
        executor = ThreadPoolExecutor(count, initializer=torch.set_num_threads, initargs=(1,))
    else:
        executor = ThreadPoolExecutor(count)
    try:
        yield Pool(count, executor)
    finally:
        executor.shutdown(cancel_futures=True)
        if with_torch:
            torch.set_num_threads(before)  # part of what the threads set for themselves counts for all


def thread_map(function: Callable[..., R], *items: Iterable[Any], threads: int) -> Iterator[R]:
    """`Pool.map` on new threads. With one thread the calling thread does the work, with torch's own threads."""
    if threads <= 1:
        yield from map(function, *items)
        return
    with open_pool(threads) as pool:
        yield from pool.map(function, *items)


def threads_for(items: int, device: "torch.device") -> int:
    """How many threads work on `items` pieces: one for each core that torch may use, at most `items`; one for a GPU."""
    import torch

    return max(1, min(torch.get_num_threads(), items)) if device.type == "cpu" else 1


@contextmanager
def one_core() -> Iterator[None]:
    """This thread's torch runs on one core inside, and as before afterwards."""
    import torch

    before = torch.get_num_threads()
    if before == 1:  # as in a pool's threads, which keep it
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
