"""Pages show what people may see: visitors, members of an organisation, the operator."""

import html
import re
import shlex
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def revision(published, packaged: Path, anna) -> Any:
    return published(packaged, anna, "chest")


@pytest.fixture
def as_user(hub_data: Path) -> Any:
    """A client that is logged in."""
    from django.contrib.auth import get_user_model
    from django.test import Client

    def log_in(name: str, **fields: bool) -> Client:
        user, _ = get_user_model().objects.get_or_create(username=name)
        for field, value in fields.items():
            setattr(user, field, value)
        user.save()
        client = Client(SERVER_NAME="localhost")
        client.force_login(user, "django.contrib.auth.backends.ModelBackend")
        return client

    return log_in


def test_the_list_shows_a_generator_by_name_finding_and_rank(browser, revision) -> None:
    finding = revision.findings[0]
    for query in (
        "",
        "search=che",
        f"finding={finding}",
        "search=clinic-a/ch",
        "rank=fid",
        "rank=nonsense",
        "page=99",
        "gate=passed",
        "gate=nonsense",
        "resolution=x",
    ):
        assert "clinic-a/chest" in browser.get(f"/?{query}").content.decode(), query
    for query in ("search=zebra", "finding=Unheard", "family=none", "resolution=7", "gate=against"):
        text = browser.get(f"/?{query}").content.decode()
        assert "0 generators" in text and "No generator matches" in text, query


def test_the_filters_offer_what_is_listed_and_are_worked_out_once(browser, revision, as_user) -> None:
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    def statements() -> int:
        with CaptureQueriesContext(connection) as captured:
            browser.get("/")
        return len(captured.captured_queries)

    option = f"<option>{revision.findings[0]}</option>"
    assert option in browser.get("/").content.decode()
    assert statements() == 4  # the count, the order, the rows, the newest entry of the log
    as_user("anna").post("/clinic-a/chest/withdraw", {"typed": "clinic-a/chest", "reason": "a patient asked"})
    assert option not in browser.get("/").content.decode()


def test_a_generators_page_shows_measures_commands_and_digests(browser, revision) -> None:
    text = browser.get("/clinic-a/chest").content.decode()
    assert revision.sha in text and revision.files.get(path="config.json").sha256 in text
    assert "HF_ENDPOINT=http://localhost" in text and "synthetic" in text
    assert browser.get("/clinic-a/none").status_code == 404


def test_a_reader_study_is_shown_beside_the_measures_and_in_the_list_and_given_to_programs(
    browser, published, pack, studied, anna, revision, tmp_path: Path
) -> None:
    from radcommons.reader_study import section_html

    assert "eader study" not in browser.get("/clinic-a/chest").content.decode() + browser.get("/").content.decode()
    made = pack(tmp_path / "package", study=studied())
    published(made.folder, anna, "chest")
    page = browser.get("/clinic-a/chest").content.decode()
    assert section_html(made.study, made.config.weights_sha256) in page
    assert page.index('id="study"') < page.index("The card, as the site wrote it")
    assert browser.get("/").content.decode().count("· reader study</div>") == 1
    given = browser.get("/api/models/clinic-a/chest").json()["radcommons"]["reader_study"]
    assert (given["readers"], given["last_answer"], len(given["results"])) == (6, "2026-03-01", 6)
    assert "Ampel" not in page + str(given)
    before = browser.get(f"/clinic-a/chest?revision={revision.sha}").content.decode()
    assert 'id="study"' not in before, "an older revision has its own files"


def test_the_commands_on_the_pages_are_ones_that_the_program_takes(browser, revision, capsys) -> None:
    from radcommons.cli import run
    from radcommons.hub import drawing

    drawing.draw.func(revision.pk, {revision.findings[0]: 1.0}, 3)
    pages = [browser.get(f"/clinic-a/chest{rest}").content.decode() for rest in ("", "/draw?finding-0=1&seed=3")]
    text = html.unescape(" ".join(pages)).replace("\\\n", " ")
    commands = re.findall(r"^(?:<pre[^>]*><code>)?radcommons ([^\n<]+)", text, re.MULTILINE)
    commands += re.findall(r"<code>radcommons ([^\n<]+)", text)
    assert len(set(commands)) >= 3
    for command in commands:
        assert run([*shlex.split(command), "--help"]) == 0, command
        assert "://" not in command or re.search(r"(http|hub)://localhost", command), command
    capsys.readouterr()


def test_no_page_loads_anything_from_elsewhere_or_runs_a_script(browser, revision) -> None:
    for address in ("/", "/clinic-a/chest", "/clinic-a/chest/draw", "/compare", "/login"):
        answer = browser.get(address)
        text = answer.content.decode()
        assert "<script" not in text and not re.search(r'(?:src|href)="(?:https?:)?//', text), address
        assert "default-src 'none'" in answer["Content-Security-Policy"]


def test_two_generators_are_compared(browser, revision) -> None:
    text = browser.get("/compare?a=clinic-a/chest&b=clinic-a/chest").content.decode()
    assert text.count("training films") == 1 and "Not both are here" not in text
    assert "Not both are here" in browser.get("/compare?a=clinic-a/chest&b=x").content.decode()


def test_films_are_drawn_by_the_worker_and_then_shown(browser, revision, monkeypatch) -> None:
    from radcommons.hub import drawing

    address = "/clinic-a/chest/draw?finding-0=1&seed=3"
    waiting = browser.get(address)
    assert waiting["Refresh"] == "1" and "is drawing" in waiting.content.decode()
    assert browser.get(address).status_code == 200  # asked for once only
    picture = address.replace("/draw?", "/drawn.png?")
    assert browser.get(picture).status_code == 404
    drawing.draw.func(revision.pk, {revision.findings[0]: 1.0}, 3)
    assert "Refresh" not in browser.get(address)
    answer = browser.get(picture)
    assert b"".join(answer.streaming_content).startswith(b"\x89PNG")
    answer.close()
    monkeypatch.setattr(drawing, "MOST_WAITING", 0)
    assert browser.get("/clinic-a/chest/draw?seed=4").status_code == 503


def test_a_label_is_brought_to_a_step_of_its_slider(browser, revision) -> None:
    from radcommons.hub import drawing

    for asked, used in (("0.5", 0.5), ("0.512", 0.5), ("7", 1.0), ("-1", 0), ("nan", 0), ("x", 0), ("9" * 400, 1.0)):
        labels = {revision.findings[0]: used} if used else {}
        assert browser.get(f"/clinic-a/chest/draw?finding-0={asked}&seed=9").status_code == 200
        drawing.draw.func(revision.pk, labels, 9)
        assert "Refresh" not in browser.get(f"/clinic-a/chest/draw?finding-0={asked}&seed=9"), asked


def test_one_drawing_waits_once_however_often_it_is_asked_for(browser, revision) -> None:
    from django.utils import timezone
    from django_tasks_db.models import DBTaskResult

    from radcommons.hub import drawing

    def ask(times: int) -> int:
        for _ in range(times):
            browser.get("/clinic-a/chest/draw?seed=5")
        return DBTaskResult.objects.filter(queue_name="drawings").count()

    assert ask(3) == 1
    task = DBTaskResult.objects.get(queue_name="drawings")
    task.claim("a worker")
    assert ask(3) == 1
    DBTaskResult.objects.update(started_at=timezone.now() - 2 * drawing.LONGEST)
    assert ask(3) == 2  # its worker was killed


def test_members_see_their_deposits_and_nobody_elses(revision, as_user, bert, browser) -> None:
    deposit = revision.deposits.get()
    assert "clinic-a/chest" in as_user("anna").get("/deposits").content.decode()
    assert as_user("anna").get(f"/deposits/{deposit.pk}").status_code == 200
    assert "clinic-a/chest" not in as_user("bert").get("/deposits").content.decode()
    assert as_user("bert").get(f"/deposits/{deposit.pk}").status_code == 404
    assert browser.get("/deposits").status_code == 302


def test_a_token_is_shown_once_and_can_be_revoked_by_its_owner_only(anna, bert, as_user) -> None:
    from radcommons.hub.models import Token

    client = as_user("anna")
    made = client.post("/tokens", {"organisation": "clinic-a", "name": "laptop", "scope": "deposit", "days": "7"})
    text = re.search(r"RADCOMMONS_HUB_TOKEN=(\S+?)<", made.content.decode())[1]
    assert Token.valid(text).name == "laptop" and text not in client.get("/tokens").content.decode()
    number = Token.objects.get(name="laptop").pk
    for wrong in (as_user("bert").post("/tokens", {"revoke": str(number)}), client.post("/tokens", {"revoke": "x"})):
        assert wrong.status_code == 404
    client.post("/tokens", {"revoke": str(number)})
    assert Token.valid(text) is None
    other = client.post("/tokens", {"organisation": "clinic-b", "name": "x", "scope": "deposit"})
    assert other.status_code == 404


def test_a_withdrawal_needs_the_name_a_reason_and_a_member(revision, as_user, bert, browser) -> None:
    address = "/clinic-a/chest/withdraw"
    assert as_user("bert").post(address, {"typed": "clinic-a/chest", "reason": "x"}).status_code == 404
    as_user("anna").post(address, {"typed": "chest", "reason": "x"})
    assert browser.get("/clinic-a/chest").status_code == 200
    as_user("anna").post(address, {"typed": "clinic-a/chest", "reason": "a patient asked"})
    gone = browser.get("/clinic-a/chest")
    assert gone.status_code == 410 and "a patient asked" in gone.content.decode()


def test_only_the_operator_publishes_against_the_gate_and_the_reason_is_public(
    deposited, packaged: Path, anna, as_user, browser
) -> None:
    from radcommons.hub.models import Deposit, LogEntry
    from radcommons.hub.tasks import refuse

    deposit = Deposit.objects.get(pk=deposited(packaged, anna, "chest")["id"])
    line = {"rule": "recall", "limit": "at least 0.09", "found": "0.01", "outcome": "not met"}
    refuse(deposit, {"passed": False, "reasons": ["recall: too low"], "statement": "Refused: recall.", "lines": [line]})
    shown = as_user("anna").get(f"/deposits/{deposit.pk}").content.decode()
    assert "recall: too low" in shown and "Refused: recall." in shown and "at least 0.09" in shown
    address = f"/operator/deposits/{deposit.pk}/publish"
    assert as_user("anna").post(address, {"reason": "please"}).status_code == 302
    assert browser.get("/clinic-a/chest").status_code == 404
    operator = as_user("operator", is_staff=True, is_superuser=True)
    assert "recall: too low" in operator.get("/operator").content.decode()
    operator.post(address, {"reason": ""})
    assert browser.get("/clinic-a/chest").status_code == 404
    operator.post(address, {"reason": "for the lecture"})
    assert "for the lecture" in browser.get("/clinic-a/chest").content.decode()
    assert LogEntry.objects.filter(what="published", who="operator").exists()
    assert "published" in operator.get("/operator/log").content.decode()
    assert operator.get("/admin/").status_code == 200 and operator.get("/admin/hub/token/").status_code == 200
