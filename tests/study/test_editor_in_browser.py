"""The editor of boxes in a real browser: by mouse, finger, keys and, without JavaScript, numbers."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from radcommons.study.design import Study

axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")
pytestmark = pytest.mark.slow
SIDE = 256
ROW = "#rows .numbers:nth-child({}) input"


class Editor:
    """A study on its server, and browsers in which the coordinator is logged in."""

    def __init__(self, site: Any, browser: Any) -> None:
        self.site, self.browser, self.errors = site, browser, list[str]()

    def open(self, address: str, **context: Any) -> Any:
        """A page of the coordinator."""
        cookies = [{"name": c.name, "value": c.value, "url": self.site.address} for c in self.site.coordinator.jar]
        made = self.browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **context})
        made.add_cookies(cookies)
        page = made.new_page()
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", lambda said: self.errors.append(said.text) if said.type in ("error", "warning") else None)
        page.goto(self.site.address + address)
        return page

    def boxes(self, pair: int) -> list[tuple[int, ...]]:
        """What is covered on a pair now, which is the same on both images."""
        ours, theirs = Study.open(self.site.folder).pairs()[pair - 1]
        assert ours.boxes == theirs.boxes
        return list(ours.boxes)


@pytest.fixture
def editor(
    new_study: Callable[..., Any], served: Callable[..., Any], chromium: Any, tmp_path: Path
) -> Iterator[Editor]:
    study = new_study(tmp_path / "study", practice=0, sizes=(SIDE,))
    opened = Editor(served(study.folder), chromium)
    yield opened
    for context in chromium.contexts:
        context.close()
    assert opened.errors == []


def numbers(page: Any, row: int) -> list[int]:
    return [int(one.input_value()) for one in page.locator(ROW.format(row)).all()]


def film(page: Any, which: int) -> Callable[[float, float], tuple[float, float]]:
    """Where a pixel of an image is on the page."""
    page.locator(".film").nth(which).scroll_into_view_if_needed()
    area = page.locator(".film").nth(which).bounding_box()
    return lambda x, y: (area["x"] + x * area["width"] / SIDE, area["y"] + y * area["height"] / SIDE)


def drag(page: Any, start: tuple[float, float], end: tuple[float, float]) -> None:
    page.mouse.move(*start)
    page.mouse.down()
    page.mouse.move(*end, steps=4)
    page.mouse.up()


def save(page: Any, button: str = "Save") -> None:
    page.get_by_role("button", name=button, exact=True).click()
    page.get_by_text("is saved").wait_for()


def near(found: list[int], wanted: list[int]) -> bool:
    return all(abs(a - b) <= 1 for a, b in zip(found, wanted, strict=True))


def test_boxes_are_drawn_moved_resized_and_removed_by_mouse_on_either_image(editor: Editor) -> None:
    page = editor.open("/images/1")
    at = film(page, 1)
    drag(page, at(120, 90), at(60, 40))  # from the lower right to the upper left, on the second image
    assert near(numbers(page, 1), [60, 40, 120, 90])
    drag(page, at(80, 60), at(100, 90))
    assert near(numbers(page, 1), [80, 70, 140, 120])
    drag(page, at(141, 121), at(181, 201))
    assert near(numbers(page, 1), [80, 70, 180, 200])
    at = film(page, 0)
    drag(page, at(100, 100), at(2000, 100))  # it stays on the image
    assert near(numbers(page, 1), [156, 70, 256, 200])
    page.mouse.click(*at(20, 20))  # a click draws nothing
    drag(page, at(10, 10), at(30, 30))
    assert page.locator("#rows .numbers").count() == 2 and editor.boxes(1) == []
    kept = [tuple(numbers(page, n)) for n in (1, 2)]
    colour = "getComputedStyle(document.querySelectorAll('.box')[0]).backgroundColor"
    assert page.evaluate(colour) == "rgba(255, 215, 94, 0.28)"
    page.get_by_label("As readers see it").check()
    assert page.evaluate(colour) == "rgb(0, 0, 0)"
    save(page)
    assert editor.boxes(1) == kept
    page.click("summary")
    page.get_by_role("button", name="Remove Box 1").click()
    assert (page.locator("#rows .numbers").count(), page.locator(".box").count()) == (1, 2)
    page.goto(f"{editor.site.address}/images/1")  # without saving
    assert page.locator("#rows .numbers").count() == 2


def test_boxes_are_added_moved_resized_and_removed_by_keyboard_and_the_next_pair_comes(editor: Editor) -> None:
    page = editor.open("/images/1")
    page.focus("#add")
    page.keyboard.press("Enter")
    first = numbers(page, 1)
    for key in ("ArrowRight", "ArrowRight", "ArrowUp", "Shift+ArrowDown", "Shift+ArrowLeft"):
        page.keyboard.press(key)
    left, top, right, bottom = first
    wanted = [left + 2, top - 1, right + 1, bottom]
    assert numbers(page, 1) == wanted
    assert page.inner_text("#state") == "Box 1: {}, {} to {}, {}. Not saved yet.".format(*wanted)
    for _ in range(300):
        page.keyboard.press("Shift+ArrowUp")
    assert numbers(page, 1)[3] == wanted[1] + 1  # never empty
    page.focus("#add")
    page.keyboard.press("Enter")
    page.keyboard.press("Delete")
    assert page.locator("#rows .numbers").count() == 1
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "Box 1"
    assert [v["id"] for v in axe.Axe().run(page).response["violations"]] == []
    page.get_by_role("button", name="Save, next pair").focus()
    page.keyboard.press("Enter")
    page.get_by_text("Pair 1 is saved").wait_for()
    assert "/images/2" in page.url and len(editor.boxes(1)) == 1
    # the numbers are the same boxes
    page.get_by_role("button", name="Add a box").click()
    page.click("summary")
    for n, value in enumerate(("40", "20", "300", "60")):
        page.locator(ROW.format(1)).nth(n).fill(value)
    page.keyboard.press("Enter")
    page.get_by_text("Nothing was saved: a box lies outside the 256 x 256 pixels").wait_for()
    page.locator(ROW.format(1)).nth(2).fill("240")
    drawn = page.locator(".box").nth(1).evaluate("box => box.style.cssText")
    assert drawn == "left: 15.625%; top: 7.8125%; width: 78.125%; height: 15.625%;"
    save(page)
    assert editor.boxes(2) == [(40, 20, 240, 60)]
    # the list of pairs
    page.get_by_role("link", name="All images").click()
    assert [v["id"] for v in axe.Axe().run(page).response["violations"]] == []
    assert page.locator(".pairs a").count() == 3
    page.get_by_role("link", name="Pair 3: no boxes").click()
    page.get_by_role("heading", name="Pair 3 of 3").wait_for()
    assert page.locator(".film").count() == 2 and page.get_by_text("Next pair", exact=True).count() == 0
    assert editor.errors == ["Failed to load resource: the server responded with a status of 400 (Bad Request)"]
    editor.errors.clear()


def test_on_a_phone_a_finger_moves_and_resizes_a_box_and_nothing_is_wider_than_the_page(editor: Editor) -> None:
    page = editor.open("/images/1", viewport={"width": 390, "height": 844}, has_touch=True)
    page.get_by_role("button", name="Add a box").tap()
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    left, top, right, bottom = numbers(page, 1)
    at = film(page, 0)
    touch = page.context.new_cdp_session(page)

    def swipe(*places: tuple[float, float]) -> None:
        for kind, place in zip(("touchStart", *["touchMove"] * (len(places) - 1)), places, strict=True):
            points = [{"x": place[0], "y": place[1]}]
            touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
        touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})

    swipe(at(left + 9, top + 9), at(left + 5, top), at(left - 1, top - 21))
    assert near(numbers(page, 1), [left - 10, top - 30, right - 10, bottom - 30])
    swipe(at(right - 9, bottom - 29), at(right, bottom), at(right + 11, bottom + 1))
    assert near(numbers(page, 1), [left - 10, top - 30, right + 10, bottom])
    swipe(at(20, 200), at(20, 150), at(20, 100))  # beside it, the page scrolls
    page.wait_for_function("scrollY > 50")
    assert page.locator("#rows .numbers").count() == 1
    save(page)
    assert len(editor.boxes(1)) == 1


def test_without_javascript_boxes_are_added_and_removed_as_numbers(editor: Editor) -> None:
    page = editor.open("/images/1", java_script_enabled=False, viewport={"width": 390, "height": 844})
    assert not page.get_by_role("button", name="Add a box").is_visible()
    for row, values in enumerate(((1, 2, 30, 40), (50, 60, 70, 80)), 1):
        for n, value in enumerate(values):
            page.locator(ROW.format(row)).nth(n).fill(str(value))
    save(page)
    assert editor.boxes(1) == [(1, 2, 30, 40), (50, 60, 70, 80)]
    assert page.locator(".film rect").count() == 4
    for one in page.locator(ROW.format(1)).all():
        one.fill("")
    save(page)
    assert editor.boxes(1) == [(50, 60, 70, 80)]
