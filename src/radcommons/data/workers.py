"""Work over processes, in order: Ctrl-C stops them silently, and none outlives a killed parent."""

import os
import signal
import threading
import time
import warnings
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Any, TypeVar

import cv2
import joblib

from radcommons.errors import WorkerKilled

T = TypeVar("T")
WAVE = 8  # jobs of each worker
SECONDS_ALONE = 1.0  # how long a worker outlives its parent, at most

_watching = False  # of this worker process


@contextmanager
def in_order(
    function: Callable[..., T], jobs: Sequence[Sequence[Any]], *, workers: int, small: bool = False
) -> Iterator[Iterator[T]]:
    """Opens the results of ``function(*job)`` for every job, in the order of the jobs.

    Args:
        function: what a process runs; it and the jobs are pickled.
        jobs: arguments of each call.
        workers: processes; 1 runs everything here.
        small: whether jobs are short and their results small: then several are sent at once, and all results may
            wait for a slow caller. Otherwise WAVE results a worker may: a slow disk must not fill the memory.
    Raises:
        WorkerKilled: while iterating, where a process was killed.
    """
    workers = max(1, min(workers, len(jobs)))
    parallel = joblib.Parallel(n_jobs=workers, return_as="generator", batch_size="auto" if small else 1)
    results = _waves(parallel, function, jobs, len(jobs) if small else WAVE * workers)
    try:
        yield results
    except BrokenProcessPool:
        raise WorkerKilled(
            "a worker process was killed, most often for lack of memory; run the same command again to continue, "
            f"with a --workers below {workers}"
        ) from None
    finally:
        results.close()


def _waves(
    parallel: Any, function: Callable[..., T], jobs: Sequence[Sequence[Any]], size: int
) -> Generator[T, None, None]:
    for first in range(0, len(jobs), max(1, size)):
        with _interrupts_ignored():  # workers inherit this: Ctrl-C is the parent's to handle
            results = parallel(joblib.delayed(_call)(os.getpid(), function, job) for job in jobs[first : first + size])
        try:
            for result in results:  # noqa: UP028  'yield from' would close them before 'finally'
                yield result
        finally:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # joblib's, about jobs that were not waited for
                results.close()


def _call(parent: int, function: Callable[..., T], job: Sequence[Any]) -> T:
    if os.getpid() != parent:
        cv2.setNumThreads(1)  # the processes are the threads
        _end_with_parent()
    return function(*job)


def _end_with_parent() -> None:
    """End this worker soon after its parent was killed; it would wait five minutes and hold the parent's pipes."""
    global _watching
    if _watching:
        return
    _watching = True
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(SECONDS_ALONE)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


@contextmanager
def _interrupts_ignored() -> Iterator[None]:
    """Ignore Ctrl-C, which new processes inherit, and block it too, so that it arrives here afterwards.

    Blocking alone is not inherited: starting the first worker, joblib unblocks it.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
