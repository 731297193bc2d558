import json
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from radcommons.hub import deposit as module

JSON = "application/json"
NO_DATABASE = pytest.mark.parametrize("database", ["SQLite"], indirect=True)  # refused before any database is asked
NO_SCOPE = {"Authorization": ""}


@pytest.fixture
def asked(packaged: Path, announce) -> dict[str, Any]:
    return announce(packaged, "clinic-a/chest")


def begin(browser, asked: Any, headers: dict[str, str]) -> Any:
    return browser.post("/api/deposits", asked, content_type=JSON, headers=headers)


def patch(browser, about, path: str, content: bytes, offset: object, headers) -> Any:
    return browser.patch(
        f"/api/deposits/{about['id']}/files/{path}",
        content,
        headers={**headers, "Upload-Offset": str(offset)},
        content_type="application/offset+octet-stream",
    )


# ---- the protocol ----


def test_an_upload_goes_on_where_it_broke_off(browser, deposited, packaged: Path, anna, asked) -> None:
    about = begin(browser, asked, anna.headers()).json()
    assert about["state"] == "uploading" and set(about["here"].values()) == {0}
    content = (packaged / "generator.safetensors").read_bytes()
    assert patch(browser, about, "generator.safetensors", content[:100], 0, anna.headers())["Upload-Offset"] == "100"
    head = browser.head(f"/api/deposits/{about['id']}/files/generator.safetensors", headers=anna.headers())
    assert (head["Upload-Offset"], head["Upload-Length"], head["Cache-Control"]) == (
        "100",
        str(len(content)),
        "no-store",
    )
    again = begin(browser, asked, anna.headers()).json()
    assert (again["id"], again["here"]["generator.safetensors"]) == (about["id"], 100)
    done = deposited(packaged, anna, "chest", piece=1000)
    assert (done["id"], done["state"], done["here"]) == (about["id"], "submitted", None)


def test_a_piece_that_does_not_fit_changes_nothing(browser, anna, asked) -> None:
    about = begin(browser, asked, anna.headers()).json()
    size = asked["files"]["config.json"]["size"]
    assert patch(browser, about, "config.json", b"x" * 10, 0, anna.headers()).status_code == 204
    for content, offset, status, said in (
        (b"x", 0, 409, "10 bytes of config.json are here; go on from there"),
        (b"x", 11, 409, "10 bytes"),
        (b"x" * size, 10, 413, f"was announced with {size} bytes"),
        (b"x" * (module.PIECE + 1), 10, 413, "a piece has at most"),
        (b"x", -1, 400, "each a number"),
        (b"x", "1e3", 400, "each a number"),
        (b"x", "9" * 30, 400, "each a number"),
    ):
        answer = patch(browser, about, "config.json", content, offset, anna.headers())
        assert answer.status_code == status and said in answer.json()["errors"][0]
    without = browser.patch(f"/api/deposits/{about['id']}/files/config.json", b"x", headers=anna.headers())
    assert without.status_code == 400
    assert begin(browser, asked, anna.headers()).json()["here"]["config.json"] == 10


@NO_DATABASE
@pytest.mark.parametrize(
    "path", ["other.bin", "../../site.sqlite3", "/etc/passwd", "samples/../config.json", "a%00b", "ü"]
)
def test_a_path_that_was_not_announced_is_not_written(browser, anna, asked, hub_data: Path, path: str) -> None:
    about = begin(browser, asked, anna.headers()).json()
    before = sorted(hub_data.rglob("*"))
    assert patch(browser, about, path, b"x", 0, anna.headers()).status_code in (400, 404)
    assert sorted(hub_data.rglob("*")) == before


@NO_DATABASE
@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"../config.json": {"size": 1, "sha256": "0" * 64}}, "does not belong in a package"),
        ({"samples/../../x.png": {"size": 1, "sha256": "0" * 64}}, "does not belong in a package"),
        ({"samples/x.svg": {"size": 1, "sha256": "0" * 64}}, "does not belong in a package"),
        ({"code.py": {"size": 1, "sha256": "0" * 64}}, "does not belong in a package"),
        ({"config.json": {"size": -1, "sha256": "0" * 64}}, "its size is not from 0 to"),
        ({"config.json": {"size": 2**40, "sha256": "0" * 64}}, "its size is not from 0 to"),
        ({"config.json": {"size": True, "sha256": "0" * 64}}, "its size is not from 0 to"),
        ({"config.json": {"size": 1.0, "sha256": "0" * 64}}, "its size is not from 0 to"),
        ({"config.json": {"size": float("nan"), "sha256": "0" * 64}}, "its size is not from 0 to"),
        ({"config.json": {"size": 10**400, "sha256": "0" * 64}}, "its size is not from 0 to"),
        ({"config.json": {"size": 1, "sha256": "0" * 63}}, "not 64 hexadecimal digits"),
        ({"config.json": {"size": 1, "sha256": ["0" * 64]}}, "not 64 hexadecimal digits"),
        ({"config.json": {"size": 1, "sha256": "٣" * 64}}, "not 64 hexadecimal digits"),
        ({"config.json": [1, "0" * 64]}, "its size is not from 0 to"),
        ({"config.json": None}, "its size is not from 0 to"),
        ({f"samples/{i}.png": {"size": 1, "sha256": "0" * 64} for i in range(205)}, "pictures|files, at most"),
        ({f"x{i}": None for i in range(300)}, "files, at most"),
    ],
    ids=str,
)  # fmt: skip
def test_what_is_announced_wrongly_is_named(browser, anna, asked, change: dict[str, Any], said: str) -> None:
    import re

    asked["files"] |= change
    answer = begin(browser, json.dumps(asked), anna.headers())
    assert answer.status_code == 400
    assert any(re.search(said, reason) for reason in answer.json()["errors"])
    del asked["files"]["generator.safetensors"]
    assert begin(browser, json.dumps(asked), anna.headers()).status_code == 400


@NO_DATABASE
@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"[]", b"null", b"3", b"NaN", b"[" * 100_000, b'{"a":' * 50_000, b"\xff\xfe", b'{"generator": 3}',
        b'{"generator": "clinic-a/chest", "files": []}', b'{"generator": "clinic-a/chest", "files": {}}',
        b'{"generator": "clinic-a/\\u0000", "files": {}}', b'{"generator": "clinic-a/\\ud800", "files": {}}',
        b'{"generator": ' + b"9" * 5000 + b"}", b'"' + b"x" * 2**20 + b'"',
    ],
    ids=lambda body: body[:40].decode(errors="replace"),
)  # fmt: skip
def test_a_body_that_is_no_announcement_is_refused(browser, anna, body: bytes) -> None:
    answer = browser.post("/api/deposits", body, content_type=JSON, headers=anna.headers())
    assert answer.status_code in (400, 403, 413) and answer.json()["errors"]


@NO_DATABASE
@pytest.mark.parametrize("name", ["", "A", "a/b", "-a", "a-", "..", "a b", "ä", "a" * 65, "a\n"])
def test_a_name_that_is_no_name_is_refused(browser, anna, asked, name: str) -> None:
    answer = begin(browser, {**asked, "generator": f"clinic-a/{name}"}, anna.headers())
    assert answer.status_code == 400 and "is not allowed" in answer.json()["errors"][0]


def test_a_deposit_that_is_not_whole_is_not_submitted_and_damaged_files_are_uploaded_again(
    browser, deposited, packaged: Path, anna, asked
) -> None:
    about = begin(browser, asked, anna.headers()).json()
    size = asked["files"]["config.json"]["size"]
    patch(browser, about, "config.json", b"x" * size, 0, anna.headers())
    refused = browser.post(f"/api/deposits/{about['id']}/submit", headers=anna.headers())
    assert refused.status_code == 409
    assert "config.json: its content is not what was announced; upload it again" in refused.json()["errors"]
    assert f"README.md: 0 of {asked['files']['README.md']['size']} bytes are here" in refused.json()["errors"]
    assert begin(browser, asked, anna.headers()).json()["here"]["config.json"] == 0
    assert deposited(packaged, anna, "chest")["state"] == "submitted"


def test_a_deposit_is_submitted_once_and_does_not_change_after(browser, deposited, packaged: Path, anna) -> None:
    from django_tasks_db.models import DBTaskResult

    about = deposited(packaged, anna, "chest")
    again = browser.post(f"/api/deposits/{about['id']}/submit", headers=anna.headers())
    assert (again.status_code, again.json()["state"]) == (202, "submitted")
    assert DBTaskResult.objects.count() == 1
    answer = patch(browser, about, "config.json", b"x", about["files"]["config.json"]["size"], anna.headers())
    assert answer.status_code == 409 and "is waiting for the gate" in answer.json()["errors"][0]
    assert browser.delete(f"/api/deposits/{about['id']}", headers=anna.headers()).json()["state"] == "submitted"


def test_a_deposit_can_be_given_up(browser, anna, asked, hub_data: Path) -> None:
    about = begin(browser, asked, anna.headers()).json()
    patch(browser, about, "config.json", b"x", 0, anna.headers())
    assert browser.delete(f"/api/deposits/{about['id']}", headers=anna.headers()).json()["state"] == "abandoned"
    assert not (hub_data / "staging" / about["id"]).exists()
    for answer in (
        patch(browser, about, "config.json", b"x", 0, anna.headers()),
        browser.post(f"/api/deposits/{about['id']}/submit", headers=anna.headers()),
    ):
        assert answer.status_code == 409
    assert begin(browser, asked, anna.headers()).json()["id"] != about["id"]


def test_an_organisation_has_so_many_open_deposits_and_no_more(browser, anna, asked, monkeypatch) -> None:
    monkeypatch.setattr(module, "MOST_OPEN", 2)
    names = ("a", "b", "c")
    answers = [begin(browser, {**asked, "generator": f"clinic-a/{name}"}, anna.headers()) for name in names]
    assert [answer.status_code for answer in answers] == [201, 201, 429]


def test_two_that_announce_the_same_at_once_get_the_same_deposit(hub_data: Path, anna, asked) -> None:
    from django.db import connections
    from django.test import Client

    def one(_: int) -> str:
        try:
            return begin(Client(SERVER_NAME="localhost"), asked, anna.headers()).json()["id"]
        finally:
            connections.close_all()

    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(one, range(8)))) == 1


# ---- the machine ----


def test_a_disk_without_room_is_said_before_anything_is_sent(browser, anna, asked, monkeypatch) -> None:
    monkeypatch.setattr(module, "SPARE", 2**60)
    answer = begin(browser, asked, anna.headers())
    assert answer.status_code == 507 and "the disk of the hub has too little room" in answer.json()["errors"][0]


def test_a_disk_that_fills_up_is_said_and_the_upload_goes_on_later(
    browser, deposited, packaged: Path, anna, asked, monkeypatch
) -> None:
    import errno

    about = begin(browser, asked, anna.headers()).json()

    def full(path: Path, mode: str = "r", *rest: Any, **named: Any) -> Any:
        if "staging" in path.parts and "a" in mode:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(path, mode, *rest, **named)

    real = Path.open
    monkeypatch.setattr(Path, "open", full)
    answer = patch(browser, about, "config.json", b"{", 0, anna.headers())
    assert answer.status_code == 507 and "the disk of the server is full" in answer.json()["error"]
    monkeypatch.undo()
    assert deposited(packaged, anna, "chest")["state"] == "submitted"


# ---- who may ----


@pytest.mark.parametrize(
    "text", ["", "Bearer", "Bearer ", "Basic YTpi", "Bearer rc_wrong", "Bearer \xfc", "Bearer a b"]
)
def test_without_a_valid_token_nothing_is_done(browser, anna, asked, text: str) -> None:
    about = begin(browser, asked, anna.headers()).json()
    for method, address in (
        ("post", "/api/deposits"), ("get", f"/api/deposits/{about['id']}"), ("delete", f"/api/deposits/{about['id']}"),
        ("post", f"/api/deposits/{about['id']}/submit"), ("patch", f"/api/deposits/{about['id']}/files/config.json"),
        ("post", "/api/generators/clinic-a/chest/withdraw"),
    ):  # fmt: skip
        answer = getattr(browser, method)(address, headers={"Authorization": text})
        assert (answer.status_code, answer["WWW-Authenticate"]) == (401, "Bearer")
        assert "ask the operator" in answer.json()["errors"][0]


def test_a_token_ends_when_it_expires_is_revoked_or_its_user_leaves(browser, anna, asked) -> None:
    from django.contrib.auth import get_user_model
    from django.utils import timezone

    from radcommons.hub import accounts
    from radcommons.hub.models import Token

    token, user = Token.objects.get(scope="deposit"), get_user_model().objects.get(username="anna")
    now = timezone.now()
    for model, change, back in (
        (token, {"expires": now - timedelta(seconds=1)}, {"expires": now + timedelta(days=1)}),
        (token, {"revoked": now}, {"revoked": None}),
        (user, {"is_active": False}, {"is_active": True}),
    ):
        type(model).objects.filter(pk=model.pk).update(**change)
        assert begin(browser, asked, anna.headers()).status_code == 401
        type(model).objects.filter(pk=model.pk).update(**back)
        assert begin(browser, asked, anna.headers()).status_code == 201
    accounts.remove_user("anna", "clinic-a")
    assert begin(browser, asked, anna.headers()).status_code == 401


def test_a_token_is_of_use_for_its_own_organisation_only(browser, anna, bert, asked, published, packaged: Path) -> None:
    about = begin(browser, asked, anna.headers()).json()
    refused = begin(browser, asked, bert.headers())
    assert refused.status_code == 403 and "this token is for clinic-b, not for clinic-a" in refused.json()["errors"][0]
    for method, address in (
        ("get", f"/api/deposits/{about['id']}"), ("delete", f"/api/deposits/{about['id']}"),
        ("post", f"/api/deposits/{about['id']}/submit"), ("head", f"/api/deposits/{about['id']}/files/config.json"),
    ):  # fmt: skip
        assert getattr(browser, method)(address, headers=bert.headers()).status_code == 404
    published(packaged, anna, "other")
    answer = browser.post(
        "/api/generators/clinic-a/other/withdraw",
        {"reason": "envy"},
        content_type=JSON,
        headers=bert.headers(scope="withdraw"),
    )
    assert answer.status_code == 404
    assert browser.get("/api/models/clinic-a/other").status_code == 200


def withdraw(browser, member, reason: object, *, scope: str = "withdraw") -> Any:
    return browser.post(
        "/api/generators/clinic-a/chest/withdraw",
        json.dumps({"reason": reason}),
        content_type=JSON,
        headers=member.headers(scope=scope),
    )


def test_a_withdrawal_needs_its_scope_and_a_reason_and_happens_once(browser, anna, published, packaged: Path) -> None:
    from radcommons.hub.models import Generator

    published(packaged, anna, "chest")
    assert withdraw(browser, anna, "why", scope="deposit").status_code == 403
    for reason in ("", "  ", None, "x" * 2001):
        assert withdraw(browser, anna, reason).status_code == 400
    assert withdraw(browser, anna, "\u0000").status_code == 400
    assert withdraw(browser, anna, "first").status_code == 200
    assert withdraw(browser, anna, "second").status_code == 410
    assert Generator.objects.get().withdrawn_because == "first"


def test_neither_the_name_nor_the_weights_of_a_withdrawn_generator_come_back(
    browser, anna, published, packaged: Path, announce
) -> None:
    published(packaged, anna, "chest")
    withdraw(browser, anna, "leak")
    for name, said in (
        ("chest", "its name is not used again"),
        ("other", "these weights were withdrawn, as clinic-a/chest"),
    ):
        answer = begin(browser, announce(packaged, f"clinic-a/{name}"), anna.headers())
        assert answer.status_code == 410 and said in answer.json()["errors"][0]
