"""Make the folder of a study: real and synthetic images go through one and the same pipeline."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from radcommons.errors import SettingRefused, StudyRefused
from radcommons.files import write_whole
from radcommons.pages import render_page
from radcommons.progress import Track, silent
from radcommons.study.begun import open_to_changes
from radcommons.study.design import (
    IMAGES,
    IMAGES_RECORD,
    ORIGINALS,
    SETTINGS,
    SOURCES,
    Study,
    StudyImage,
    StudyImages,
    StudySettings,
    StudySource,
    StudySources,
    Truth,
)
from radcommons.study.letters import Box, corners, cover, find_letters

PREVIEW = "preview.html"
STORED = (cv2.IMWRITE_PNG_COMPRESSION, 0)  # all files of a size have as many bytes, whatever they show


@dataclass(frozen=True)
class Origins:
    """Where the synthetic images of a study come from.

    Attributes:
        drawn_by: for each block, of each image, the digest of the generator that drew it; None where it is not known.
    """

    sources: tuple[StudySource, ...]
    drawn_by: Sequence[Sequence[str | None]]


def write_study(
    folder: Path,
    settings: StudySettings,
    real: Sequence[np.ndarray],
    synthetic: Sequence[np.ndarray],
    *,
    origins: Origins | None = None,
    track: Track = silent,
) -> Study:
    """Write a study to a folder that is there; its record comes last, so that what is not whole is no study.

    Args:
        real, synthetic: for each block uint8 (n, R, R); the first block's are longer by half of the practice images
            each, which come first.
        origins: of the synthetic ones.
    Raises:
        StudyRefused: an image is there twice.
    """
    _require_different([*real, *synthetic])
    for name in (IMAGES, ORIGINALS):
        (folder / name).mkdir(exist_ok=True)
    settings.save(folder / SETTINGS)
    images: list[StudyImage] = []
    drawn_by: dict[str, str] = {}
    with track("Writing images", total=sum(map(len, (*real, *synthetic)))) as advance:
        for number, (block, ours, theirs) in enumerate(zip(settings.block, real, synthetic, strict=True)):
            practice = settings.practice // 2 if number == 0 else 0
            boxes = covered_boxes(settings, ours, theirs)
            kinds: tuple[tuple[Truth, np.ndarray, int], ...] = (
                ("real", ours, block.real),
                ("synthetic", theirs, block.synthetic),
            )
            for truth, shown, count in kinds:
                assert len(shown) == count + practice
                for i, pixels in enumerate(shown):
                    image = StudyImage(
                        name=secrets.token_hex(16), block=number, truth=truth, practice=i < practice,
                        pair=i, boxes=tuple(map(tuple, boxes[i])),
                    )  # fmt: skip
                    (folder / ORIGINALS / f"{image.name}.png").write_bytes(png(pixels))
                    (folder / IMAGES / f"{image.name}.png").write_bytes(png(cover(pixels, boxes[i])))
                    images.append(image)
                    if truth == "synthetic" and origins and (digest := origins.drawn_by[number][i]):
                        drawn_by[image.name] = digest
                    advance(1)
    images.sort(key=lambda image: image.name)
    if origins:
        sources = StudySources(sources=origins.sources, drawn_by=dict(sorted(drawn_by.items())))
        write_whole(folder / SOURCES, sources.to_json())
    _write_records(folder, settings, images)
    return Study.open(folder)


def change_boxes(folder: Path, name: str, boxes: Sequence[Box], *, clear: bool = False) -> list[StudyImage]:
    """Cover more parts of an image and of its partner, until readers have begun.

    Args:
        name: of the image, or how it begins.
        boxes: in pixels of the image.
        clear: whether nothing of what was covered stays so.
    Returns:
        The images that were changed, of both kinds.
    Raises:
        PathMissing, StudyRefused.
    """
    with open_to_changes(folder):
        study = Study.open(folder)
        found = [image for image in study.images if image.name.startswith(name)]
        if len(found) != 1:
            raise StudyRefused(
                f"{len(found)} images of {folder} have names that begin with '{name}'; look at {PREVIEW}"
            )
        kept = () if clear else found[0].boxes
        return _cover_pair(study, next(pair for pair in study.pairs() if found[0] in pair), [*kept, *boxes])


def set_boxes(folder: Path, pair: int, boxes: Sequence[Box]) -> list[StudyImage]:
    """Cover these parts of the images of a pair and no others, until readers have begun.

    Args:
        pair: its place in `Study.pairs`.
        boxes: in pixels of the images.
    Returns:
        The images that were changed, of both kinds.
    Raises:
        PathMissing, StudyRefused.
    """
    with open_to_changes(folder):
        study = Study.open(folder)
        return _cover_pair(study, study.pairs()[pair], boxes)


def _cover_pair(study: Study, pair: Sequence[StudyImage], boxes: Sequence[Sequence[int]]) -> list[StudyImage]:
    """Write new files, then the record that names them: a kill before leaves the pair as it was, one after changed."""
    side = study.settings.block[pair[0].block].resolution
    checked = [Box(*box) for box in boxes]
    if any(not (0 <= b.left < b.right <= side and 0 <= b.top < b.bottom <= side) for b in checked):
        raise StudyRefused(f"a box lies outside the {side} x {side} pixels of the image, or is empty")
    changed = [image.model_copy(update={"boxes": tuple(checked), "version": image.version + 1}) for image in pair]
    for one in changed:
        write_whole(study.path(one), png(cover(original_pixels(study, one), checked)))
    by_name = {one.name: one for one in changed}
    _write_records(study.folder, study.settings, [by_name.get(image.name, image) for image in study.images])
    for image in pair:  # the file of before stays for a server process that reads the record at this moment
        study.path(image.model_copy(update={"version": image.version - 1})).unlink(missing_ok=True)
    return changed


def original_pixels(study: Study, image: StudyImage) -> np.ndarray:
    """An image before anything was covered, uint8 (R, R); raises StudyRefused if its file is damaged."""
    path = study.original(image)
    content = np.frombuffer(path.read_bytes(), np.uint8) if path.is_file() else np.empty(0, np.uint8)
    pixels = cv2.imdecode(content, cv2.IMREAD_GRAYSCALE) if len(content) else None
    if pixels is None:
        raise StudyRefused(f"{study.folder}: an image is missing or damaged; make the study again")
    return np.asarray(pixels, np.uint8)


def read_box(text: str) -> Box:
    """A box written as LEFT,TOP,RIGHT,BOTTOM; raises SettingRefused."""
    try:
        return Box(*map(int, text.split(",")))
    except (ValueError, TypeError):
        raise SettingRefused(f"--box {text}: write four whole numbers, LEFT,TOP,RIGHT,BOTTOM") from None


def _write_records(folder: Path, settings: StudySettings, images: Sequence[StudyImage]) -> None:
    page = render_page("study_preview.html.j2", title=settings.title, blocks=settings.block, images=images)
    write_whole(folder / PREVIEW, page)
    write_whole(folder / IMAGES_RECORD, StudyImages(images=tuple(images)).to_json())


def covered_boxes(settings: StudySettings, real: np.ndarray, synthetic: np.ndarray) -> list[list[Box]]:
    """What to cover on real image i and on synthetic image i: the letters that are found on either.

    Where there are more of one kind, its images take the boxes of an earlier one of the other besides their own.
    """
    count = max(len(real), len(synthetic))
    if settings.cover == "nothing":
        return [[] for _ in range(count)]
    if settings.cover == "corners":
        return [corners(real.shape[-1], settings.corner)] * count
    found = [[find_letters(image) for image in kind] for kind in (real, synthetic)]
    return [[box for kind in found for box in kind[i % len(kind)]] for i in range(count)]


def png(pixels: np.ndarray) -> bytes:
    """A PNG without compression and without anything but pixels."""
    done, content = cv2.imencode(".png", pixels, STORED)
    assert done
    return content.tobytes()


def _require_different(blocks: Sequence[np.ndarray]) -> None:
    seen = [image.tobytes() for block in blocks for image in block]
    if twice := len(seen) - len(set(seen)):
        raise StudyRefused(f"{twice} images are there twice; take other sets, or a generator with more variety")
