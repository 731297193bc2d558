import signal
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from radcommons.errors import SettingRefused, StudyRefused
from radcommons.study.begun import close
from radcommons.study.design import IMAGES, SERVED, Study, StudySettings
from radcommons.study.letters import Box, find_letters
from radcommons.study.making import PREVIEW, change_boxes, covered_boxes, read_box, set_boxes, write_study


def settings_of(**changes: object) -> StudySettings:
    blocks = [{"resolution": 64, "real": 4, "synthetic": 4}, {"resolution": 128, "real": 3, "synthetic": 5}]
    values = {"store": "none", "synthetic": ["none"], "block": blocks, "practice": 2, "title": "A <b>study</b>"}
    return StudySettings.parse({**values, **changes}, source="test")


def films(count: int, side: int, seed: int) -> np.ndarray:
    """Smooth grey pictures, as different from each other as films are."""
    noise = np.random.default_rng(seed).integers(0, 90, (count, side, side), np.uint8)
    return np.stack([cv2.blur(image, (9, 9)) for image in noise])


def with_letter(image: np.ndarray) -> np.ndarray:
    side = len(image)
    marked = image.copy()
    cv2.putText(
        marked, "L", (int(0.85 * side), int(0.1 * side)), cv2.FONT_HERSHEY_SIMPLEX, side / 400, 230, max(1, side // 64)
    )
    return marked


@pytest.fixture
def study(tmp_path: Path) -> Study:
    real = [films(5, 64, 0), films(3, 128, 1)]
    real[1][0] = with_letter(real[1][0])
    return write_study(tmp_path, settings_of(), real, [films(5, 64, 2), films(5, 128, 3)])


def test_a_study_has_all_its_images_and_files_of_one_size_that_hold_pixels_only(study: Study) -> None:
    kinds = [(image.block, image.truth, image.practice) for image in study.images]
    assert {kind: kinds.count(kind) for kind in kinds} == {
        (0, "real", False): 4, (0, "synthetic", False): 4, (1, "real", False): 3, (1, "synthetic", False): 5,
        (0, "real", True): 1, (0, "synthetic", True): 1,
    }  # fmt: skip
    for block in (0, 1):
        contents = [study.path(image).read_bytes() for image in study.images if image.block == block]
        assert len({len(content) for content in contents}) == 1
        for content in contents:
            chunks = [
                name for name in (b"tEXt", b"iTXt", b"zTXt", b"tIME", b"eXIf", b"pHYs", b"gAMA") if name in content
            ]
            assert chunks == []
    assert [image.name for image in study.images] == sorted(image.name for image in study.images)


def test_a_letter_is_covered_on_the_film_and_the_same_place_on_its_partner(study: Study) -> None:
    covered = [image for image in study.images if image.boxes]
    assert {image.truth for image in covered} == {"real", "synthetic"} and len({image.boxes for image in covered}) == 1
    (left, top, right, bottom) = covered[0].boxes[0]
    assert left > 100 and bottom < 20
    for image in covered:
        pixels = cv2.imread(str(study.path(image)), cv2.IMREAD_GRAYSCALE)
        assert (pixels[top:bottom, left:right] == 0).all() and pixels.max() < 120


def test_boxes_do_not_tell_the_kinds_apart_even_where_only_films_have_letters() -> None:
    real = np.stack([with_letter(image) for image in films(6, 128, 4)])
    boxes = covered_boxes(settings_of(), real, films(6, 128, 5))
    assert all(boxes[i] for i in range(6))
    more_synthetic = covered_boxes(settings_of(), real[:2], films(6, 128, 5))
    assert [bool(found) for found in more_synthetic] == [True] * 6
    assert covered_boxes(settings_of(cover="nothing"), real, real) == [[]] * 6
    assert [len(found) for found in covered_boxes(settings_of(cover="corners"), real, real)] == [4] * 6


def test_letters_are_found_and_a_film_without_any_is_left_alone() -> None:
    plain = films(1, 256, 6)[0]
    assert find_letters(plain) == []
    (box,) = find_letters(with_letter(plain))
    assert box.left < 0.86 * 256 and box.right > 0.87 * 256 and box.top < 0.1 * 256


def test_boxes_are_changed_on_both_kinds_until_readers_have_seen_them(study: Study) -> None:
    image = next(i for i in study.images if i.block == 0 and not i.practice)
    changed = change_boxes(study.folder, image.name[:6], [Box(5, 6, 15, 16)])
    assert {one.truth for one in changed} == {"real", "synthetic"} and {one.pair for one in changed} == {image.pair}
    again = Study.open(study.folder)
    for one in again.images:
        pixels = cv2.imread(str(again.path(one)), cv2.IMREAD_GRAYSCALE)
        assert (pixels[6:16, 5:15] == 0).all() == (one.name in {c.name for c in changed})
    page = (study.folder / PREVIEW).read_text()
    assert page.count("<rect") == sum(len(one.boxes) for one in again.images) and "<b>study" not in page
    assert "synthetic</figcaption>" not in page
    (uncovered, _) = change_boxes(study.folder, image.name, [], clear=True)
    assert uncovered.boxes == ()
    (study.folder / SERVED).mkdir()
    change_boxes(study.folder, image.name, [])  # it is served, and nobody has begun
    close(study.folder)
    for change in (lambda: change_boxes(study.folder, image.name, []), lambda: set_boxes(study.folder, 0, [])):
        with pytest.raises(StudyRefused, match="readers have begun"):
            change()


def test_the_boxes_of_a_pair_are_set_and_only_the_files_of_now_and_before_stay(study: Study) -> None:
    for left in (1, 2, 3):
        changed = set_boxes(study.folder, 1, [Box(left, 0, 60, 60)])
        assert [one.name for one in changed] == [one.name for one in study.pairs()[1]]
    again = Study.open(study.folder)
    assert [one.boxes for one in again.pairs()[1]] == [((3, 0, 60, 60),)] * 2
    for one in changed:
        seen = cv2.imread(str(again.path(one)), cv2.IMREAD_GRAYSCALE)
        assert (seen[:60, 3:60] == 0).all() and (seen[:60, :3] > 0).any()
        files = sorted(path.name for path in (study.folder / IMAGES).glob(f"{one.name}*"))
        assert files == [f"{one.name}.2.png", f"{one.name}.3.png"]
        assert len({again.path(image).stat().st_size for image in again.images if image.block == 0}) == 1


@pytest.mark.parametrize("step", [1, 2, 3, 4])
def test_a_change_that_is_killed_leaves_the_pair_as_it_was_and_can_be_made_again(study: Study, step: int) -> None:
    code = """
import os, signal, sys
from pathlib import Path
from radcommons import files
from radcommons.study.letters import Box
from radcommons.study.making import set_boxes
steps = iter(range(1, 9))
whole = files._to_disk
def killed(path):
    if next(steps) == int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)
    whole(path)
files._to_disk = killed
set_boxes(Path(sys.argv[1]), 1, [Box(0, 0, 60, 60)])
"""
    before = {image.name: study.path(image).read_bytes() for image in study.images}
    command = [sys.executable, "-c", code, study.folder, str(step)]  # writes two images, the preview, the record
    assert subprocess.run(command, timeout=60).returncode == -signal.SIGKILL
    again = Study.open(study.folder)
    assert again.images == study.images
    assert {image.name: again.path(image).read_bytes() for image in again.images} == before
    changed = set_boxes(study.folder, 1, [Box(0, 0, 60, 60)])
    assert all((cv2.imread(str(study.path(one)), cv2.IMREAD_GRAYSCALE)[:60, :60] == 0).all() for one in changed)


def test_an_original_that_is_missing_or_damaged_is_refused(study: Study) -> None:
    path = study.original(study.pairs()[0][0])
    for damage in (lambda: path.write_bytes(b""), lambda: path.write_bytes(b"x"), path.unlink):
        damage()
        with pytest.raises(StudyRefused, match="an image is missing or damaged"):
            set_boxes(study.folder, 0, [])


@pytest.mark.parametrize("box", [Box(0, 0, 65, 5), Box(5, 5, 5, 9), Box(-1, 0, 5, 5)])
def test_a_box_outside_the_image_is_refused(study: Study, box: Box) -> None:
    image = next(i for i in study.images if i.block == 0)
    with pytest.raises(StudyRefused, match="lies outside the 64 x 64 pixels"):
        change_boxes(study.folder, image.name, [box])


def test_what_names_no_box_or_no_image_is_refused(study: Study) -> None:
    assert read_box("1,2,3,4") == Box(1, 2, 3, 4)
    for text in ("1,2,3", "a,b,c,d", "1,2,3,4,5", ""):
        with pytest.raises(SettingRefused, match="write four whole numbers"):
            read_box(text)
    with pytest.raises(StudyRefused, match="0 images of .* have names that begin with 'zz'"):
        change_boxes(study.folder, "zz", [])


def test_an_image_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    real = [films(5, 64, 0), films(3, 128, 1)]
    with pytest.raises(StudyRefused, match="1 images are there twice"):
        write_study(tmp_path, settings_of(), real, [np.concatenate([real[0][:1], films(4, 64, 2)]), films(5, 128, 3)])
