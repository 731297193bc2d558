"""Work over processes and threads comes back in order, waits for a slow caller, and says when a process was lost."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import cv2
import pytest

from radcommons.errors import WorkerKilled
from radcommons.workers import WAVE, in_order


def test_a_killed_worker_gives_one_clear_error() -> None:
    with pytest.raises(
        WorkerKilled, match=r"a worker process was killed, .*run the same command again to continue, wi"
    ):
        with in_order(os._exit, [(9,), (9,)], workers=2) as results:
            list(results)


KILLED_WHILE_SENDING = """
import os, signal, time
from multiprocessing.connection import Connection
from radcommons.errors import WorkerKilled
from radcommons.workers import in_order

def send_half(_):
    send = Connection._send

    def half(self, buffer, *rest):
        send(self, buffer[: len(buffer) // 2])
        os.kill(os.getpid(), signal.SIGKILL)

    Connection._send = half
    return bytes(1_000_000)

def call(function, argument):
    return function(argument)

try:
    with in_order(call, [(send_half, 0), (ANOTHER, 600)], workers=2) as results:
        list(results)
except WorkerKilled as error:
    print(error)
with in_order(pow, [(2, 2), (3, 2)], workers=2) as squares:
    print(list(squares))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
@pytest.mark.parametrize("another", ["time.sleep", "send_half"])
def test_a_worker_killed_while_it_sends_its_result_gives_the_same_error_and_new_workers(another: str) -> None:
    code = KILLED_WHILE_SENDING.replace("ANOTHER", another)
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    error, squares = ended.stdout.splitlines()
    assert "a worker process was killed" in error and squares == "[4, 9]"


LEAVING_A_LOST_FILE = """
from joblib.externals.loky.backend import resource_tracker
from radcommons.workers import in_order
with in_order(pow, [(2, 2), (3, 2)], workers=2) as squares:
    print(list(squares))
resource_tracker.register("/nowhere/lost", "file")
"""


def test_nothing_is_printed_after_the_last_line_where_a_worker_left_its_semaphores_removed() -> None:
    ended = subprocess.run([sys.executable, "-c", LEAVING_A_LOST_FILE], capture_output=True, text=True, timeout=600)
    assert (ended.stdout, ended.stderr) == ("[4, 9]\n", "")


@pytest.mark.parametrize("threads", [False, True])
def test_results_come_in_the_order_of_the_jobs_and_errors_as_they_are(threads: bool) -> None:
    with in_order(pow, [(n, 2) for n in range(40)], workers=2, threads=threads) as squares:
        assert list(squares) == [n * n for n in range(40)]
    for workers in (1, 2):
        jobs = [(1, 1), (1, 0), (1, 1)]
        with pytest.raises(ZeroDivisionError), in_order(divmod, jobs, workers=workers, threads=threads) as results:
            list(results)


def test_small_jobs_come_in_order_too() -> None:
    with in_order(pow, [(n, 2) for n in range(40)], workers=2, small=True) as squares:
        assert list(squares) == [n * n for n in range(40)]
    with in_order(pow, [], workers=2) as nothing:
        assert list(nothing) == []


@pytest.mark.parametrize("threads", [False, True])
def test_a_slow_caller_is_waited_for_so_that_results_do_not_fill_the_memory(threads: bool, tmp_path: Path) -> None:
    jobs = [(tmp_path / str(n),) for n in range(5 * WAVE)]
    with in_order(os.mkdir, jobs, workers=2, threads=threads) as results:
        next(results)
        time.sleep(0.3)
        assert len(list(tmp_path.iterdir())) <= 2 * WAVE
        assert len(list(results)) == 5 * WAVE - 1


@pytest.mark.parametrize("threads", [False, True])
def test_a_caller_that_stops_early_gets_no_warning(threads: bool) -> None:
    with in_order(time.sleep, [(0.01,)] * 40, workers=2, threads=threads) as results:
        next(results)


def test_threads_end_with_the_context_and_start_no_job_after_it(tmp_path: Path) -> None:
    def begin(path: Path) -> int:
        path.mkdir()
        time.sleep(0.05)
        return cv2.getNumThreads()

    running, of_caller = threading.active_count(), cv2.getNumThreads()
    with in_order(begin, [(tmp_path / str(n),) for n in range(40)], workers=2, threads=True) as results:
        assert next(results) == 1  # OpenCV's: the workers are the threads
    begun = len(list(tmp_path.iterdir()))
    assert begun <= 2 * WAVE + 1 and (threading.active_count(), cv2.getNumThreads()) == (running, of_caller)
    time.sleep(0.15)
    assert len(list(tmp_path.iterdir())) == begun
