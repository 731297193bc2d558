"""The coordinator's pages of images: what is covered is seen and changed until the first reader has begun."""

import errno
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from radcommons.study.design import IMAGES_RECORD, Study
from radcommons.study.letters import Box
from radcommons.study.making import change_boxes, set_boxes

EDGES = "left", "top", "right", "bottom"


def written(*boxes: tuple[object, ...], **more: str) -> dict[str, Any]:
    """A form with a row for each box."""
    return {edge: [str(box[n]) for box in boxes] for n, edge in enumerate(EDGES)} | more


def pixels(study: Study, name: str) -> np.ndarray:
    """What readers see of an image now."""
    now = Study.open(study.folder)
    (image,) = (image for image in now.images if image.name == name)
    return np.asarray(cv2.imread(str(now.path(image)), cv2.IMREAD_GRAYSCALE))


def page(client: Any, address: str) -> str:
    """A page without the token of its forms."""
    answer = client.get(address)
    assert answer.status_code == 200
    return re.sub(r'name="csrfmiddlewaretoken" value="\w+"', "", answer.content.decode())


def test_boxes_that_are_saved_cover_both_images_of_the_pair_and_the_log_says_who_did_it(
    serve_study: Callable[..., Any], coordinator: Callable[[], Any]
) -> None:
    from radcommons.study.models import LogEntry

    study, client = serve_study(), coordinator()
    done = client.post("/images/2", written((1, 2, 5, 6), (8, 8, 16, 16), ("", "", "", "")))
    assert (done.status_code, done["Location"]) == (302, "/images/2")
    names = [image.name for image in study.pairs()[1]]
    for image in study.images:
        black = pixels(study, image.name)[2:6, 1:5] == 0
        assert black.all() if image.name in names else not black.any()
    entry = LogEntry.objects.get(what="boxes changed")
    assert (entry.who, entry.about) == ("coordinator", "pair 2")
    assert entry.details == {
        "images": [name[:8] for name in names], "before": [], "after": [[1, 2, 5, 6], [8, 8, 16, 16]]
    }  # fmt: skip
    said = page(client, "/images/2")
    assert said.count("<rect") == 4 and 'name="bottom" value="16"' in said
    client.post("/images/2", written((1, 2, 5, 6), (8, 8, 16, 16)))
    assert LogEntry.objects.filter(what="boxes changed").count() == 1
    assert client.post("/images/2", written(("", "", "", ""), then="next"))["Location"] == "/images/3"
    assert not (pixels(study, names[0]) == 0).any()


@pytest.mark.parametrize(
    ("box", "why"),
    [
        ((0, 0, 17, 5), "a box lies outside the 16 x 16 pixels of the image, or is empty"),
        ((5, 5, 5, 9), "a box lies outside"),
        ((1, "", 5, 6), "box 1: write four whole numbers"),
        (("1.5", 0, 5, 6), "box 1: write four whole numbers"),
        (("-1", 0, 5, 6), "box 1: write four whole numbers"),
        (("9" * 5000, 0, 5, 6), "box 1: write four whole numbers"),
    ],
)
def test_a_box_that_is_none_is_named_and_stays_on_the_page_and_nothing_is_saved(
    serve_study: Callable[..., Any], coordinator: Callable[[], Any], box: tuple[object, ...], why: str
) -> None:
    study, client = serve_study(), coordinator()
    before = (study.folder / IMAGES_RECORD).read_bytes()
    answer = client.post("/images/1", written(box))
    assert answer.status_code == 400 and f"Nothing was saved: {why}" in answer.content.decode()
    assert f'name="top" value="{box[1]}"' in answer.content.decode()
    assert (study.folder / IMAGES_RECORD).read_bytes() == before


def test_a_pair_has_at_most_a_hundred_boxes(serve_study: Callable[..., Any], coordinator: Callable[[], Any]) -> None:
    serve_study()
    client = coordinator()
    assert client.post("/images/1", written(*[(0, 0, 5, 5)] * 100)).status_code == 302
    answer = client.post("/images/1", written(*[(0, 0, 5, 5)] * 200))
    assert answer.status_code == 400 and "at most 100 boxes" in answer.content.decode()


def test_no_page_says_which_images_are_real(serve_study: Callable[..., Any], coordinator: Callable[[], Any]) -> None:
    study, client = serve_study(), coordinator()
    addresses = ["/", "/images", *(f"/images/{n + 1}" for n in range(len(study.pairs())))]
    before = [page(client, address) for address in addresses]
    record = study.folder / IMAGES_RECORD
    swapped = {'"real"': '"synthetic"', '"synthetic"': '"real"'}
    record.write_text(re.sub('"(real|synthetic)"', lambda found: swapped[found[0]], record.read_text()))
    assert [page(client, address) for address in addresses] == before
    assert Study.open(study.folder).images != study.images


def test_pictures_are_the_originals_whatever_is_covered_and_small_ones_at_most_two_hundred_pixels(
    serve_study: Callable[..., Any], coordinator: Callable[[], Any]
) -> None:
    study, client = serve_study(sizes=(16, 256)), coordinator()
    client.post("/images/1", written((0, 0, 16, 16)))
    first, large = study.pairs()[0][0], study.pairs()[-1][0]
    for name, end, side in ((first.name, "", 16), (first.name, "/small", 16), (large.name, "/small", 200)):
        answer = client.get(f"/picture/{name}{end}")
        shown = cv2.imdecode(np.frombuffer(answer.content, np.uint8), cv2.IMREAD_GRAYSCALE)
        assert shown.shape == (side, side) and (shown > 0).all()
        assert "no-store" in answer["Cache-Control"] and answer["Content-Type"] == "image/png"
    assert client.get(f"/picture/{'0' * 31}1").status_code == client.get("/picture/x").status_code == 404


def test_a_pair_that_is_not_there_is_not_found_and_one_without_a_partner_says_so(
    serve_study: Callable[..., Any], coordinator: Callable[[], Any]
) -> None:
    study, client = serve_study(), coordinator()
    pairs = len(study.pairs())
    for number in (0, pairs + 1):
        assert client.get(f"/images/{number}").status_code == 404
        assert client.post(f"/images/{number}", written((1, 1, 2, 2))).status_code == 404
    assert "no partner" not in page(client, f"/images/{pairs}")
    record = json.loads((study.folder / IMAGES_RECORD).read_text())
    record["images"] = [image for image in record["images"] if image["name"] != study.pairs()[-1][0].name]
    (study.folder / IMAGES_RECORD).write_text(json.dumps(record))
    assert "no partner" in page(client, f"/images/{pairs}")


def test_once_a_reader_begins_nothing_can_be_changed_and_the_pages_say_so(
    serve_study: Callable[..., Any], reader: Callable[..., Any], coordinator: Callable[[], Any]
) -> None:
    from radcommons.errors import StudyRefused

    study, client = serve_study(), coordinator()
    browser = reader()
    client.post("/images/1", written((1, 1, 5, 5)))
    assert "change it</a> before readers begin" in page(client, "/")
    assert "covered on 2 of 14 images" in page(client, "/")
    browser.show()
    assert "not changed any more" in page(client, "/")
    assert "not changed any more" in page(client, "/images")
    said = page(client, "/images/1")
    assert "not changed any more" in said and "<button>Save" not in said and 'name="left"' not in said
    before = (study.folder / IMAGES_RECORD).read_bytes()
    answer = client.post("/images/1", written((2, 2, 5, 5)))
    assert answer.status_code == 400 and "readers have begun" in answer.content.decode()
    with pytest.raises(StudyRefused, match="readers have begun"):
        change_boxes(study.folder, study.images[0].name, [Box(1, 1, 2, 2)])
    assert (study.folder / IMAGES_RECORD).read_bytes() == before


def test_the_study_stays_closed_when_the_only_reader_withdraws(
    serve_study: Callable[..., Any], reader: Callable[..., Any], coordinator: Callable[[], Any]
) -> None:
    serve_study()
    browser, client = reader(), coordinator()
    browser.show()
    for what in ("revoke", "erase"):
        client.post(f"/readers/{browser.reader.pk}/{what}")
    assert browser.reader.showings.count() == 0
    assert client.post("/images/1", written((2, 2, 5, 5))).status_code == 400


def test_a_reader_gets_the_image_as_it_was_covered_last_also_by_another_process(
    serve_study: Callable[..., Any], reader: Callable[..., Any], coordinator: Callable[[], Any]
) -> None:
    from radcommons.study.models import LogEntry
    from radcommons.study.server import begin

    study, client = serve_study(practice=0), coordinator()
    browser = reader()
    assert browser.ask("state").json()["do"] == "stop"  # the server knows the study as it was
    client.post("/images/1", written((0, 0, 2, 2)))
    for number in range(len(study.pairs())):
        set_boxes(study.folder, number, [Box(0, 0, 16, 16)])
    step = browser.ask("go").json()
    seen = cv2.imdecode(np.frombuffer(browser.client.get(step["image"]).content, np.uint8), cv2.IMREAD_GRAYSCALE)
    assert (seen[:16, :16] == 0).all()
    begin(Study.open(study.folder))  # the study is the one with which the reader began
    said = LogEntry.objects.values_list("who", "what")
    assert ("outside of these pages", "settings or images changed") in said


def test_a_change_that_fails_is_not_in_the_log(
    serve_study: Callable[..., Any], coordinator: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from radcommons.study import making
    from radcommons.study.models import LogEntry

    study, client = serve_study(), coordinator()
    name = study.pairs()[0][0].name
    whole = making.write_whole

    def full(path: Path, content: Any) -> None:
        if path.name == IMAGES_RECORD:
            raise OSError(errno.ENOSPC, "No space left on device")
        whole(path, content)

    with monkeypatch.context() as patched:
        patched.setattr(making, "write_whole", full)
        assert client.post("/images/1", written((0, 0, 16, 16))).status_code == 507
    assert not LogEntry.objects.filter(what="boxes changed").exists() and (pixels(study, name) > 0).all()
    assert client.post("/images/1", written((0, 0, 16, 16))).status_code == 302
    assert (pixels(study, name) == 0).all()
