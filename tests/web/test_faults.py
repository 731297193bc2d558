"""What a site answers to health checks, to Prometheus, and where something goes wrong."""

import json
from typing import Any

import pytest
from django.db import OperationalError


def test_the_site_is_well_as_long_as_its_database_answers(browser: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert browser.get("/healthz").status_code == 200

    def away(*_: object, **__: object) -> None:
        raise OperationalError("gone")

    monkeypatch.setattr("django.db.backends.utils.CursorWrapper.execute", away)
    assert browser.get("/healthz").status_code == 503
    answer = browser.get("/api/models")
    assert answer.status_code == 503 and answer["Retry-After"] and "database" in answer.json()["error"]


def test_metrics_are_for_this_machine_only(browser: Any) -> None:
    assert b"radcommons_requests" in browser.get("/metrics").content
    assert browser.get("/metrics", REMOTE_ADDR="192.0.2.7").status_code in (403, 404)
    assert browser.get("/metrics", headers={"X-Forwarded-For": "192.0.2.7"}).status_code in (403, 404)


def test_a_name_with_a_nul_character_is_refused_before_any_database(browser: Any) -> None:
    for address in ("/api/models/a%00/b", "/?search=%00", "/a/b%00"):
        assert browser.get(address).status_code == 400, address


def test_programs_get_json_and_people_a_page_where_nothing_is(browser: Any) -> None:
    assert browser.get("/api/nothing").json()["error"]
    page = browser.get("/nothing/here/at/all")
    assert page.status_code == 404 and "There is nothing at this address" in page.content.decode()


def test_a_page_says_in_words_what_went_wrong_even_without_a_database(
    browser: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object, **__: object) -> None:
        raise OperationalError("gone")

    monkeypatch.setattr("django.db.backends.utils.CursorWrapper.execute", away)
    answer = browser.get("/")
    assert (
        answer.status_code == 503 and "The database does not answer; try again in a moment." in answer.content.decode()
    )
    assert answer["Content-Type"].startswith("text/html") and "Error 503" in answer.content.decode()


def test_after_eight_wrong_passwords_a_page_says_how_long_to_wait(browser: Any, anna: Any) -> None:
    for _ in range(8):
        answer = browser.post("/login", {"username": "anna", "password": "a wrong password"})
    assert answer.status_code == 429 and "Try again in 15 minutes" in answer.content.decode()


def test_a_strangers_name_for_the_site_is_refused(browser: Any) -> None:
    assert browser.get("/", SERVER_NAME="evil.example.org").status_code == 400


def test_no_log_line_holds_a_token_or_a_query(browser: Any, anna: Any, caplog: pytest.LogCaptureFixture) -> None:
    from radcommons.web.requests import JsonLines

    with caplog.at_level("INFO", logger="radcommons.requests"):
        browser.get("/api/deposits/none?secret=1", headers=anna.headers())
    lines = [JsonLines().format(record) for record in caplog.records]
    assert not any(anna.token in line or "secret" in line for line in lines)
    assert [json.loads(line)["status"] for line in lines if '"message": "request"' in line] == [404]


def test_the_description_of_the_interface_names_every_address_of_it(browser: Any) -> None:
    described = browser.get("/api/openapi.json").json()
    assert described["openapi"].startswith("3.")
    paths = " ".join(described["paths"])
    for part in ("/api/deposits", "/submit", "/files/", "/withdraw", "/api/models", "/api/keys/"):
        assert part in paths, part
