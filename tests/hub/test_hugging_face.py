import hashlib
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def revision(published, packaged: Path, anna) -> Any:
    return published(packaged, anna, "chest")


def resolve(revision: Any, path: str) -> str:
    return f"/clinic-a/chest/resolve/{revision.sha}/{path}"


def test_a_published_generator_is_listed_described_and_its_files_are_named(browser, revision, packaged: Path) -> None:
    (listed,) = browser.get("/api/models").json()
    assert (listed["id"], listed["sha"], listed["private"]) == ("clinic-a/chest", revision.sha, False)
    assert {"Effusion", "progan", "16px", "license:cc-by-nc-4.0"} <= set(listed["tags"])
    info = browser.get(f"/api/models/clinic-a/chest/revision/{revision.sha}").json()
    assert info["cardData"]["license"] == "cc-by-nc-4.0"
    assert browser.get("/api/models/clinic-a/chest").json() == info
    tree = browser.get(f"/api/models/clinic-a/chest/tree/{revision.sha}?recursive=true&expand=false").json()
    assert [file["path"] for file in tree] == [sibling["rfilename"] for sibling in info["siblings"]]
    for file in tree:
        content = (packaged / file["path"]).read_bytes()
        assert (file["size"], file["lfs"]["oid"]) == (len(content), hashlib.sha256(content).hexdigest())


def test_a_file_comes_whole_or_in_ranges_with_what_clients_need(browser, revision, packaged: Path) -> None:
    content = (packaged / "generator.safetensors").read_bytes()
    address = resolve(revision, "generator.safetensors")
    etag = f'"{hashlib.sha256(content).hexdigest()}"'
    for answer in (browser.head(address), browser.get(address)):
        assert answer.status_code == 200
        assert (answer["X-Repo-Commit"], answer["ETag"]) == (revision.sha, etag)
        assert (answer["Content-Length"], answer["Accept-Ranges"]) == (str(len(content)), "bytes")
        assert not any(name.lower().startswith("x-xet") for name in answer.headers)
    assert answer.getvalue() == content
    size = len(content)
    ranges = {
        "bytes=10-19": (10, 20), f"bytes={size - 5}-": (size - 5, size), "bytes=-7": (size - 7, size),
        f"bytes=5-{size + 9}": (5, size), "bytes=0-0": (0, 1),
    }  # fmt: skip
    for wanted, (first, last) in ranges.items():
        part = browser.get(address, headers={"Range": wanted})
        assert (part.status_code, part.getvalue()) == (206, content[first:last]), wanted
        assert part["Content-Range"] == f"bytes {first}-{last - 1}/{size}"
    for wanted in (f"bytes={size}-", "bytes=-0", "bytes=9-3"):
        answer = browser.get(address, headers={"Range": wanted})
        assert (answer.status_code, answer["Content-Range"]) == (416, f"bytes */{size}")
    for ignored in ("bytes=" + "9" * 5000 + "-", "bytes=0-1,3-4", "bytes=a-", "lines=1-2", "bytes=-"):
        assert browser.get(address, headers={"Range": ignored}).status_code == 200, ignored
    changed = browser.get(address, headers={"Range": "bytes=0-3", "If-Range": '"another"'})
    assert changed.status_code == 200


def test_a_client_that_has_the_file_is_told_so(browser, revision) -> None:
    address = resolve(revision, "config.json")
    etag = browser.head(address)["ETag"]
    for known in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        answer = browser.get(address, headers={"If-None-Match": known})
        assert (answer.status_code, answer.content, answer["ETag"]) == (304, b"", etag)
    assert browser.get(address, headers={"If-None-Match": '"other"'}).status_code == 200


def test_what_is_not_there_is_said_in_the_codes_that_clients_know(browser, revision) -> None:
    cases = {
        "/api/models/clinic-a/none": "RepoNotFound",
        "/api/models/none/chest": "RepoNotFound",
        "/api/models/clinic-a/a%0D%0AX-Header:%20b%7F": "RepoNotFound",
        "/clinic-a/none/resolve/main/config.json": "RepoNotFound",
        "/api/models/clinic-a/chest/revision/" + "0" * 40: "RevisionNotFound",
        "/api/models/clinic-a/chest/tree/v1": "RevisionNotFound",
        "/clinic-a/chest/resolve/v1/config.json": "RevisionNotFound",
        "/clinic-a/chest/resolve/main/other.json": "EntryNotFound",
        "/clinic-a/chest/resolve/main/../../secret.key": "EntryNotFound",
        "/clinic-a/chest/resolve/main/Lungenentzündung.png": "EntryNotFound",
        "/api/keys/" + "0" * 64: "EntryNotFound",
        "/api/nothing/here": "EntryNotFound",
    }
    for address, code in cases.items():
        for answer in (browser.get(address), browser.head(address)):
            assert (answer.status_code, answer["X-Error-Code"]) == (404, code), address
        assert browser.get(address).json()["error"]


def test_a_name_with_a_nul_character_is_refused(browser, revision) -> None:
    for address in (
        "/api/models/clinic-a/a%00b", "/clinic-a/chest/resolve/main/a%00.json", "/api/models?search=%00",
        "/clinic%00-a/chest", "/api/deposits/%00", "/login?next=%00",
    ):  # fmt: skip
        assert browser.get(address).status_code == 400, address


def test_nothing_but_reading_is_allowed(browser, revision) -> None:
    for address in ("/api/models", "/api/models/clinic-a/chest", resolve(revision, "config.json"), "/api/openapi.json"):
        for method in ("post", "put", "delete", "patch"):
            assert getattr(browser, method)(address).status_code in (403, 405)  # 403 where a session would be needed


def test_a_withdrawn_generator_answers_410_with_the_reason_and_its_content_is_gone(
    browser, revision, anna, hub_data: Path
) -> None:
    withdrawn = browser.post(
        "/api/generators/clinic-a/chest/withdraw",
        {"reason": "the consent\nof a patient was withdrawn ü"},
        content_type="application/json",
        headers=anna.headers(scope="withdraw"),
    )
    assert withdrawn.status_code == 200
    for address in (
        "/api/models/clinic-a/chest", f"/api/models/clinic-a/chest/revision/{revision.sha}",
        f"/api/models/clinic-a/chest/tree/{revision.sha}", resolve(revision, "README.md"),
    ):  # fmt: skip
        for answer in (browser.head(address), browser.get(address)):
            assert (answer.status_code, answer["X-Error-Code"]) == (410, "RepoWithdrawn")
            assert "the consent of a patient was withdrawn ?" in answer["X-Error-Message"]
        assert "was withdrawn ü" in answer.json()["error"]
    assert browser.get("/api/models").json() == []
    assert [path for path in (hub_data / "files").rglob("*") if path.is_file()] == []


def test_content_that_is_lost_is_no_mistake_of_the_reader(browser, revision, hub_data: Path) -> None:
    for path in (hub_data / "files").rglob("*"):
        if path.is_file():
            path.unlink()
    assert browser.get(resolve(revision, "config.json")).status_code == 410


def test_downloads_of_the_weights_are_counted_and_looks_are_not(browser, revision) -> None:
    address = resolve(revision, "generator.safetensors")
    browser.head(address)
    browser.get(resolve(revision, "config.json")).getvalue()
    assert browser.get("/api/models/clinic-a/chest").json()["downloads"] == 0
    browser.get(address).getvalue()
    assert browser.get("/api/models/clinic-a/chest").json()["downloads"] == 1


def test_the_list_is_searched_filtered_sorted_and_paged(
    browser, published, packaged: Path, pack, words, anna, tmp_path
) -> None:
    from dataclasses import replace

    published(packaged, anna, "first")
    other = pack(tmp_path / "other", words=replace(words, license="cc0-1.0")).folder
    second = published(other, anna, "second")
    type(second).objects.filter(pk=second.pk).update(fid=1.0, downloads=5)

    def names(query: str) -> list[str]:
        return [one["id"].partition("/")[2] for one in browser.get(f"/api/models?{query}").json()]

    assert names("") == ["second", "first"]
    assert names("search=IRS") == ["first"] == names("search=clinic-a/fir")
    assert names("search=clinic") == ["second", "first"] == names("author=clinic-a")
    assert names("author=clinic") == []
    assert names("filter=Effusion,license:cc0-1.0") == ["second"] == names("filter=Effusion&filter=license:cc0-1.0")
    assert names("filter=Pneumonia") == []
    assert names("sort=fid") == ["second", "first"] == names("sort=downloads")
    page = browser.get("/api/models?limit=1&search=clinic")
    assert [one["id"] for one in page.json()] == ["clinic-a/second"]
    assert page["Link"] == '<http://localhost/api/models?limit=1&search=clinic&cursor=1>; rel="next"'
    rest = browser.get(page["Link"][1:].partition(">")[0].removeprefix("http://localhost"))
    assert [one["id"] for one in rest.json()] == ["clinic-a/first"] and "Link" not in rest


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("limit=x", 400), ("limit=-1", 400), ("cursor=1.5", 400), ("limit=٣", 400), ("limit=" + "9" * 400, 400),
        ("limit=999999999999", 200), ("cursor=999999999999999999", 200), ("limit=0", 200),
        ("filter=" + ",".join(map(str, range(11))), 400), ("search=" + "%25_" * 900, 200), ("search=%ff%fe", 200),
        ("sort=trending_score&direction=-1", 200),
    ],
)  # fmt: skip
def test_no_query_is_too_much(browser, hub_data: Path, query: str, status: int) -> None:
    assert browser.get(f"/api/models?{query}").status_code == status


def test_a_card_with_script_in_it_is_sent_as_bytes_that_no_browser_runs(
    browser, published, pack, words, anna, tmp_path: Path
) -> None:
    from dataclasses import replace

    folder = pack(tmp_path / "p", words=replace(words, intended_use="<script>alert(1)</script>")).folder
    card = (folder / "README.md").read_text()
    assert "tags:\n" in card
    (folder / "README.md").write_text(card.replace("tags:\n", "tags:\n- <script>alert(2)</script>\n"))
    published(folder, anna, "chest")
    answer = browser.get("/clinic-a/chest/resolve/main/README.md")
    assert answer["Content-Type"] == "application/octet-stream"
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["Content-Disposition"] == 'attachment; filename="README.md"'
    assert "script-src 'self'" in answer["Content-Security-Policy"]
    for address in ("/api/models", "/api/models/clinic-a/chest"):
        answer = browser.get(address)
        assert "<script>alert(2)</script>" in str(answer.json())
        assert (answer["Content-Type"], answer["X-Content-Type-Options"]) == ("application/json", "nosniff")
    for address in ("/", "/clinic-a/chest", "/compare?a=clinic-a/chest&b=clinic-a/chest", "/clinic-a/chest/draw"):
        page = browser.get(address)
        assert page.status_code == 200 and b"<script" not in page.content, address
    browser.post(
        "/api/generators/clinic-a/chest/withdraw",
        {"reason": "<script>alert(3)</script>"},
        content_type="application/json",
        headers=anna.headers(scope="withdraw"),
    )
    page = browser.get("/clinic-a/chest")
    assert page.status_code == 410 and b"alert(3)" in page.content and b"<script" not in page.content


def statements(ask: Any) -> list[str]:
    """The SQL that an action sends."""
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    with CaptureQueriesContext(connection) as captured:
        ask()
    return [query["sql"] for query in captured.captured_queries]


def test_a_read_takes_one_or_two_statements_and_reads_no_long_field_that_it_does_not_show(browser, revision) -> None:
    wanted = {
        "/api/models/clinic-a/chest/revision/main": (2, {"summary"}),
        "/api/models/clinic-a/chest/tree/main": (1, set()),
        resolve(revision, "generator.safetensors"): (1, set()),
    }
    for address, expected in wanted.items():
        sent = statements(lambda address=address: browser.head(address))
        assert (len(sent), {n for n in ("summary", "verdict") if any(f'"{n}"' in one for one in sent)}) == expected


def test_a_list_sorts_numbers_and_then_reads_the_rows_of_one_page(browser, published, packaged: Path, anna) -> None:
    for name in ("first", "second", "third"):
        published(packaged, anna, name)
    for address in ("/api/models?limit=2&filter=Effusion&sort=fid", "/api/models?cursor=1&search=clinic"):
        order, rows = statements(lambda address=address: browser.get(address))
        assert "summary" not in order and "ORDER BY" in order and "LIMIT" in order
        assert "summary" in rows and "verdict" not in rows and "ORDER BY" not in rows


def test_the_gate_is_told_what_the_hub_has_by_names_digests_and_fingerprints_alone(
    browser, published, packaged: Path, anna, deposited
) -> None:
    from radcommons.hub.examination import known
    from radcommons.hub.models import Deposit, Revision

    revision = published(packaged, anna, "first")
    Revision.objects.update(verdict={**revision.verdict, "fingerprint": "AAAA"})
    deposit = Deposit.objects.get(pk=deposited(packaged, anna, "second", submit=False)["id"])
    (other,) = known(deposit)
    assert (other.name, other.weights_sha256) == ("clinic-a/first", revision.weights_sha256)
    assert other.fingerprint == "AAAA"
    (sent,) = statements(lambda: known(deposit))
    assert "summary" not in sent
    deposit.name = "first"
    assert known(deposit) == []


def test_a_key_is_shown_as_it_was_registered(browser, revision, keys) -> None:
    fingerprint = browser.get("/api/models/clinic-a/chest").json()["radcommons"]["key_fingerprint"]
    assert browser.get(f"/api/keys/{fingerprint}").content == keys.public.read_bytes()
