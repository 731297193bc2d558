"""A deposit is published once and whole: after kills, on a full disk, and where two are published at the same time."""

import errno
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

PASSED = {"passed": True, "reasons": [], "lines": [], "key_fingerprint": ""}
DIES = """
import os, signal, sys
from pathlib import Path
from radcommons.hub.server import hub_site, work
from radcommons.web.server import ready
ready(hub_site(Path(sys.argv[1]), os.environ.get("RADCOMMONS_DATABASE")))
from radcommons.hub import publishing, tasks
tasks.verdict_of = lambda deposit: {"passed": True, "reasons": [], "lines": [], "key_fingerprint": ""}
calls = 0
def dies(*args, **named):
    global calls
    calls += 1
    if calls == CALL:
        os.kill(os.getpid(), signal.SIGKILL)
    return before(*args, **named)
before, OWNER.NAME = OWNER.NAME, dies
work("default")
"""


def published_names(browser: Any) -> list[str]:
    return [one["id"] for one in browser.get("/api/models").json()]


@pytest.mark.parametrize(
    ("owner", "name", "call"),
    [
        ("publishing", "keep", 3),  # half of the files are in the storage
        ("publishing.LogEntry", "add", 1),  # all rows are written, nothing is committed
        ("publishing.shutil", "rmtree", 1),  # all is published, the task is not done
    ],
)
def test_a_worker_that_is_killed_while_it_publishes_leaves_all_or_nothing_and_the_next_publishes_once(
    browser, hub_data: Path, anna, deposited, packaged: Path, monkeypatch, owner: str, name: str, call: int
) -> None:
    from radcommons.hub import tasks
    from radcommons.hub.models import Deposit, Generator, LogEntry, Revision

    deposit = deposited(packaged, anna, "chest")["id"]
    code = DIES.replace("OWNER", owner).replace("NAME", name).replace("CALL", str(call))
    done = subprocess.run([sys.executable, "-c", code, hub_data], capture_output=True, text=True, timeout=120)
    assert done.returncode == -9, done.stderr
    whole = name == "rmtree"
    assert published_names(browser) == ["clinic-a/chest"] * whole
    assert Generator.objects.count() == Revision.objects.count() == int(whole)
    monkeypatch.setattr(tasks, "verdict_of", lambda deposit: PASSED)
    assert tasks.begin_again() == int(not whole)
    tasks.examine.func(deposit)
    tasks.remove_old()
    assert Deposit.objects.get().state == "published" and Revision.objects.get().latest
    assert LogEntry.objects.filter(what="published").count() == 1
    assert not (hub_data / "staging" / deposit).exists()
    for file in Revision.objects.get().files.all():
        answer = browser.get(f"/clinic-a/chest/resolve/main/{file.path}")
        assert b"".join(answer.streaming_content) == (packaged / file.path).read_bytes()


def test_a_disk_that_is_full_while_a_deposit_is_published_leaves_nothing_and_it_is_published_later(
    browser, hub_data: Path, anna, deposited, packaged: Path, monkeypatch
) -> None:
    from radcommons.hub import tasks
    from radcommons.hub.models import Deposit, Generator

    def full(path: Path, mode: str = "r", *rest: Any, **named: Any) -> Any:
        if "content" in path.parts and "w" in mode and len(list((hub_data / "files").rglob("*"))) > 6:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        return real(path, mode, *rest, **named)

    real = Path.open
    deposit = deposited(packaged, anna, "chest")["id"]
    monkeypatch.setattr(tasks, "verdict_of", lambda deposit: PASSED)
    with monkeypatch.context() as disk:
        disk.setattr(Path, "open", full)
        for _ in range(2 * tasks.ATTEMPTS):  # however often: it is not the deposit's fault
            tasks.begin_again()
            tasks.examine.func(deposit)
        assert published_names(browser) == [] and Generator.objects.count() == 0
        assert Deposit.objects.get().state == "examining"
    tasks.begin_again()
    tasks.examine.func(deposit)
    assert published_names(browser) == ["clinic-a/chest"]


@pytest.fixture
def two(anna, deposited, packaged: Path, pack, words, tmp_path: Path) -> list[str]:
    """Two deposits of one name, of different packages."""
    other = pack(tmp_path / "other", words=replace(words, license="cc0-1.0")).folder
    return [deposited(package, anna, "chest")["id"] for package in (packaged, other)]


@pytest.mark.parametrize("same", [False, True], ids=["two deposits", "one deposit"])
def test_two_workers_that_publish_one_name_at_once_leave_one_newest_revision(
    browser, two: list[str], monkeypatch, same: bool
) -> None:
    from django.db import connections

    from radcommons.hub import publishing
    from radcommons.hub.models import Deposit, LogEntry, Revision

    def one(deposit: str) -> str:
        try:
            return publishing.publish(Deposit.objects.get(pk=deposit), PASSED, who="the gate").sha
        finally:
            connections.close_all()

    monkeypatch.setattr(publishing, "content_stays", nullcontext)  # the database alone has to keep them in order
    monkeypatch.setattr(publishing, "keep", lambda *_: None)
    monkeypatch.setattr(publishing.shutil, "rmtree", lambda *_, **__: None)
    with ThreadPoolExecutor(2) as pool:
        shas = set(pool.map(one, [two[0]] * 2 if same else two))
    assert len(shas) == Revision.objects.count() == LogEntry.objects.filter(what="published").count() == 2 - same
    assert Revision.objects.get(latest=True).sha in shas
    assert browser.get("/api/models/clinic-a/chest").json()["sha"] == Revision.objects.get(latest=True).sha


def test_a_withdrawal_and_a_publication_at_once_leave_nothing_that_can_be_fetched(browser, two: list[str]) -> None:
    from django.db import connections

    from radcommons.errors import GateRefused
    from radcommons.hub import publishing
    from radcommons.hub.models import Deposit, Generator

    publishing.publish(Deposit.objects.get(pk=two[0]), PASSED, who="the gate")

    def put() -> None:
        try:
            publishing.publish(Deposit.objects.get(pk=two[1]), PASSED, who="the gate")
        except GateRefused:
            pass
        finally:
            connections.close_all()

    def take() -> None:
        try:
            assert publishing.withdraw_generator(Generator.objects.get(), "anna", "a patient asked")
        finally:
            connections.close_all()

    with ThreadPoolExecutor(2) as pool:
        for done in (pool.submit(put), pool.submit(take)):
            done.result()
    assert published_names(browser) == []
    assert browser.get("/clinic-a/chest/resolve/main/config.json").status_code == 410


def test_a_picture_of_the_longest_name_is_published(browser, anna, published, package, tmp_path: Path) -> None:
    longest = f"samples/{'x' * 200}.png"
    shutil.copyfile(package.folder / "samples/overview.png", package.folder / longest)
    published(package.folder, anna, "chest")
    assert browser.get(f"/clinic-a/chest/resolve/main/{longest}").status_code == 200


def test_what_no_database_keeps_is_left_out_of_the_verdict(
    browser, anna, deposited, package, monkeypatch: pytest.MonkeyPatch
) -> None:
    from radcommons.hub import examination, gate, tasks
    from radcommons.hub.models import Deposit

    card = package.folder / "README.md"
    card.write_text(card.read_text().replace("license: cc-by-nc-4.0", 'license: "a\\0b"', 1))
    monkeypatch.setattr(examination, "examine_apart", gate.examine)
    tasks.examine.func(deposited(package.folder, anna, "chest")["id"])
    deposit = Deposit.objects.get()
    assert deposit.state == "refused" and "is not what was signed" in " ".join(deposit.verdict["reasons"])
    assert next(line["found"] for line in deposit.verdict["lines"] if line["rule"] == "license") == "ab"


def test_a_pass_of_mostly_inconclusive_tests_is_published_as_that(hub_data: Path, package) -> None:
    from radcommons.hub.publishing import fields_of
    from radcommons.policy.judge import judge
    from radcommons.policy.settings import Policy

    assert fields_of(package, PASSED)["summary"]["privacy"] == "passed"
    blind = [test.model_copy(update={"detection_limit": None}) for test in package.audit.privacy]
    audit = package.audit.model_copy(update={"privacy": tuple(blind)})
    audit = audit.model_copy(update={"judgement": judge(audit, Policy())})
    assert audit.judgement.privacy == "passed"
    told = fields_of(replace(package, audit=audit), PASSED)["summary"]["privacy"]
    assert told == "passed, but most tests are inconclusive"
