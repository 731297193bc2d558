"""What meets at the same moment: one answer counts, none is lost or doubled, nobody is told of a mistake of the server.

On both databases, because SQLite lets one writer in at a time and PostgreSQL locks the reader's row.
"""

import csv
import io
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Barrier, Semaphore
from typing import Any

import pytest

pytestmark = pytest.mark.parametrize("database", ["SQLite", "PostgreSQL"], indirect=True)
READERS, EACH = 50, 2
SERVERS_THREADS = 16  # of the server, as it is started without options


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every request waits between what it reads and what it writes."""
    from radcommons.study.reading import Reading

    count = Reading._count_timed_out

    def wait(way: Any) -> None:
        count(way)
        time.sleep(0.1)

    monkeypatch.setattr(Reading, "_count_timed_out", wait)


def at_once(*calls: Callable[[], Any]) -> list[Any]:
    """What requests are answered that are sent together, each over a connection of its own to the database."""
    from django.db import connections

    together = Barrier(len(calls))

    def run(call: Callable[[], Any]) -> Any:
        together.wait(60)
        try:
            return call()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(calls)) as pool:
        return [done.result() for done in [pool.submit(run, call) for call in calls]]


def answered(browser: Any) -> list[tuple[int, str]]:
    return list(browser.reader.showings.filter(answered__isnull=False).values_list("position", "answer"))


def test_of_two_answers_at_once_one_counts_and_the_other_is_refused(
    serve_study: Callable[..., Any], reader: Callable[..., Any], slow: None
) -> None:
    serve_study(practice=0)
    browser = reader()
    for position in range(3):
        browser.show()
        both = at_once(*(partial(browser.ask, "answer", position=position, answer=a) for a in ("real", "synthetic")))
        assert sorted(answer.status_code for answer in both) == [200, 409]
        counted = ("real", "synthetic")[both[1].status_code == 200]
        assert answered(browser)[position:] == [(position, counted)]


def test_two_requests_for_the_next_image_are_given_the_same_and_time_out_once(
    serve_study: Callable[..., Any], reader: Callable[..., Any], clock: Any, slow: None
) -> None:
    serve_study(practice=0, seconds=30)
    browser = reader()
    steps = [answer.json() for answer in at_once(*[partial(browser.ask, "go")] * 2)]
    assert steps[0] == steps[1] and (steps[0]["do"], steps[0]["position"]) == ("show", 0)
    browser.show()
    clock.wait(31)
    steps = [answer.json() for answer in at_once(*[partial(browser.ask, "state")] * 2)]
    assert steps[0] == steps[1] and steps[0]["position"] == 1
    assert answered(browser) == [(0, "timed out")] and browser.reader.showings.count() == 2


def test_of_two_tabs_that_open_at_once_one_reads_and_the_other_is_told(
    serve_study: Callable[..., Any], reader: Callable[..., Any], slow: None
) -> None:
    from radcommons.study.models import LogEntry

    serve_study(practice=0)
    browser = reader()
    seats = at_once(*[lambda: browser.reload().seat] * 2)
    pages = at_once(*(partial(browser.client.post, "/read/go", {"seat": seat}) for seat in seats))
    assert sorted(page.json()["do"] for page in pages) == ["show", "taken"]
    assert LogEntry.objects.filter(what="opened again").count() == 2


def test_what_was_asked_about_an_answer_is_kept_once(
    serve_study: Callable[..., Any], reader: Callable[..., Any], slow: None
) -> None:
    serve_study(practice=0, confidence=True)
    browser = reader()
    browser.read(1)
    both = at_once(*(partial(browser.ask, "details", position=0, confidence=n) for n in (2, 4)))
    assert sorted(answer.status_code for answer in both) == [200, 409]
    assert browser.reader.showings.get(position=0).details == {"confidence": (2, 4)[both[1].status_code == 200]}


def test_an_answer_that_meets_the_end_of_the_invitation_counts_before_it_or_not_at_all(
    serve_study: Callable[..., Any],
    reader: Callable[..., Any],
    coordinator: Callable[[], Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from radcommons.study import readers

    serve_study(practice=0)
    client, reading = coordinator(), readers.reading
    ann, bea = reader("ann"), reader("bea")
    ann.show()
    answer, gone = at_once(
        partial(ann.ask, "answer", position=0, answer="real"),
        partial(client.post, f"/readers/{ann.reader.pk}/revoke"),
    )
    assert (answer.status_code, gone.status_code) in ((200, 302), (403, 302))
    assert answered(ann) == ([(0, "real")] if answer.status_code == 200 else [])
    bea.show()

    def ended(**which: Any) -> Any:  # when the request has already been found to be a reader's
        for what in ("revoke", "erase"):
            assert client.post(f"/readers/{bea.reader.pk}/{what}").status_code == 302
        return reading(**which)

    monkeypatch.setattr(readers, "reading", ended)
    assert bea.ask("answer", position=0, answer="real").status_code == 403
    assert bea.reader.showings.count() == 0


def test_answers_are_deleted_once_nobody_holds_them_so_that_none_comes_back(
    serve_study: Callable[..., Any], reader: Callable[..., Any], coordinator: Callable[[], Any]
) -> None:
    from django.db import connections

    from radcommons.study.reading import reading

    serve_study(practice=0)
    browser, client = reader(), coordinator()
    browser.read(1)
    client.post(f"/readers/{browser.reader.pk}/revoke")

    def erase() -> int:
        try:
            return int(client.post(f"/readers/{browser.reader.pk}/erase").status_code)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(1) as pool:
        with reading(pk=browser.reader.pk) as way:  # as an export has it
            row = way._row(0)
            erased = pool.submit(erase)
            time.sleep(0.3)
            row.save()
        assert erased.result() == 302
    assert browser.reader.showings.count() == 0


def test_a_form_of_invitations_that_is_sent_twice_invites_once(
    serve_study: Callable[..., Any], coordinator: Callable[[], Any]
) -> None:
    from radcommons.study.models import LogEntry, Reader

    serve_study()
    clients = [coordinator() for _ in range(4)]
    form = {"names": "\n".join(f"reader {n}" for n in range(20)), "group": "readers"}
    sent = at_once(*(partial(client.post, "/invite", form) for client in clients))
    assert {answer.status_code for answer in sent} == {302}
    assert Reader.objects.count() == LogEntry.objects.filter(what="invited").count() == 20


def test_fifty_readers_at_once_lose_no_answer(
    serve_study: Callable[..., Any], reader: Callable[..., Any], coordinator: Callable[[], Any]
) -> None:
    from radcommons.study.models import Reader

    study = serve_study(practice=0, sizes=(16,), each=EACH // 2)
    places = Semaphore(SERVERS_THREADS)
    browsers = [reader(f"reader {n}", begun=False).skip() for n in range(READERS)]
    given = [[("real", "synthetic")[(n >> position) % 2] for position in range(EACH)] for n in range(READERS)]

    def read(number: int) -> None:
        for answer in given[number]:
            with places:
                browsers[number].read(1, answer)

    at_once(*(partial(read, number) for number in range(READERS)))
    lines = list(csv.DictReader(io.StringIO(coordinator().get("/export/answers.csv").content.decode())))
    for number, browser in enumerate(browsers):
        kept = [(line["image"], line["answer"]) for line in lines if line["reader"] == browser.reader.name]
        names = [image.name for image in study.order(browser.reader.pk)]
        assert kept == list(zip(names, given[number], strict=True))
    assert Reader.objects.filter(finished__isnull=False).count() == READERS
