"""Work over threads, processes or a cluster, in order: a signal stops it silently; no worker outlives its parent."""

import os
import pickle
import signal
import threading
import time
import warnings
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from itertools import islice
from typing import Any, TypeVar

import cv2
import joblib
from joblib.externals.loky import reusable_executor

from radcommons.cluster.address import Cluster
from radcommons.errors import WorkerKilled
from radcommons.signals import ignore_stop_signals, ignored_by_new_processes
from radcommons.threads import open_pool

T = TypeVar("T")
Workers = int | Cluster  # processes or threads here, or an open cluster
WAVE = 8  # jobs sent at once for each worker
MOST_WAITING = 64  # jobs sent to a cluster at once, but at least two for each core: all their results may wait here
SECONDS_ALONE = 1.0  # how long a worker outlives its parent, at most


def available_cores() -> int:
    """Cores that this process may use: how many workers there are by default."""
    return int(joblib.cpu_count())


@contextmanager
def in_order(
    function: Callable[..., T],
    jobs: Sequence[Sequence[Any]],
    *,
    workers: Workers,
    small: bool = False,
    threads: bool = False,
) -> Iterator[Iterator[T]]:
    """Opens the results of ``function(*job)`` for every job, in the order of the jobs.

    Args:
        function: what a worker runs; it and the jobs are pickled, unless workers are threads.
        jobs: arguments of each call.
        workers: processes or threads; 1 runs everything here. Or an open cluster.
        small: whether jobs are short and their results small: then several are sent at once, and all results may
            wait for a slow caller. Otherwise at most WAVE for each worker wait, so that a slow disk does not fill the
            memory.
        threads: whether `function` spends its time outside the interpreter's lock. Local workers are then threads, no
            result is copied, and OpenCV uses one thread for each call.
    Raises:
        WorkerKilled: while iterating, if a process was killed or the cluster is lost. (If one worker of a cluster is
            killed, the others do its jobs.)
    """
    if isinstance(workers, Cluster):
        opened = _on_cluster(workers, function, jobs, small)
    else:
        local = _on_threads if threads and min(workers, len(jobs)) > 1 else _on_processes
        opened = local(max(1, min(workers, len(jobs))), function, jobs, small)
    with opened as results:
        try:
            yield results
        finally:
            results.close()


@contextmanager
def _on_threads(
    workers: int, function: Callable[..., T], jobs: Sequence[Sequence[Any]], small: bool
) -> Iterator[Generator[T, None, None]]:
    threads_of_caller = cv2.getNumThreads()
    cv2.setNumThreads(1)  # the workers are the threads
    try:
        with open_pool(workers, with_torch=False) as pool:
            yield pool.map(lambda job: function(*job), jobs, ahead=max(1, (len(jobs) if small else WAVE * workers) - 1))
    finally:
        cv2.setNumThreads(threads_of_caller)


@contextmanager
def _on_processes(
    workers: int, function: Callable[..., T], jobs: Sequence[Sequence[Any]], small: bool
) -> Iterator[Generator[T, None, None]]:
    parallel = joblib.Parallel(
        n_jobs=workers,
        return_as="generator",
        batch_size="auto" if small else 1,
        initializer=_begin_worker,
        initargs=(os.getpid(),),
    )
    calls = (joblib.delayed(function)(*job) for job in jobs)
    try:
        with _none_waits_for_half_a_result():
            yield _waves(parallel, calls, lambda: len(jobs) if small else WAVE * workers)
    except BrokenProcessPool:
        raise WorkerKilled(
            "a worker process was killed, most often for lack of memory; run the same command again to continue, "
            f"with a --workers below {workers}"
        ) from None


@contextmanager
def _on_cluster(
    cluster: Cluster, function: Callable[..., T], jobs: Sequence[Sequence[Any]], small: bool
) -> Iterator[Generator[T, None, None]]:
    calls = (joblib.delayed(radcommons_job)(Job(function, job)) for job in jobs)
    try:
        with joblib.Parallel(
            n_jobs=max(2, cluster.cores()),  # with 1, joblib would work in this process
            backend=cluster.backend,
            return_as="generator",
            batch_size="auto" if small else 1,
        ) as parallel:
            yield _waves(parallel, calls, lambda: len(jobs) if small else wave(cluster.cores()))
    except cluster.lost:
        raise WorkerKilled(
            f"{cluster.address}: its scheduler or all its workers are gone, or one job killed several workers; "
            "see to the cluster, then run the same command again to continue"
        ) from None


def _waves(parallel: Any, calls: Iterator[Any], size: Callable[[], int]) -> Generator[Any, None, None]:
    for first in calls:
        sent = [first, *islice(calls, size() - 1)]
        with ignored_by_new_processes(), _tracker_silent():
            results = parallel(sent)
        try:
            for result in results:  # noqa: UP028  'yield from' would close them before 'finally'
                yield result
        finally:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # joblib's, about jobs that were not waited for
                results.close()


def wave(cores: int) -> int:
    """How many jobs a cluster of `cores` is given at once."""
    return max(1, 2 * cores, min(WAVE * cores, MOST_WAITING))


class Job:
    """One call for a worker of a cluster, pickled: the scheduler imports no function and shows no argument."""

    # No weak references: joblib may store an object that allows them on one worker only, and lose it with that worker.
    __slots__ = ("content",)

    def __init__(self, function: Callable[..., Any], arguments: Sequence[Any]) -> None:
        self.content = pickle.dumps((function, arguments))

    def __repr__(self) -> str:
        return "Job(...)"


def radcommons_job(job: Job) -> Any:
    """What a worker of a cluster runs; its name is the one that dashboards show."""
    cv2.setNumThreads(1)  # the workers are the threads
    function, arguments = pickle.loads(job.content)  # noqa: S301  our own, sent beside this function
    return function(*arguments)


def _begin_worker(parent: int) -> None:
    """Set up a worker process: it ends soon after its parent is killed, because it would wait with the pipes open."""
    cv2.setNumThreads(1)  # the processes are the threads
    ignore_stop_signals()  # again, for workers that a thread started later

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(SECONDS_ALONE)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


@contextmanager
def _none_waits_for_half_a_result() -> Iterator[None]:
    """Within the block, break a pool of which a worker was killed, if loky does not do so itself.

    It does, but for a worker that was killed while it sent a result: loky waits for the rest of it, for ever, because
    other processes hold the pipe open; this process is one of them.
    """
    ended = threading.Event()

    def watch() -> None:
        killed_before = False
        while not ended.wait(SECONDS_ALONE):
            pool = reusable_executor._executor
            workers = (
                list((pool._processes or {}).values()) if pool else []
            )  # those that ended by themselves are not there
            killed = any(worker.exitcode for worker in workers)
            if killed and killed_before:  # loky had its time
                for worker in workers:
                    if worker.exitcode is None:
                        os.kill(worker.pid, signal.SIGKILL)
                pool._result_queue._writer.close()
                return
            killed_before = killed

    watching = threading.Thread(target=watch, daemon=True)
    watching.start()
    try:
        yield
    finally:
        ended.set()
        watching.join()


@contextmanager
def _tracker_silent() -> Iterator[None]:
    """Start joblib's resource tracker, a process that outlives this one, without its warnings.

    Where a worker was killed it may find a semaphore already removed, and would say so below our last line.
    """
    before = os.environ.get("PYTHONWARNINGS")
    os.environ["PYTHONWARNINGS"] = ",".join(filter(None, [before, "ignore:resource_tracker"]))
    try:
        yield
    finally:
        if before is None:
            del os.environ["PYTHONWARNINGS"]
        else:
            os.environ["PYTHONWARNINGS"] = before
