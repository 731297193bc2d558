"""The coordinator's pages, and who is kept out of them."""

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

BOTH = pytest.mark.parametrize("database", ["SQLite", "PostgreSQL"], indirect=True)
OPEN = {"healthz", "metrics", "login", "logout", "welcome"}
OF_READERS = {"invitation", "read", "consent", "display", "act", "image"}


def routes() -> Iterator[tuple[str, str]]:
    """Name and an example of every address."""
    from django.urls import get_resolver

    def walk(patterns: Any, before: str) -> Iterator[tuple[str, str]]:
        for pattern in patterns:
            route = before + str(pattern.pattern)
            if hasattr(pattern, "url_patterns"):
                yield from walk(pattern.url_patterns, route)
            else:
                example = re.sub(r"<int:\w+>", "1", route)
                yield pattern.name, "/" + re.sub(r"<[\w:]+>", "answers.csv", example)

    yield from walk(get_resolver("radcommons.study.urls").url_patterns, "")


def test_no_address_is_open_to_strangers_to_readers_who_are_revoked_or_to_those_whom_it_is_not_for(
    serve_study: Callable[..., Any], reader: Callable[..., Any], coordinator: Callable[[], Any]
) -> None:
    from django.test import Client

    study = serve_study(practice=0)
    ann, bea, client = reader("ann"), reader("bea"), coordinator()
    image = bea.show()["image"]
    client.post(f"/readers/{bea.reader.pk}/revoke")
    tried = set()
    for name, path in routes():
        if name in OPEN | OF_READERS:
            continue
        tried.add(name)
        for method in ("get", "post"):
            refused = 302 if name == "second-factor" else 403  # which is for any account: the login comes first
            for one in (ann, bea):
                assert getattr(one.client, method)(path).status_code == refused, path
            stranger = getattr(Client(SERVER_NAME="localhost"), method)(path)
            assert stranger.status_code == 302 and stranger["Location"].startswith("/login"), path
    assert {"dashboard", "reader", "invite", "revoke", "relink", "pause", "export", "log"} <= tried
    assert {"images", "pair", "picture", "small-picture"} <= tried
    for image in study.images:  # before letters were covered
        assert ann.client.get(f"/picture/{image.name}").status_code == 403
    of_readers = [path for name, path in routes() if name in OF_READERS]
    assert len(of_readers) == len(OF_READERS)
    for path in (*of_readers, image, "/read/go"):
        for method in ("get", "post"):
            for one in (Client(SERVER_NAME="localhost"), bea.client, client):
                assert getattr(one, method)(path).status_code in (403, 404, 405), path
    assert [row.answer for row in bea.reader.showings.all()] == [""]


def test_an_account_that_is_not_the_coordinators_is_refused(serve_study: Callable[..., Any]) -> None:
    from django.contrib.auth import get_user_model
    from django.test import Client

    serve_study()
    client = Client(SERVER_NAME="localhost")
    client.force_login(
        get_user_model().objects.create_user("guest"), backend="django.contrib.auth.backends.ModelBackend"
    )
    assert client.get("/").status_code == 403


def test_the_dashboard_counts_images_without_those_for_practice_and_tells_nothing_of_results(
    serve_study: Callable[..., Any], reader: Callable[..., Any], coordinator: Callable[[], Any], clock: Any
) -> None:
    serve_study(practice=2, seconds=30)
    browser = reader()
    browser.read(6)
    browser.show()
    clock.wait(31)
    browser.ask("state")
    page = coordinator().get("/").content.decode()
    assert "5/12" in page and re.search(r'data-head="Timed out">1</td>', page)
    assert "right" not in page and "accuracy" not in page


def test_invitations_are_made_one_a_line_and_a_name_is_taken_once(
    serve_study: Callable[..., Any], coordinator: Callable[[], Any]
) -> None:
    from radcommons.study.models import LogEntry, Reader

    serve_study(groups=["residents", "radiologists"])
    client = coordinator()
    client.post("/invite", {"names": " ann \n\nbea\nann\n", "group": "residents"})
    assert list(Reader.objects.values_list("name", "group")) == [("ann", "residents"), ("bea", "residents")]
    page = client.post("/invite", {"names": "cyd\nbea", "group": "residents"}, follow=True).content.decode()
    assert "Nobody was invited: already invited: bea." in page and Reader.objects.count() == 2
    assert client.post("/invite", {"names": "dan", "group": "others"}).status_code == 404
    page = client.post("/invite", {"names": "x" * 101, "group": "residents"}, follow=True).content.decode()
    assert "at most 100 characters" in page and Reader.objects.count() == 2
    link = Reader.objects.get(name="ann").link
    assert f"http://localhost{link}" in client.get("/readers/1").content.decode()
    assert LogEntry.objects.filter(what="invited").count() == 2


@BOTH
def test_the_log_names_who_did_what_and_the_database_refuses_to_change_it(
    serve_study: Callable[..., Any], reader: Callable[..., Any], coordinator: Callable[[], Any]
) -> None:
    from django.db import DatabaseError, transaction

    from radcommons.study.models import LogEntry

    serve_study(practice=0)
    browser, client = reader(), coordinator()
    client.post("/pause", {"pause": "1"})
    client.post("/pause", {"pause": "1"})
    client.post("/pause", {"pause": "0"})
    client.get("/export/answers.csv")
    client.post(f"/readers/{browser.reader.pk}/revoke")
    said = list(LogEntry.objects.order_by("id").values_list("who", "what"))
    assert said == [
        ("the command line", "coordinator made"),
        ("ann", "consented"),
        ("ann", "display checked"),
        *[("coordinator", what) for what in ("paused", "resumed", "exported", "invitation revoked")],
    ]
    assert "invitation revoked" in client.get("/log").content.decode()
    for change in (lambda: LogEntry.objects.update(who="x"), lambda: LogEntry.objects.all().delete()):
        with pytest.raises(DatabaseError, match="never changed"), transaction.atomic():
            change()


@BOTH
def test_the_answers_of_a_reader_who_withdraws_are_deleted_after_the_invitation_is_revoked(
    serve_study: Callable[..., Any], reader: Callable[..., Any], coordinator: Callable[[], Any]
) -> None:
    serve_study(practice=0)
    ann, bea = reader("ann"), reader("bea")
    ann.read(3)
    bea.read(2)
    client, number = coordinator(), ann.reader.pk
    assert client.post(f"/readers/{number}/erase").status_code == 404
    assert ann.reader.showings.count() == 4  # the next one is due
    client.post(f"/readers/{number}/revoke")
    assert "Delete the answers" in client.get(f"/readers/{number}").content.decode()
    assert client.post(f"/readers/{number}/erase").status_code == 302
    ann.reader.refresh_from_db()
    assert (ann.reader.showings.count(), ann.reader.displays, bea.reader.showings.count()) == (0, [], 3)
