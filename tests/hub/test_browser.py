"""The hub's pages in a real browser: accessible, by keyboard, on a phone, without JavaScript, alone on their host.

One server with a few generators and one browser for the whole file.
"""

import json
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import ProxyHandler, build_opener

import pytest
from PIL import Image

NAMES = ("chest", "plain", "gone", "spare-1", "spare-2")
COMMAND = [sys.executable, "-m", "radcommons", "hub"]
PASSWORD = "correct horse battery"
DESKTOP, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
EVIL = "<script>window.ran = 1</script><img src=x onerror='window.ran = 2'>"
EVIL_CARD = f"""# {EVIL}

{EVIL}

<a href="javascript:window.ran=3">here</a> [there](javascript:window.ran=4) [data](data:text/html,x) [away](https://example.org)
![far](https://example.org/a.png) <https://example.org/auto> [](https://example.org/empty)

| | |
|---|---|
| a | **b** |

```console
<script>window.ran = 5</script>
```
"""
LINES = [
    {"step": "files", "rule": "names", "limit": "the closed list", "found": "11 files", "outcome": "met", "remedy": ""},
    {"step": "reference", "rule": "distance", "limit": "a reference", "found": "no reference fits",
     "outcome": "not tested", "remedy": ""},
]  # fmt: skip
BROKEN = {"step": "audit", "rule": "recall", "limit": "0.09", "found": "0.01", "outcome": "not met", "remedy": "again"}


# ---- one hub for all tests ----


@pytest.fixture(scope="module")
def explained(audited_run: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An explanation of the packaged generator: an interpolation with a strip wider than a phone, and a map."""
    folder = tmp_path_factory.mktemp("explained")
    for name, size in (
        ("morph/Effusion.png", (900, 90)),
        ("morph/Effusion.gif", (9, 9)),
        ("map/Effusion.png", (90, 90)),
    ):
        (folder / name).parent.mkdir(exist_ok=True)
        Image.new("L", size, 90).save(folder / name)
    nothing = dict.fromkeys(("identity", "extractor", "score", "outside_body", "numbers"))
    record = {
        "format_version": 1, "generator": "site-a", "generator_sha256": audited_run.report.digest, "resolution": 16,
        "images_seen": 1200, "findings": audited_run.report.findings,
        "morphs": [{"findings": ["Effusion"], "strengths": [0, 1], "patients": 2, "seed": 0, "video": None,
                    "strip": "morph/Effusion.png", "animation": "morph/Effusion.gif", "frames": None}],
        "maps": [{**nothing, "findings": ["Effusion"], "images": 9, "seed": 0, "smoothing": 0, "strongest": 3,
                  "strongest_error": 1, "change": {"value": 0.0}, "overall": 0, "clear_share": 0, "collapsed": False,
                  "outside_body_area": 0, "unscored": "none", "statement": "The base becomes brighter.",
                  "picture": "map/Effusion.png"}],
    }  # fmt: skip
    (folder / "explain.json").write_text(json.dumps(record))
    return folder


@pytest.fixture(scope="module")
def site(
    new_hub: Any, pack: Any, explained: Path, studied: Any, keys: Any, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    """A hub with generators of every kind; returns its folder and what the tests need to know of it."""
    from django.conf import settings
    from django.contrib.auth import get_user_model
    from django.contrib.auth.hashers import PBKDF2PasswordHasher

    from radcommons.hub import accounts, drawing
    from radcommons.hub.models import Deposit, Organisation
    from radcommons.hub.publishing import publish, withdraw_generator
    from radcommons.hub.staging import staged
    from radcommons.hub.tasks import refuse
    from radcommons.packages.contents import names_in
    from radcommons.records import sha256_file

    def deposit(name: str, state: str = "submitted", organisation: str = "clinic-a") -> Any:
        made = Deposit.objects.create(
            id=secrets.token_hex(16), organisation=Organisation.objects.get(name=organisation), name=name,
            user=users["anna"], state=state, files=files,
        )  # fmt: skip
        shutil.copytree(folder / "package", staged(made))
        return made

    folder = tmp_path_factory.mktemp("browser")
    pack(folder / "package", explanation=explained, study=studied())
    (folder / "package" / "LICENSE").write_text("You may.")
    verdict = {"passed": True, "reasons": [], "lines": LINES, "statement": "Passed. Not tested: distance."}
    with new_hub(folder / "hub") as data:
        (data / "secret.key").write_text(settings.SECRET_KEY)  # the links that are made here are good there
        link = [accounts.add_user(name, "clinic-a") for name in ("anna", "carla")][1]
        accounts.add_user("bert", "clinic-b", title=EVIL)
        verdict["key_fingerprint"] = accounts.add_key("clinic-a", keys.public)
        users = {user.get_username(): user for user in get_user_model().objects.all()}
        users["operator"] = get_user_model().objects.create(username="operator", is_staff=True, is_superuser=True)
        for name in ("anna", "operator"):
            users[name].password = PBKDF2PasswordHasher().encode(PASSWORD, "s" * 22)  # as the server's
            users[name].save()
        package = folder / "package"
        files = {path: [(package / path).stat().st_size, sha256_file(package / path)] for path in names_in(package)}
        published = {name: publish(deposit(name), verdict, who="the gate") for name in NAMES}
        withdraw_generator(published["gone"].generator, "anna", "a patient asked")
        refused, _ = poor = deposit("poor"), deposit("other")
        for one in poor:
            refuse(one, {**verdict, "passed": False, "reasons": ["recall: 0.01; again"], "lines": [*LINES, BROKEN]})
        waiting, _ = deposit("next"), deposit("half", "uploading")
        card = package / "README.md"
        card.write_text(card.read_text().partition("\n---\n")[0] + f"\n---\n\n{EVIL_CARD}")
        files["README.md"] = [card.stat().st_size, sha256_file(card)]
        publish(deposit("evil", organisation="clinic-b"), {**verdict, "passed": False}, who="operator", override=EVIL)
        publish(deposit("chest"), verdict, who="the gate")
        drawing.draw.func(published["plain"].pk, {"Effusion": 0.55}, 3)
    return {"data": data, "link": link, "refused": refused.pk, "waiting": waiting.pk, "old": published["chest"].sha}


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Starts a command that ends with the tests of this file; what it says goes to a file, since it says much."""

    def begin(command: list[str]) -> subprocess.Popen[bytes]:
        with (tmp_path_factory.mktemp("log") / "log").open("wb") as log:
            running.append(subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True))
        return running[-1]

    running: list[subprocess.Popen[bytes]] = []
    yield begin
    for one in running:
        with suppress(ProcessLookupError):
            os.killpg(one.pid, signal.SIGKILL)
        one.wait()


@pytest.fixture(scope="module")
def address(site: dict[str, Any], begun: Callable[..., Any]) -> str:
    """The real server, whose address it returns."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    server = begun([*COMMAND, "serve", "--data", str(site["data"]), "--port", str(port), "--processes", "1"])
    while not _answers(f"http://127.0.0.1:{port}/healthz"):
        assert server.poll() is None, "the server ended"
        time.sleep(0.05)
    return f"http://127.0.0.1:{port}"


def _answers(address: str) -> bool:
    try:
        with build_opener(ProxyHandler({})).open(address, timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


@pytest.fixture(scope="module")
def chromium(address: str, chromium: Any) -> Any:
    """The browser; after the site, because Django makes none in a thread in which Playwright runs."""
    return chromium


@pytest.fixture
def opened(chromium: Any, address: str) -> Iterator[Callable[..., Any]]:
    """Opens a window; at the end of the test nothing went wrong in it, and it asked no other host."""

    @contextmanager
    def watched(**options: Any) -> Iterator[Any]:
        context = chromium.new_context(base_url=address, **{"viewport": DESKTOP, **options})
        context.set_default_timeout(20_000)
        page = context.new_page()
        page.on("request", lambda request: asked.add(request.url))
        page.on("console", lambda message: faults.append(f"{page.url}: {message.text}"))
        page.on("pageerror", lambda error: faults.append(f"{page.url}: {error}"))
        page.on("dialog", lambda dialog: (faults.append(f"{page.url}: {dialog.message}"), dialog.dismiss()))
        yield page
        context.close()

    asked: set[str] = set()
    faults: list[str] = []
    windows: list[Any] = []

    def window(**options: Any) -> Any:
        windows.append(watched(**options))
        return windows[-1].__enter__()

    yield window
    for one in windows:
        one.__exit__(None, None, None)
    strangers = [url for url in asked if urlsplit(url).netloc != urlsplit(address).netloc]
    assert strangers == []
    status = "Failed to load resource: the server responded with a status of 4"  # said of a page that is an error page
    assert [fault for fault in faults if status not in fault] == []


def log_in(page: Any, name: str = "anna") -> None:
    page.goto("/login")
    page.fill("#id_username", name)
    page.fill("#id_password", PASSWORD)
    page.click("main button")
    page.wait_for_selector("text=Log out")
    assert name in page.inner_text("header") and "RadCommons hub" in page.inner_text("header")


# ---- every page ----

PAGES = {  # who opens it -> path: status
    "": {
        "/": 200,
        "/?finding=Effusion&gate=passed&rank=fid": 200,
        "/?search=nothing-has-this-name": 200,
        "/clinic-a/chest": 200,
        "/clinic-a/chest?revision=OLD": 200,
        "/clinic-b/evil": 200,
        "/clinic-a/plain/draw?finding-0=0.55&seed=3": 200,
        "/compare": 200,
        "/compare?a=clinic-a/chest&b=clinic-b/evil": 200,
        "/compare?a=clinic-a/chest&b=nothing": 200,
        "/login": 200,
        "LINK": 200,
        "/welcome/MQ/used": 200,
        "/clinic-a/gone": 410,
        "/clinic-a/nothing": 404,
        "/?search=%00": 400,
    },
    "anna": {
        "/deposits": 200,
        "/deposits/REFUSED": 200,
        "/deposits/WAITING": 200,
        "/tokens": 200,
        "/clinic-a/chest/withdraw": 200,
        "/clinic-a/gone/withdraw": 200,
        "/operator": 200,  # the form to log in as somebody else
    },
    "operator": {"/operator": 200, "/deposits/REFUSED": 200, "/operator/log": 200},
}


@pytest.mark.slow
@pytest.mark.parametrize("who", PAGES)
def test_every_page_is_accessible_and_fits_a_phone_and_a_desktop(
    opened: Any, site: dict[str, Any], faults_of_page: Callable[[Any], list[str]], who: str
) -> None:
    names = {"OLD": site["old"], "LINK": site["link"], "REFUSED": site["refused"], "WAITING": site["waiting"]}
    page = opened()
    page.route(
        "**", lambda route: _without_refresh(route) if route.request.is_navigation_request() else route.continue_()
    )
    if who:
        log_in(page, who)
    faults = []
    for path, status in PAGES[who].items():
        answer = page.goto(re.sub("[A-Z]{3,}", lambda found: names.get(found[0], found[0]), path))
        assert answer.status == status, path
        assert page.locator("h1").count() == 1 and page.locator("a.skip").count() == 1, path
        assert page.title().endswith(" - RadCommons hub") and page.inner_text("a.brand") == "RadCommons hub", path
        page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
        faults += faults_of_page(page)
    assert faults == []


def _without_refresh(route: Any) -> None:
    """So that a page that looks again by itself stays while it is examined."""
    answer = route.fetch(max_redirects=0)
    route.fulfill(response=answer, headers={k: v for k, v in answer.headers.items() if k != "refresh"})


def test_a_form_without_its_cookie_is_refused_in_words(opened: Any, faults_of_page: Callable[[Any], list[str]]) -> None:
    page = opened()
    page.goto("/login")
    page.context.clear_cookies()
    page.fill("#id_username", "anna")
    page.fill("#id_password", PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_selector("text=The form was not accepted")
    assert faults_of_page(page) == []


def test_the_description_of_the_interface_opens_from_every_page(opened: Any) -> None:
    page = opened()
    page.goto("/compare")
    page.click("footer a")
    assert json.loads(page.inner_text("pre"))["openapi"].startswith("3.")


# ---- what a generator's page shows ----


def test_a_generators_page_shows_card_measures_verdict_morphs_and_provenance(opened: Any) -> None:
    page = opened()
    page.goto("/clinic-a/plain")
    page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
    text = page.inner_text("main")
    for words in (
        "Not for", "Diagnosis, or any other decision about a patient", "not claimed to be anonymous",  # the card
        "kernel distance (KID)", "Real training films", "would have been detected",  # measures
        "no reference fits", "Passed. Not tested: distance.",  # the gate
        "The label rises from 0 (left) to 1 (right)", "The base becomes brighter. Mean of 9 simulated patients.",
        "Signed with the key", "as the hub has it", "--revision",
    ):  # fmt: skip
        assert words in text, words
    assert "model-index" not in text  # the head of the card
    for picture in page.locator("main img").all():
        picture.scroll_into_view_if_needed()
        page.wait_for_function("one => one.complete && one.naturalWidth > 0", arg=picture.element_handle())
        assert picture.get_attribute("alt")


def test_a_card_with_script_in_it_runs_nothing_and_loads_nothing(opened: Any) -> None:
    page = opened()
    page.goto("/clinic-b/evil")
    page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
    card = page.locator("article")
    assert "<script>window.ran = 1</script>" in card.inner_text() and EVIL in page.inner_text("main")
    assert page.evaluate("window.ran") is None and page.locator("script, iframe, article img").count() == 0
    links = [(one.get_attribute("href"), one.get_attribute("rel")) for one in card.locator("a").all()]
    assert links == [(f"https://example.org{end}", "nofollow noopener noreferrer") for end in ("", "/auto")]


def test_the_list_is_narrowed_by_the_gate_and_every_privacy_verdict_says_what_it_could_detect(opened: Any) -> None:
    page = opened()
    page.goto("/?gate=against")
    assert page.locator("ul.list > li").count() == 1 and "an operator published it all the same" in page.inner_text(
        "main"
    )
    with page.expect_navigation():
        page.click("text=Show all")
    cards = page.locator("ul.list > li").all_inner_texts()
    assert len(cards) > 1 and all("privacy ✓ passed (copies that make up" in card for card in cards)


# ---- by keyboard ----

A_FIELD_HAS_THE_FOCUS = "document.activeElement.tagName === 'INPUT'"  # by itself, some frames after the page was loaded
FOCUSED = """() => {
  const at = document.activeElement, style = getComputedStyle(at), box = at.getBoundingClientRect();
  const label = at.labels && at.labels.length ? at.labels[0].innerText : at.innerText;
  return {name: (label || at.getAttribute('aria-label') || '').trim().replace(/\\s+/g, ' '), tag: at.tagName,
          outline: style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2,
          inside: box.width > 0 && box.right > 0 && box.bottom > 0 && box.left < innerWidth && box.top < innerHeight};
}"""


def tab_to(page: Any, name: str) -> list[str]:
    """Press Tab until what has the focus bears a name; every stop on the way is in sight and marked."""
    seen: list[str] = []
    for _ in range(80):
        page.keyboard.press("Tab")
        focus = page.evaluate(FOCUSED)
        if focus["tag"] == "BODY":
            continue
        seen.append(focus["name"])
        assert focus["outline"] and focus["inside"], focus
        if focus["name"].startswith(name):
            return seen
    raise AssertionError(f"{name} cannot be reached: {seen}")


def press(page: Any, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)


def test_the_first_stop_skips_to_the_content(opened: Any) -> None:
    page = opened()
    page.goto("/")
    assert tab_to(page, "Skip") == ["Skip to the content"]
    press(page, "Enter")
    page.wait_for_url("**/#main")
    press(page, "Tab")
    assert page.evaluate(FOCUSED)["name"] == "Name"


@pytest.mark.slow
def test_a_visitor_filters_the_list_and_draws_films_by_keyboard_alone(
    opened: Any, site: dict[str, Any], begun: Callable[..., Any]
) -> None:
    worker = begun([*COMMAND, "worker", "--data", str(site["data"]), "--queue", "drawings"])
    page = opened()
    page.goto("/")
    order = tab_to(page, "Finding")
    page.keyboard.type("Eff")
    order += tab_to(page, "Order")
    press(page, "ArrowDown")
    order += tab_to(page, "Show")
    fields = ["Name", "Finding", "Family", "Resolution", "License", "Gate", "Order", "Show"]
    assert order[-len(fields) :] == fields
    press(page, "Enter")
    page.wait_for_url("**/?*finding=Effusion*rank=fid*")
    tab_to(page, "clinic-a/chest")
    press(page, "Enter")
    page.wait_for_url("**/clinic-a/chest")
    tab_to(page, "Draw films")
    press(page, "Enter")
    page.wait_for_selector("form.card", timeout=120_000)  # the worker draws what nobody asked for before
    tab_to(page, "Effusion")
    press(page, "End", "ArrowLeft")
    tab_to(page, "Seed")
    press(page, "ArrowUp")
    tab_to(page, "Draw")
    press(page, "Enter")
    page.wait_for_selector("figcaption:has-text('Effusion 0.95; seed 1')", timeout=60_000)
    assert page.evaluate("document.querySelector('figure img').naturalWidth") > 100
    assert '--label "Effusion=0.95"' in page.inner_text("pre")
    assert worker.poll() is None


def test_a_member_sets_a_password_makes_a_token_and_revokes_it_by_keyboard_alone(opened: Any, site: Any) -> None:
    page = opened()
    page.goto(site["link"])
    page.wait_for_function(A_FIELD_HAS_THE_FOCUS)
    page.keyboard.type(PASSWORD)
    press(page, "Tab")
    page.keyboard.type(PASSWORD)
    press(page, "Enter")
    page.wait_for_url("**/login")
    page.wait_for_function(A_FIELD_HAS_THE_FOCUS)
    page.keyboard.type("carla")
    press(page, "Tab")
    page.keyboard.type(PASSWORD)
    press(page, "Enter")
    page.wait_for_selector("text=Log out")
    tab_to(page, "Tokens")
    press(page, "Enter")
    page.wait_for_url("**/tokens")
    tab_to(page, "What it is for")
    page.keyboard.type("laptop")
    tab_to(page, "It may")
    press(page, "ArrowDown")
    tab_to(page, "Make a token")
    press(page, "Enter")
    page.wait_for_selector("text=export RADCOMMONS_HUB_TOKEN=rc_")
    assert "deposit, and withdraw generators" in page.inner_text("table")
    tab_to(page, "Revoke laptop")
    press(page, "Enter")
    page.wait_for_selector("text=The token laptop is revoked.")
    assert "rc_" not in page.content()
    tab_to(page, "Log out")
    press(page, "Enter")
    page.wait_for_selector("text=Log in")


def test_a_member_withdraws_a_generator_by_keyboard_alone(opened: Any) -> None:
    page = opened()
    log_in(page)
    page.goto("/deposits")
    tab_to(page, "Withdraw clinic-a/spare-1")
    press(page, "Enter")
    page.wait_for_url("**/clinic-a/spare-1/withdraw")
    tab_to(page, "Reason")
    page.keyboard.type("a patient asked")
    tab_to(page, "Type clinic-a/spare-1")
    page.keyboard.type("clinic-a/spare-1")
    tab_to(page, "Withdraw")
    press(page, "Enter")
    page.wait_for_selector("text=This generator was withdrawn")
    assert "a patient asked" in page.inner_text("main")


# ---- without JavaScript ----


def test_everything_works_without_javascript(opened: Any, site: dict[str, Any]) -> None:
    page = opened(java_script_enabled=False, viewport=PHONE)
    log_in(page)
    page.click("text=Generators")
    page.select_option("#finding", "Effusion")
    page.fill("#search", "plain")
    page.click("text=Show")
    page.click("h2 a")
    page.click("summary:has-text('Intended use')")
    assert "Not for" in page.inner_text("article")
    page.click("text=Compare >> nth=1")
    page.fill("#b", "clinic-a/chest")
    with page.expect_navigation():
        page.click("main button")
    assert page.locator("main figure img").count() == 2
    page.goto("/clinic-a/plain/draw?finding-0=0.55&seed=3")
    assert "Effusion 0.55; seed 3" in page.inner_text("figcaption")
    page.goto("/tokens")
    page.fill("#name", "phone")
    page.click("text=Make a token")
    assert "RADCOMMONS_HUB_TOKEN=rc_" in page.inner_text("pre")
    page.click("text=Revoke")
    assert "The token phone is revoked." in page.inner_text("main")
    page.goto("/deposits")
    page.click("text=clinic-a/poor")
    assert "recall: 0.01; again" in page.inner_text("main")
    page.goto("/clinic-a/spare-2/withdraw")
    page.fill("#reason", "no longer needed")
    page.fill("#typed", "clinic-a/spare-2")
    page.click("main button")
    assert "no longer needed" in page.inner_text("main")


def test_the_operator_publishes_a_refused_deposit_without_javascript(opened: Any, site: dict[str, Any]) -> None:
    page = opened(java_script_enabled=False)
    log_in(page, "operator")
    page.click("text=Operator")
    assert "Drawings that visitors wait for" in page.inner_text("main") and "clinic-a/next" in page.inner_text("main")
    page.click("text=clinic-a/other")
    page.fill("#reason", "for the lecture")
    page.click("text=Publish all the same")
    assert "for the lecture" in page.inner_text("main")
    page.goto("/admin/")
    assert "Site administration" in page.inner_text("body")
