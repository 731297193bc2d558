"""Work over a real Ray of this machine; skipped where Ray is not installed."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from radcommons.cluster.opening import open_cluster
from radcommons.errors import ClusterRefused
from radcommons.models.generator import Generator, LabelChoice
from radcommons.synthetic.sampling import write_set
from radcommons.workers import in_order

psutil = pytest.importorskip("psutil")
pytest.importorskip("ray", reason="Ray is not installed: pip install 'radcommons[ray]'")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("default"),  # Ray's own
]


def free_port() -> int:
    with socket.socket() as place:
        place.bind(("127.0.0.1", 0))
        port: int = place.getsockname()[1]
        return port


@pytest.fixture(scope="module")
def port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def address(head: Any, port: int) -> str:
    return f"ray://127.0.0.1:{port}"


@pytest.fixture(scope="module")
def head(port: int) -> Iterator[Any]:
    """A Ray with two CPUs."""
    command = [str(Path(sys.executable).with_name("ray")), "start", "--head", "--block", "--num-cpus=2",
               f"--port={free_port()}", f"--ray-client-server-port={port}", "--include-dashboard=false",
               "--disable-usage-stats", "--object-store-memory=200000000"]  # fmt: skip
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    end = time.monotonic() + 600
    while True:
        with socket.socket() as place:
            if place.connect_ex(("127.0.0.1", port)) == 0:
                break
        assert process.poll() is None and time.monotonic() < end, "Ray did not start"
        time.sleep(0.2)
    time.sleep(2)  # the port is open before its server is ready
    yield process
    process.send_signal(signal.SIGTERM)
    process.wait()


def test_results_come_in_order_through_a_killed_worker_and_errors_as_they_are(address: str, head: Any) -> None:
    with open_cluster(address) as cluster:
        assert cluster.cores() == 2
        with in_order(os.getpid, [()] * 4, workers=cluster) as pids:
            assert os.getpid() not in pids
        with in_order(pow, [(n, 2) for n in range(100)], workers=cluster, small=True) as squares:
            assert list(squares) == [n * n for n in range(100)]
        with in_order(time.sleep, [(0.05,)] * 30, workers=cluster) as results:
            next(results)
            actors = [p for p in psutil.Process(head.pid).children(recursive=True) if "PoolActor" in p.name()]
            actors[0].kill()
            assert len(list(results)) == 29
        with pytest.raises(FileNotFoundError), in_order(open, [("/no/film.png",)], workers=cluster) as results:
            list(results)


def test_a_set_is_the_same_as_drawn_here(address: str, generator_folder: Path, tmp_path: Path) -> None:
    generator = Generator.load(generator_folder, device="cpu")
    write_set([generator], tmp_path / "here", 300, choice=LabelChoice(), seed=3, format="npz")
    with open_cluster(address) as cluster:
        write_set([generator], tmp_path / "there", 300, choice=LabelChoice(), seed=3, format="npz", cluster=cluster)
    assert (tmp_path / "here" / "images.npz").read_bytes() == (tmp_path / "there" / "images.npz").read_bytes()


def test_a_place_where_nothing_answers_is_refused() -> None:
    with (
        pytest.raises(ClusterRefused, match="nothing answers at ray://127.0.0.1:"),
        open_cluster(f"ray://127.0.0.1:{free_port()}"),
    ):
        pass
