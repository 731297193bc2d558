"""The study in a real browser: two readers at once, by keyboard, mouse and touch; every page is accessible.

One browser for the whole file, and a server for each test.
"""

import csv
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

PASSWORD = "correct horse battery"
DESKTOP = {"width": 1280, "height": 900}
WRONG_CLOCK = """
  const date = Date.now, fast = performance.now.bind(performance);
  Date.now = () => date() + 86_400_000;
  performance.now = () => 2 * fast();
"""
# of the image that is on the page: all its bytes
CONTENT = """fetch(document.querySelector("#film img").src)
  .then((answer) => answer.arrayBuffer()).then((content) => String(new Uint8Array(content)))"""
BOX = "Object.values(document.querySelector('#film img').getBoundingClientRect().toJSON())"


@pytest.fixture
def opened(chromium: Any) -> Iterator[Callable[..., Any]]:
    """Opens a window; at the end of the test nothing went wrong in any."""

    def window(**options: Any) -> Any:
        contexts.append(chromium.new_context(**{"viewport": DESKTOP, **options}))
        contexts[-1].set_default_timeout(30_000)
        page = contexts[-1].new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda said: errors.append(said.text) if said.type in ("error", "warning") else None)
        return page

    contexts: list[Any] = []
    errors: list[str] = []
    yield window
    for context in contexts:
        context.close()
    # the browser notes every refusal, as that of an older page and of an image that was fetched ahead, and a lost line
    expected = ("status of 403", "status of 404", "status of 409", "ERR_INTERNET_DISCONNECTED")
    assert [error for error in errors if not any(words in error for words in expected)] == []


def agree(page: Any) -> None:
    page.focus("[name=agree]")
    page.keyboard.press("Space")
    page.keyboard.press("Enter")
    page.wait_for_selector("#monitor")


def check_display(page: Any) -> None:
    """Pass the display check by keyboard."""
    for row in ("dark", "middle", "light"):
        page.focus(f".row-{row} label:has(.field span) input")
        page.keyboard.press("Space")
    page.focus("#monitor")
    page.keyboard.type("a test")
    page.keyboard.press("Enter")
    page.wait_for_selector("#go:not([hidden])")


def number(page: Any) -> str:
    return str(page.inner_text("#number"))


def answer(page: Any, choice: str, then: str) -> None:
    """Press a key, or click or tap a button; wait until the next image is there, or the break, or the end."""
    page.wait_for_selector("#real")
    how, _, what = choice.partition(" ")
    if what:
        getattr(page, how)(f"#{what}")
    else:
        page.keyboard.press(choice)
    page.get_by_text(then).first.wait_for()


def practise(page: Any) -> None:
    """Both practice images, and on to the first that counts."""
    page.keyboard.press("Enter")
    for _ in range(2):
        answer(page, "r", "It was")
        page.keyboard.press("Enter")
        page.wait_for_selector("#real")


def read(page: Any, first: int, choices: list[str]) -> None:
    """Answer images from `first` on; a block has ten of the thirty."""
    for position, choice in enumerate(choices, first):
        assert number(page) == f"{position} of 30"
        ends = {10: "Time for a break", 20: "Time for a break", 30: "Thank you"}
        answer(page, choice, ends.get(position, f"{position + 1} of 30"))
        if position in (10, 20):
            page.keyboard.press("Enter")
            page.get_by_text(f"{position + 1} of 30").wait_for()


def test_two_readers_read_thirty_images_each_at_once_and_the_study_is_analysed(
    opened: Callable[..., Any], new_study: Callable[..., Any], served: Callable[..., Any], tmp_path: Path
) -> None:
    study = new_study(tmp_path / "study", sizes=(16, 32, 64), each=5, seconds=20, show_result=True)
    site = served(study.folder)
    ann = opened(device_scale_factor=1.5)
    bea = opened(viewport={"width": 820, "height": 1180}, has_touch=True, is_mobile=True, device_scale_factor=2)
    bea.add_init_script(WRONG_CLOCK)
    for page, name in ((ann, "ann"), (bea, "bea")):
        page.goto(site.address + site.invite(name))
        agree(page)
        check_display(page)
        practise(page)
    # an image has whole pixels of the display; ann's time runs out on it
    assert number(ann) == "1 of 30"
    pixels = [value * 1.5 for value in ann.evaluate(BOX)]  # the browser keeps lengths in steps of 1/64
    assert all(abs(value - round(value)) < 0.05 for value in pixels) and round(pixels[2]) % 16 == 0
    # meanwhile bea, whose clock is wrong and runs twice too fast, has all her time
    read(bea, 1, ["tap real", "click synthetic", "s"])
    bea.wait_for_timeout(11_000)
    read(bea, 4, ["s"])
    ann.get_by_text("2 of 30").wait_for()
    assert "time for the image before was over" in ann.inner_text("#note")
    # a reload shows the same image with the time that is left
    ann.wait_for_selector("#film img")
    content = ann.evaluate(CONTENT)
    ann.wait_for_timeout(1500)
    ann.reload()
    ann.wait_for_selector("#film img")
    assert number(ann) == "2 of 30" and ann.evaluate(CONTENT) == content
    assert 1 <= int(ann.inner_text("#clock").split()[0]) <= 19
    # a lost connection delays an answer and doubles none
    ann.context.set_offline(True)
    answer(ann, "s", "No connection")
    ann.context.set_offline(False)
    ann.get_by_text("3 of 30").wait_for()
    assert ann.evaluate(CONTENT) != content
    # bea goes on elsewhere: the older page is told
    elsewhere = bea.context.new_page()
    elsewhere.goto(f"{site.address}/read")
    elsewhere.wait_for_selector("#film img")
    assert number(elsewhere) == "5 of 30"
    answer(bea, "s", "has taken over")
    # both at once, to the end
    elsewhere.bring_to_front()
    read(ann, 3, ["s"] * 8)
    read(elsewhere, 5, ["tap real"] * 6)
    for first in (11, 21):
        read(ann, first, ["s"] * 10)
        read(elsewhere, first, ["tap real", "click real"] * 5)
    assert "the time ran out on 1" in ann.inner_text("main")
    kept = list(csv.DictReader(site.get("/export/answers.csv").splitlines()))
    lines = {name: [line for line in kept if line["reader"] == name] for name in ("ann", "bea")}
    said = {name: [line["answer"] for line in lines[name]] for name in lines}
    assert said["ann"] == ["timed out", *["synthetic"] * 29]
    assert said["bea"] == ["real", *["synthetic"] * 3, *["real"] * 26]
    assert [line["image"] for line in lines["ann"]] != [line["image"] for line in lines["bea"]]
    assert all(0 <= float(line["seconds"]) <= 20 for line in kept) and float(lines["bea"][3]["seconds"]) > 10
    told = json.loads(site.get("/export/answers.json"))
    assert all(line["scale"] == int(line["scale"]) >= 1 for line in told["answers"] if line["answer"] != "timed out")
    display = told["readers"][0]["displays"][0]
    assert (display["width"], display["height"], display["pixel_ratio"]) == ("1280", "900", "1.5")
    assert display["monitor"] == "a test" and "Chrome" in display["agent"] and display["screen_width"]
    command = [sys.executable, "-m", "radcommons", "study", "analyse", study.folder, "--out", tmp_path / "result"]
    done = subprocess.run([*command, "--bootstrap-samples", "100", "--json"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    right = {size: [line["answer"] == line["truth"] for line in kept if line["block"] == size] for size in ("32", "64")}
    found = {one["block"]: one["accuracy"]["value"] for one in json.loads(done.stdout)["results"]}
    assert {size: found[size] for size in right} == {size: sum(of) / len(of) for size, of in right.items()}
    table = (tmp_path / "result" / "table.md").read_text().splitlines()
    assert any(line.startswith("| readers |") and line.count("±") == 3 for line in table), table


def test_every_page_is_accessible_and_fits_a_phone_and_a_desktop(
    opened: Callable[..., Any],
    new_study: Callable[..., Any],
    served: Callable[..., Any],
    faults_of_page: Callable[[Any], list[str]],
    tmp_path: Path,
) -> None:
    asks = {"confidence": True, "spot": True, "comment": True, "zoom": True, "show_result": True}
    study = new_study(tmp_path / "study", sizes=(16, 32), each=1, seconds=None, back=True, **asks)
    site = served(study.folder)
    faults: list[str] = []
    desk, page = opened(base_url=site.address), opened(base_url=site.address)

    def look(window: Any, words: str) -> None:
        window.get_by_text(words).first.wait_for()
        faults.extend(faults_of_page(window))
        window.set_viewport_size(DESKTOP)

    def details() -> None:
        page.keyboard.press("3")
        page.focus("#questions button")
        page.keyboard.press("Enter")

    # ---- the coordinator, before ----
    desk.goto("/login")
    look(desk, "Code, if you have a second factor")
    desk.fill("#id_username", "coordinator")
    desk.fill("#id_password", PASSWORD)
    desk.keyboard.press("Enter")
    look(desk, "Nobody is invited yet")
    desk.goto("/read")
    look(desk, "This page is not for you")
    desk.goto("/nothing")
    look(desk, "There is nothing at this address")
    links = [site.address + site.invite(name) for name in ("ann", "a-reader-with-a-long-name" * 3, "bea")]
    # ---- a reader ----
    page.goto("/invitation/none")
    look(page, "This page is not for you")
    page.goto(links[0])
    look(page, "I have read this")
    agree(page)
    look(page, "Your display, in your words")
    for row in ("dark", "middle", "light"):
        page.check(f".row-{row} label:not(:has(.field span)) >> nth=0")
    page.keyboard.press("Enter")
    look(page, "Not all three were right")
    check_display(page)
    look(page, "First some images for practice")
    page.keyboard.press("Enter")
    page.wait_for_selector("#real")
    look(page, "Practice 1 of 2")
    page.keyboard.press("s")
    look(page, "How sure are you?")
    page.keyboard.press("ArrowRight")
    page.wait_for_selector("#mark")
    look(page, "Mark on the image")
    details()
    look(page, "It was")
    page.keyboard.press("Enter")
    answer(page, "r", "How sure are you?")
    look(page, "Comment, if you like")
    details()
    page.get_by_text("Practice is over").wait_for()
    page.keyboard.press("Enter")
    page.wait_for_selector("#real")
    look(page, "1 of 4")
    page.keyboard.press("z")
    look(page, "1 of 4")
    page.keyboard.press("z")
    answer(page, "r", "How sure are you?")
    details()
    page.get_by_text("2 of 4").wait_for()
    look(page, "Back (B)")
    page.keyboard.press("b")
    page.get_by_text("1 of 4").wait_for()
    answer(page, "r", "How sure are you?")
    details()
    page.get_by_text("2 of 4").wait_for()
    answer(page, "r", "How sure are you?")
    details()
    look(page, "Time for a break")
    page.keyboard.press("Enter")
    page.get_by_text("3 of 4").wait_for()
    # an image that does not fit: the page says so
    page.wait_for_selector("#film img")
    page.set_viewport_size({"width": 1280, "height": 150})
    page.get_by_text("Not at whole pixels").wait_for()
    page.set_viewport_size(DESKTOP)
    desk.goto("/")
    desk.click("text=Pause the study")
    look(desk, "The study is paused")
    answer(page, "r", "How sure are you?")
    details()
    look(page, "The study is paused")
    desk.click("text=Resume")
    page.get_by_text("4 of 4").wait_for()
    answer(page, "s", "How sure are you?")
    page.click("#film img")
    page.wait_for_selector("#mark")
    details()
    look(page, "You have answered all images")
    other = page.context.new_page()
    other.goto("/read")
    other.get_by_text("You have answered all images").wait_for()
    page.keyboard.press("Enter")
    look(page, "has taken over")
    other.keyboard.press("Enter")
    look(other, "You were right on")
    # ---- the coordinator, after ----
    desk.goto("/")
    look(desk, "finished")
    desk.click("text=ann")
    look(desk, "Send it to this reader only")
    desk.goto("/readers/3")
    desk.click("text=Revoke the invitation")
    look(desk, "Delete the answers for good")
    desk.goto("/log")
    look(desk, "display checked")
    desk.goto("/second-factor")
    look(desk, "authenticator app")
    assert faults == [], "\n".join(faults)
