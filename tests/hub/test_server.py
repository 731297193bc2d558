"""The whole way, with the real server and worker: an account, a deposit, the gate, a search, a fetch, a withdrawal."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock, Timeout

COMMAND = [sys.executable, "-m", "radcommons", "hub"]


def hub(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command of the hub to its end."""
    command = [*COMMAND, *map(str, arguments)]
    return subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, timeout=600)


@pytest.fixture
def data(tmp_path: Path, database: str | None, rules: Any) -> Path:
    """The folder of a hub that was never started, whose gate takes seconds."""
    folder = tmp_path / "hub-data"
    folder.mkdir(mode=0o700)
    write_rules(folder, rules)
    return folder


def write_rules(data: Path, rules: Any) -> None:
    """An examination of seconds."""
    lines = [f"{name} = {getattr(rules, name)}\n" for name in ("images", "images_per_finding", "pairs")]
    (data / "gate.toml").write_text("".join(lines))


def member(data: Path, organisation: str, key: Path, *, scope: str = "withdraw") -> str:
    """A member with a registered key; returns a token."""
    for arguments in (("add", "anna"), ("key", key)):
        done = hub("account", *arguments, "--organisation", organisation, "--data", data)
        assert done.returncode == 0, done.stderr
    made = hub("account", "token", "anna", "--organisation", organisation, "--scope", scope, "--data", data, "--json")
    return str(json.loads(made.stdout)["token"])


@pytest.mark.slow
def test_a_package_is_pushed_examined_found_fetched_and_withdrawn(
    data: Path, serve: Callable[..., Any], good: Any, tmp_path: Path
) -> None:
    token = member(data, "clinic-a", good.public)
    address = serve(data, "--worker").address
    ours = {"RADCOMMONS_HUB": address, "RADCOMMONS_HUB_TOKEN": token}

    pushed = hub("push", good.folder, "clinic-a/toy", "--json", **ours)
    assert pushed.returncode == 0, pushed.stderr
    about = json.loads(pushed.stdout)
    assert about["state"] == "published" and about["verdict"]["network_off"] is not None

    assert "clinic-a/toy" in hub("search", "to", RADCOMMONS_HUB=address).stdout
    assert about["revision"] in hub("show", "clinic-a/toy", RADCOMMONS_HUB=address).stdout
    for _ in range(2):  # the second finds everything there
        pulled = hub("pull", "clinic-a/toy", "--out", tmp_path / "toy", "--key", good.public, RADCOMMONS_HUB=address)
        assert pulled.returncode == 0, pulled.stderr
    weights = "generator.safetensors"
    assert (tmp_path / "toy" / weights).read_bytes() == (good.folder / weights).read_bytes()

    copy = hub("push", good.folder, "clinic-a/other", **ours)
    assert copy.returncode == 3 and "clinic-a/toy" in copy.stderr  # a duplicate of what is there
    stranger = tmp_path / "stranger"
    subprocess.run([sys.executable, "-m", "radcommons", "keys", "new", "--out", stranger], check=True)
    refused = hub("pull", "clinic-a/toy", "--out", tmp_path / "b", "--key", stranger / "public.pem", **ours)
    assert refused.returncode == 2 and "another key" in refused.stderr

    gone = hub("withdraw", "clinic-a/toy", "--reason", "a patient asked", **ours)
    assert gone.returncode == 0, gone.stderr
    late = hub("pull", "clinic-a/toy", "--out", tmp_path / "late", RADCOMMONS_HUB=address)
    assert late.returncode == 2 and "withdrawn" in late.stderr and "a patient asked" in late.stderr


@pytest.mark.slow
@pytest.mark.parametrize("database", ["SQLite"], indirect=True)
def test_a_deposit_waits_for_a_worker_and_outlives_one_that_is_killed(
    data: Path, serve: Callable[..., Any], start: Callable[..., Any], good: Any
) -> None:
    token = member(data, "clinic-a", good.public)
    server = serve(data)
    address = server.address
    ours = {"RADCOMMONS_HUB": address, "RADCOMMONS_HUB_TOKEN": token}
    pushed = hub("push", good.folder, "clinic-a/toy", "--no-wait", "--json", **ours)
    assert json.loads(pushed.stdout)["state"] == "submitted", pushed.stderr
    worker = [*COMMAND, "worker", "--data", data, "--queue", "default"]
    first = start(worker)
    first.wait_until(lambda: list(data.glob("staging/*/.examined")))
    os.killpg(first.process.pid, signal.SIGKILL)
    start(worker)
    end = time.monotonic() + 300
    while "clinic-a/toy" not in hub("search", RADCOMMONS_HUB=address).stdout:
        assert time.monotonic() < end, "it was not published"
    assert json.loads(server.get("/api/models/clinic-a/toy")[1])["sha"]


@pytest.mark.slow
@pytest.mark.parametrize("database", ["PostgreSQL"], indirect=True)
def test_a_database_that_is_away_for_a_while_is_said_in_one_line_and_then_everything_goes_on(
    hub_data: Path, rules: Any, serve: Callable[..., Any], anna: Any, good: Any, announce: Any, postgresql: Any
) -> None:
    from django.db import connection

    from radcommons.hub import accounts
    from radcommons.hub.models import Deposit
    from radcommons.packages.hub_client import Hub, HubAway

    accounts.add_key("clinic-a", good.public)
    write_rules(hub_data, rules)
    server = serve(hub_data, "--worker")
    hub = Hub(server.address, anna.token)
    about = hub._call("POST", "/api/deposits", json=announce(good.folder, "clinic-a/toy"), token=True).json()
    hub._call(
        "PATCH",
        f"/api/deposits/{about['id']}/files/generator.safetensors",
        content=(good.folder / "generator.safetensors").read_bytes()[:500],
        headers={"Upload-Offset": "0"},
        token=True,
    )

    postgresql.stop()
    for path in ("/healthz", "/", "/clinic-a/toy", "/api/models", "/api/models/clinic-a/toy", "/a/b"):
        status, text = server.get(path)
        assert status == 503 and "Traceback" not in text, path
        assert ("<html" in text) == (path in ("/", "/clinic-a/toy", "/a/b")), path
        assert "<html" in text or text.strip().count("\n") == 0, path
        assert "the database does not answer" in text.lower(), path
    with pytest.raises(HubAway, match="the database does not answer"):
        hub.push(good.folder, "clinic-a/toy", wait=False)
    postgresql.start()

    def state() -> str:
        return str(hub.deposit(about["id"])["state"])

    assert hub.deposit(about["id"])["here"]["generator.safetensors"] == 500
    assert hub.push(good.folder, "clinic-a/toy", wait=False).deposit == about["id"]
    server.wait_until(lambda: state() == "examining")
    postgresql.stop()
    server.wait_until(lambda: is_free(hub_data / "staging" / about["id"] / ".examined"))
    postgresql.start()
    server.wait_until(lambda: state() not in ("submitted", "examining"))
    connection.close()  # this process has lost its own, too
    assert Deposit.objects.get().attempts == 2
    assert [one["id"] for one in hub.search()] == ["clinic-a/toy"]
    assert "Traceback" not in server.log()


def is_free(lock: Path) -> bool:
    with suppress(Timeout), FileLock(lock, timeout=0):
        return True
    return False


def test_a_site_behind_tls_passes_djangos_own_check(tmp_path: Path) -> None:
    code = """
import sys
from pathlib import Path
from radcommons.hub.server import hub_site
from radcommons.web.server import ready
ready(hub_site(Path(sys.argv[1]), None, ["hub.example.org"], https=True))
from django.core.management import call_command
call_command("check", deploy=True, fail_level="WARNING")
call_command("makemigrations", check=True, dry_run=True)
"""
    done = subprocess.run([sys.executable, "-c", code, tmp_path / "d"], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"
    assert (tmp_path / "d" / "secret.key").stat().st_mode & 0o077 == 0


def test_a_database_that_is_none_is_one_line(tmp_path: Path) -> None:
    done = hub("account", "list", "--data", tmp_path / "d", "--database", "mysql://x/y")
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and "postgresql://" in done.stderr


def test_a_hub_that_is_not_there_and_a_missing_token_are_one_line() -> None:
    away = hub("search", RADCOMMONS_HUB="http://127.0.0.1:9")
    assert away.returncode == 2 and away.stderr.count("\n") == 1 and "cannot be reached" in away.stderr
    silent = hub("withdraw", "a/b", "--reason", "x", RADCOMMONS_HUB="http://127.0.0.1:9", RADCOMMONS_HUB_TOKEN="")
    assert silent.returncode == 2 and "RADCOMMONS_HUB_TOKEN" in silent.stderr
