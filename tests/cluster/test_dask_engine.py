"""A cluster is refused in one line, before any work, where it cannot be reached or its machines differ."""

import socket
import sys
from pathlib import Path
from typing import Any

import pytest

from radcommons.cli import run
from radcommons.cluster import dask_engine
from radcommons.cluster.address import Address
from radcommons.cluster.dask_engine import open_cluster, own_versions, refuse_other_versions
from radcommons.errors import ClusterRefused

ADDRESS = Address.parse("dask://head:8786")


def refusal(address: str) -> str:
    with pytest.raises(ClusterRefused) as refused, open_cluster(address):
        pass
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_machines_with_the_versions_of_this_one_are_taken_whatever_their_builds_and_patches() -> None:
    own = own_versions()
    assert {"python", "radcommons", "torch", "numpy"} <= own.keys()
    release = own["torch"].partition("+")[0]
    minor = ".".join(own["python"].split(".")[:2])
    refuse_other_versions(
        ADDRESS, {"a": own, "b": {**own, "torch": f"{release}+cu130", "python": f"{minor}.99.final.0"}}
    )


@pytest.mark.parametrize(
    ("package", "there", "said"),
    [
        ("torch", "2.1.0", "worker tcp://w:1 has torch 2.1.0 and this machine has "),
        ("radcommons", None, "worker tcp://w:1 has no radcommons and this machine has "),
        ("python", "3.10.2.final.0", "worker tcp://w:1 has python 3.10.2.final.0 and this machine has "),
    ],
)
def test_a_machine_with_another_version_is_named_with_what_differs(package: str, there: str | None, said: str) -> None:
    machines = {"the scheduler": own_versions(), "worker tcp://w:1": {**own_versions(), package: there}}
    with pytest.raises(ClusterRefused, match="; install the same versions on both$") as refused:
        refuse_other_versions(ADDRESS, machines)
    assert str(refused.value).startswith(f"dask://head:8786: {said}")


def test_where_dask_is_not_installed_the_command_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delitem(sys.modules, "radcommons.cluster.dask_engine", raising=False)
    monkeypatch.setitem(sys.modules, "distributed", None)
    command = ["data", "phantom", "--patients", "4", "--out", str(tmp_path / "out"), "--cluster", "dask://head:8786"]
    assert run(command) == 2
    said = "run: pip install 'radcommons[dask]', here and on every worker\n"
    assert capsys.readouterr().err == f"radcommons: --cluster needs the extra 'dask'; {said}"


def test_a_place_where_nothing_answers_is_refused_within_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dask_engine, "SECONDS_TO_REACH", 1)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and does not listen
        port = taken.getsockname()[1]
        said = refusal(f"dask://127.0.0.1:{port}")
    assert said.startswith(f"no Dask scheduler answers at dask://127.0.0.1:{port} within 1 seconds; check the address")


def test_tls_without_certificates_says_where_dask_looks_for_them() -> None:
    said = refusal("dask+tls://127.0.0.1:8786")
    assert said.endswith("Dask has no certificates here; name them in its settings under distributed.comm.tls")


def test_a_cluster_without_workers_says_how_to_start_one(running: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dask_engine, "SECONDS_TO_REACH", 1)
    said = refusal(running.address)
    assert said.startswith(f"{running.address} has no worker; start one with 'dask worker tcp://127.0.0.1:")


def test_the_versions_of_running_machines_are_compared_scheduler_included(
    running: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    running.have(1)
    with open_cluster(running.address) as cluster:
        assert cluster.cores() == 1
    monkeypatch.setattr(dask_engine, "own_versions", lambda: {"torch": "1.0.0"})
    assert "the scheduler has torch 2." in refusal(running.address)


def test_the_command_line_refuses_an_address_before_it_reads_anything(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    for command in (
        ["data", "phantom", "--patients", "4"],
        ["data", "import", "nih", str(tmp_path)],
        ["generate", str(tmp_path), "-n", "4"],
    ):
        assert run([*command, "--out", str(out), "--cluster", "dask:8786"]) == 2
        assert capsys.readouterr().err.startswith("radcommons: --cluster is 'dask:8786'; write it as dask://HOST:PORT")
        assert not out.exists()
