"""Two readers in a real browser, by keyboard: a time limit, a reload, and each with an order of their own."""

import csv
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed: pip install playwright")
CHROMIUM = shutil.which("chromium")
if CHROMIUM is None:
    pytest.skip("no chromium here: apt-get install chromium", allow_module_level=True)
pytestmark = pytest.mark.slow


@pytest.fixture
def chromium() -> Iterator[Any]:
    with playwright.sync_playwright() as engine:
        browser = engine.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


def open_link(chromium: Any, link: str, errors: list[str], **context: Any) -> Any:
    """A page on which the link was opened, the reader has agreed and passed the display check, by keyboard."""
    page = chromium.new_context(**context).new_page()
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda said: errors.append(said.text) if said.type in ("error", "warning") else None)
    page.goto(link)
    page.focus("[name=agree]")
    page.keyboard.press("Space")
    page.keyboard.press("Enter")
    page.wait_for_selector("#monitor")
    for row in ("dark", "middle", "light"):
        page.focus(f".row-{row} label:has(.field span) input")
        page.keyboard.press("Space")
    page.focus("#monitor")
    page.keyboard.type("a test")
    page.keyboard.press("Enter")
    page.wait_for_selector("#go:not([hidden])")
    return page


def number(page: Any) -> str:
    return str(page.inner_text("#number"))


def answer(page: Any, key: str, then: str) -> None:
    """Press a key on an image; wait until the next one is there, or the break, or the end."""
    page.wait_for_selector("#film img")
    page.keyboard.press(key)
    page.get_by_text(then).first.wait_for()


def practise(page: Any) -> None:
    """Both practice images, and on to the first that counts."""
    page.keyboard.press("Enter")
    for _ in range(2):
        answer(page, "r", "It was")
        page.keyboard.press("Enter")
        page.wait_for_selector("#real:not([hidden])")


def test_two_readers_read_twelve_images_by_keyboard_with_a_time_limit_and_a_reload(
    chromium: Any, new_study: Callable[..., Any], served: Callable[..., Any], tmp_path: Path
) -> None:
    study = new_study(tmp_path / "study", practice=2, seconds=12, show_result=True, confidence=False)
    site = served(study.folder)
    errors: list[str] = []
    first = open_link(chromium, site.address + site.invite("ann"), errors, device_scale_factor=1.5)
    practise(first)
    # the time runs out on the first image
    assert number(first) == "1 of 12"
    box = first.evaluate("Object.values(document.querySelector('#film img').getBoundingClientRect().toJSON())")
    pixels = [value * 1.5 for value in box]  # the browser keeps lengths in steps of 1/64
    assert all(abs(value - round(value)) < 0.05 for value in pixels) and round(pixels[2]) % 16 == 0
    first.get_by_text("2 of 12").wait_for()
    assert "time for the image before was over" in first.inner_text("#note")
    # a reload shows the same image with the time that is left
    first.wait_for_timeout(1500)
    first.reload()
    first.wait_for_selector("#film img")
    assert number(first) == "2 of 12" and int(first.inner_text("#clock").split()[0]) <= 11
    for n in range(2, 6):
        answer(first, "s", f"{n + 1} of 12")
    answer(first, "s", "break")
    first.keyboard.press("Enter")
    for n in range(7, 12):
        answer(first, "r", f"{n + 1} of 12" if n < 12 else "Thank")
    answer(first, "r", "Thank you")
    assert "the time ran out on 1" in first.inner_text("main")
    # another reader, who goes on elsewhere: the older page is told
    second = open_link(chromium, site.address + site.invite("bea"), errors)
    practise(second)
    for n in range(1, 4):
        answer(second, "r", f"{n + 1} of 12")
    elsewhere = second.context.new_page()
    elsewhere.goto(f"{site.address}/read")
    elsewhere.wait_for_selector("#film img")
    assert number(elsewhere) == "4 of 12"
    answer(second, "s", "has taken over")
    elsewhere.bring_to_front()
    answer(elsewhere, "s", "5 of 12")
    # the browser notes what the older page was told, and that an image that it fetched ahead was not for it any more
    assert errors == [e for e in errors if "409" in e or "404" in e], errors
    kept = list(csv.DictReader(site.get("/export/answers.csv").splitlines()))
    said = {name: [line["answer"] for line in kept if line["reader"] == name] for name in ("ann", "bea")}
    assert said["ann"] == ["timed out", *["synthetic"] * 5, *["real"] * 6]
    assert said["bea"] == ["real", "real", "real", "synthetic"]
    seen = {name: [line["image"] for line in kept if line["reader"] == name][:4] for name in said}
    assert seen["ann"] != seen["bea"]
    assert all(0 <= float(line["seconds"]) <= 12 for line in kept)
