"""Work over a real Dask cluster: in order, with back-pressure, through a killed worker, and never a wait for ever."""

import os
import time
from pathlib import Path
from typing import Any

import distributed
import pytest

from radcommons import workers
from radcommons.cluster import dask_engine
from radcommons.cluster.dask_engine import open_cluster
from radcommons.errors import WorkerKilled
from radcommons.workers import WAVE, Job, in_order


def test_results_come_in_the_order_of_the_jobs_from_other_processes(dask_cluster: Any) -> None:
    with open_cluster(dask_cluster.address) as cluster:
        assert cluster.cores() == 2
        for small in (False, True):
            with in_order(pow, [(n, 2) for n in range(40)], workers=cluster, small=small) as squares:
                assert list(squares) == [n * n for n in range(40)]
        with in_order(os.getpid, [()] * 20, workers=cluster) as pids:
            assert set(pids) <= {worker.pid for worker in dask_cluster.workers}
        with in_order(pow, [], workers=cluster) as nothing:
            assert list(nothing) == []


def test_a_slow_caller_is_waited_for(dask_cluster: Any, tmp_path: Path) -> None:
    jobs = [(str(tmp_path / str(n)),) for n in range(5 * WAVE)]
    with open_cluster(dask_cluster.address) as cluster, in_order(os.mkdir, jobs, workers=cluster) as results:
        next(results)
        time.sleep(0.5)
        assert len(list(tmp_path.iterdir())) <= 2 * WAVE
        assert len(list(results)) == 5 * WAVE - 1


def test_a_killed_workers_jobs_go_to_the_other(dask_cluster: Any) -> None:
    with open_cluster(dask_cluster.address) as cluster:
        with in_order(time.sleep, [(0.05,)] * 30, workers=cluster) as results:
            next(results)
            dask_cluster.kill_a_worker()
            assert len(list(results)) == 29
        assert cluster.cores() == 1
        with in_order(os.getpid, [()] * 4, workers=cluster) as pids:  # joblib would work here with one core
            assert set(pids) == {dask_cluster.workers[1].pid}


def test_an_error_of_a_job_arrives_as_it_is_and_no_log_or_key_holds_its_arguments(dask_cluster: Any) -> None:
    with open_cluster(dask_cluster.address) as cluster:
        with pytest.raises(FileNotFoundError), in_order(open, [("/MRN7710/film.png",)] * 4, workers=cluster) as results:
            list(results)
        client: distributed.Client = cluster.backend.client
        keys = client.run_on_scheduler(lambda dask_scheduler: [str(e[0]) for e in dask_scheduler.transition_log])
    assert any(key.startswith("batch_of_radcommons_job_1_calls-") for key in keys)
    assert "MRN" not in "".join(keys) + dask_cluster.logs()
    assert repr(Job(open, ("/MRN7710/film.png",))) == "Job(...)"


def test_a_job_that_kills_every_worker_it_meets_ends_with_one_line(
    dask_cluster: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dask_engine, "SECONDS_WITHOUT_WORKERS", 1.0)
    with open_cluster(dask_cluster.address) as cluster:
        with pytest.raises(WorkerKilled, match=r"^dask://127.0.0.1:\d+: its scheduler or all its workers are gone, or"):
            with in_order(os._exit, [(9,)], workers=cluster) as results:
                list(results)


def test_without_its_scheduler_the_work_ends_with_one_line_and_a_quiet_log(
    dask_cluster: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    with open_cluster(dask_cluster.address) as cluster:
        with pytest.raises(WorkerKilled, match="see to the cluster, then run the same command again to continue"):
            with in_order(time.sleep, [(0.05,)] * 30, workers=cluster) as results:
                next(results)
                dask_cluster.scheduler.kill()
                list(results)
    assert capfd.readouterr().err == ""


def test_a_wave_is_two_jobs_a_core_at_least_and_bounded_beyond() -> None:
    assert [workers.wave(cores) for cores in (1, 2, 8, 100)] == [WAVE, 2 * WAVE, 64, 200]
