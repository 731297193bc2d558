"""Work over processes comes back in order, waits for a slow caller, and says when a process was lost."""

import os
import time
from pathlib import Path

import pytest

from radcommons.errors import WorkerKilled
from radcommons.workers import WAVE, in_order


def test_a_killed_worker_gives_one_clear_error() -> None:
    with pytest.raises(
        WorkerKilled, match=r"a worker process was killed, .*run the same command again to continue, wi"
    ):
        with in_order(os._exit, [(9,), (9,)], workers=2) as results:
            list(results)


def test_results_come_in_the_order_of_the_jobs_and_errors_as_they_are() -> None:
    with in_order(pow, [(n, 2) for n in range(40)], workers=2) as squares:
        assert list(squares) == [n * n for n in range(40)]
    with pytest.raises(ZeroDivisionError), in_order(divmod, [(1, 1), (1, 0)], workers=1) as results:
        list(results)


def test_small_jobs_come_in_order_too() -> None:
    with in_order(pow, [(n, 2) for n in range(40)], workers=2, small=True) as squares:
        assert list(squares) == [n * n for n in range(40)]
    with in_order(pow, [], workers=2) as nothing:
        assert list(nothing) == []


def test_a_slow_caller_is_waited_for_so_that_results_do_not_fill_the_memory(tmp_path: Path) -> None:
    jobs = [(tmp_path / str(n),) for n in range(5 * WAVE)]
    with in_order(os.mkdir, jobs, workers=2) as results:
        next(results)
        time.sleep(0.3)
        assert len(list(tmp_path.iterdir())) <= 2 * WAVE
        assert len(list(results)) == 5 * WAVE - 1


def test_a_caller_that_stops_early_gets_no_warning() -> None:
    with in_order(time.sleep, [(0.01,)] * 40, workers=2) as results:
        next(results)
