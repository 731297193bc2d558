"""The process that examines: limited and without network; whatever happens to it is a verdict."""

import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from radcommons.hub import gate_process
from radcommons.hub.gate_process import examine_apart
from radcommons.hub.gate_settings import GateRules
from radcommons.records import GateVerdict

ASK_FOR_NETWORK = """
import socket, sys
from radcommons.hub.gate_process import give_up_network
print(give_up_network(), flush=True)
open(sys.argv[2]).close()
try:
    socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=5)
    print("connected")
except OSError:
    print("no connection")
"""


def apart(deposit: Any, rules: GateRules) -> GateVerdict:
    return examine_apart(deposit.folder, public_keys=[deposit.public], references=[], rules=rules)


def test_a_package_is_examined_in_a_process_of_its_own(good: Any, rules: GateRules) -> None:
    verdict = apart(good, rules)
    assert verdict.passed, verdict.statement
    assert verdict.network_off in (True, False)


def test_the_process_cannot_reach_even_this_machine_if_the_system_lets_it_give_up_its_network(tmp_path: Path) -> None:
    (tmp_path / "mine").touch(mode=0o600)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
        command = [sys.executable, "-c", ASK_FOR_NETWORK, port, str(tmp_path / "mine")]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split("\n")
    if said[0] == "False":
        pytest.skip("the system allows no network namespace")
    assert said[1] == "no connection"


@pytest.mark.parametrize(
    ("limits", "why"),
    [
        ({"seconds": 0.3}, "it was not done after 0.3 seconds"),
        ({"cpu_seconds": 1}, "it needed more than 1 seconds of computing time"),
        ({"memory_gib": 0.2}, "0.2 GiB of memory"),
    ],
)
def test_an_exceeded_limit_is_a_verdict_that_says_which(
    good: Any, rules: GateRules, limits: dict[str, float], why: str
) -> None:
    verdict = apart(good, rules.model_copy(update=limits))
    assert verdict.status == "not examined" and not verdict.passed
    assert why in verdict.lines[0].found and "submit it again" in verdict.lines[0].remedy


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("kill -SEGV $$", "ended by the signal SIGSEGV"),
        ("kill -KILL $$", "ended by the signal SIGKILL"),
        ("exit 0", "without a verdict"),
        ("echo no such thing >&2; exit 1", "its process failed: no such thing"),
        ('for last; do :; done; echo "{}" > "$last"', "without a verdict"),
        ("sleep 60 & exit 1", "ended with status 1"),
    ],
)
def test_a_crash_is_a_verdict(
    good: Any, rules: GateRules, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, why: str
) -> None:
    program = tmp_path / "python"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setattr(gate_process.sys, "executable", str(program))
    verdict = apart(good, rules)
    assert verdict.status == "not examined"
    assert why in verdict.statement


def test_a_server_on_the_same_cores_goes_before_the_examination() -> None:
    code = """
import os
from radcommons.hub.gate_process import limit
from radcommons.hub.gate_settings import GateRules
before = os.nice(0)
limit(GateRules())
print(os.nice(0) - before)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) > 0


def test_no_secret_of_the_hub_is_in_the_environment_of_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_KEY", "of the hub")
    monkeypatch.setenv("RADCOMMONS_WEIGHTS", "weights")
    environment = gate_process._environment("place", 2)
    assert "of the hub" not in environment.values()
    assert environment["RADCOMMONS_WEIGHTS"] == "weights" and environment["OMP_NUM_THREADS"] == "2"


def test_where_no_network_is_a_must_nothing_is_examined_with_one(
    good: Any, rules: GateRules, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(gate_process, "give_up_network", lambda: False)
    strict = rules.model_copy(update={"require_no_network": True})
    request = gate_process.GateRequest(public_keys=(), references=(), rules=strict.model_dump(mode="json"), known=())
    (tmp_path / "request.json").write_text(request.to_json())
    status = gate_process.main([str(good.folder), str(tmp_path / "request.json"), str(tmp_path / "verdict.json")])
    assert status == gate_process.WITH_NETWORK
    assert "give up its network" in capsys.readouterr().err
    assert not (tmp_path / "verdict.json").exists()
