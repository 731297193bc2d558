"""A real Dask cluster on this machine: one process a scheduler, one a worker, each of which a test may kill."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from radcommons.models.families.progan import GeneratorNetwork, ProganConfig
from radcommons.models.generator_files import save_generator
from radcommons.records import FindingsRecord

SECONDS_TO_START = 600  # only a guard against hanging


class DaskCluster:
    """A scheduler and its workers; logs of all of them in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.workers: list[subprocess.Popen[bytes]] = []
        self._file = folder / "scheduler.json"
        self.start_scheduler()

    def start_scheduler(self) -> None:
        self._file.unlink(missing_ok=True)
        self.scheduler = self._start("scheduler", "--port", "0", "--idle-timeout", "1200")
        until(lambda: self._file.is_file() and self._file.read_text().endswith("\n}"))  # whole, as json.dump indents it
        self.address = json.loads(self._file.read_text())["address"].replace("tcp://", "dask://")

    def have(self, count: int) -> None:
        """Start and await workers, so that `count` are there."""
        import distributed

        if self.scheduler.poll() is not None:  # a test killed it
            self.end()
            self.start_scheduler()
        self.workers = [worker for worker in self.workers if worker.poll() is None]
        while len(self.workers) < count:  # without a nanny: one that is killed stays dead
            self.workers.append(self._start("worker", "--no-nanny", "--nthreads", "1", "--death-timeout", "600"))
        with distributed.Client(self.address.replace("dask://", "tcp://"), set_as_default=False) as client:
            until(lambda: len(client.ncores()) == count)

    def kill_a_worker(self) -> None:
        self.workers[0].kill()
        self.workers[0].wait()

    def logs(self) -> str:
        return "".join(path.read_text() for path in self.folder.glob("*.log"))

    def end(self) -> None:
        for process in (*self.workers, self.scheduler):
            process.kill()
            process.wait()

    def _start(self, kind: str, *options: str) -> "subprocess.Popen[bytes]":
        local = [] if kind == "scheduler" else ["--local-directory", str(self.folder)]
        command = ["-m", "dask", kind, "--scheduler-file", str(self._file), "--host", "127.0.0.1", "--no-dashboard"]
        with (self.folder / f"{kind}-{len(self.workers)}-{time.monotonic_ns()}.log").open("wb") as log:
            return subprocess.Popen(
                [sys.executable, *command, *local, *options],
                stdout=log,
                stderr=log,
                env={**os.environ, "OMP_NUM_THREADS": "1"},
                cwd=self.folder,  # not the test's: paths have to be absolute
            )


def until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + SECONDS_TO_START
    while not holds():
        assert time.monotonic() < end, "the cluster did not start"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaskCluster]:
    cluster = DaskCluster(tmp_path_factory.mktemp("cluster"))
    yield cluster
    cluster.end()


@pytest.fixture
def dask_cluster(running: DaskCluster) -> DaskCluster:
    """A cluster with two workers."""
    running.have(2)
    return running


@pytest.fixture(scope="session")
def generator_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A generator of 16 x 16 pixels that nobody trained."""
    folder = tmp_path_factory.mktemp("generators") / "package"
    torch.manual_seed(0)
    config = ProganConfig(resolution=16, channels={4: 6, 8: 5, 16: 4}, latent_size=5, findings=2)
    combinations = (((0, 0), 60), ((1, 0), 30), ((1, 1), 10))
    record = FindingsRecord(findings=("Effusion", "Mass"), combinations=combinations, smallest_cell=5)
    save_generator(folder, GeneratorNetwork(config), record, name="site", family="progan", config=config, images_seen=1)
    return folder
