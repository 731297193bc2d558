"""The design of a study: its settings, its images, and the folder that holds both."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from radcommons.errors import PathMissing, StudyRefused
from radcommons.records import Record, sha256_file
from radcommons.records.record import RecordPart
from radcommons.records.study import Sha256
from radcommons.seeds import numpy_stream
from radcommons.settings import Names, Seed, Settings

SETTINGS, IMAGES_RECORD, IMAGES, ORIGINALS = "study.toml", "images.json", "images", "originals"
SOURCES = "sources.json"
SERVED = "server"  # the database with the answers and the key of the signatures, once the study is served
Truth = Literal["real", "synthetic"]
CONSENT = (
    "You will see chest radiographs, one at a time. Some are of patients, some were made by a computer. For each you "
    "say which it is. Your answers, their times and what your display is like are kept under the name of your "
    "invitation. You may stop at any time."
)


class Block(Settings):
    """Images of one size, shown in one go."""

    resolution: int = Field(ge=8, le=4096, description="side of the images, pixels")
    real: int = Field(50, ge=1, description="number of real images")
    synthetic: int = Field(50, ge=1, description="number of synthetic images")


class StudySettings(Settings):
    """How a study is carried out."""

    title: str = Field(
        "Reader study", min_length=1, max_length=200, description="shown to readers and on the dashboard"
    )
    seed: Seed = Field(0, description="root of every random number: which images, and their order for each reader")
    store: Path = Field(description="store of the real films; those of its test part are shown, one for each patient")
    synthetic: tuple[str, ...] = Field(
        min_length=1,
        description="synthetic sets, generators (also hub://...) or pools (pool.toml), each for an equal share of the "
        "images",
    )
    block: tuple[Block, ...] = Field(
        min_length=1, description="a table [[block]] for each size, in the order of showing"
    )
    seconds: float | None = Field(30, ge=2, le=3600, description="time for an image; off = as long as the reader wants")
    back: bool = Field(False, description="readers may go back within a block and change answers; needs seconds = off")
    cover: Literal["letters", "corners", "nothing"] = Field(
        "letters", description="what is covered on both kinds alike: letters near the border, as found; all corners"
    )
    corner: float = Field(0.15, gt=0, le=0.4, description="side of a covered corner, share of the image's side")
    zoom: bool = Field(False, description="readers may enlarge the image")
    confidence: bool = Field(False, description="ask how sure the reader is, 1 to 5, after each answer")
    spot: bool = Field(
        False, description="ask the reader to mark what gave the image away, where they answer synthetic"
    )
    comment: bool = Field(False, description="offer a field for words after each answer")
    practice: int = Field(
        4, ge=0, le=50, description="images before the first block, whose truth is told; an even number"
    )
    show_result: bool = Field(False, description="tell readers their own result at the end")
    groups: Names = Field(("readers",), min_length=1, description="groups of readers")
    consent: str = Field(CONSENT, description="what readers agree to before they begin")
    instructions: str = Field("", description="further words before the practice images")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.back and self.seconds is not None:
            raise ValueError("'back' lets readers change answers, which a time limit forbids; set seconds = \"off\"")
        if self.practice % 2:
            raise ValueError("'practice' shows as many real as synthetic images; give an even number")
        sizes = [block.resolution for block in self.block]
        if len(set(sizes)) < len(sizes):
            raise ValueError("two blocks have the same resolution; make one of them")
        return self


class StudyImage(RecordPart):
    """One image. `name` is that of its file without .png and says nothing.

    Attributes:
        block: place of its block in the settings; the practice images have that of the first.
        boxes: left, top, right, bottom in pixels, of what is covered. A real and a synthetic image of the same `pair`
            have the same boxes, so that a box says nothing.
        version: how often its boxes were changed; a changed image is a new file.
    """

    name: str = Field(pattern=r"^[0-9a-f]{32}$")
    block: int = Field(ge=0)
    truth: Truth
    practice: bool = False
    pair: int = 0
    boxes: tuple[tuple[int, int, int, int], ...] = ()
    version: int = Field(0, ge=0)


class StudyImages(Record):
    """All images of a study, with what nobody but its coordinator may know."""

    images: tuple[StudyImage, ...]


class StudySource(RecordPart):
    """Where synthetic images come from.

    Attributes:
        digest: SHA-256 of the generator's weights, or of the pixels of the set.
    """

    kind: Literal["generator", "set", "pool"]
    digest: Sha256


class StudySources(Record):
    """``sources.json``: whose images a study shows; readers never see it.

    Attributes:
        drawn_by: SHA-256 of the weights of the generator that drew an image, by the image's name; where known.
    """

    sources: tuple[StudySource, ...]
    drawn_by: dict[str, Sha256]


@dataclass(frozen=True)
class Study:
    """A study's folder, made by 'radcommons study create'."""

    folder: Path
    settings: StudySettings
    images: tuple[StudyImage, ...]

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Read a study; raises PathMissing or StudyRefused."""
        if not (folder / IMAGES_RECORD).is_file():
            raise PathMissing(f"{folder} is no study; make one with 'radcommons study create'")
        remedy = "make the study again"
        record = StudyImages.read(folder / IMAGES_RECORD, refused=StudyRefused, remedy=remedy)
        settings = StudySettings.load(folder / SETTINGS)
        study = cls(folder, settings, record.images)
        missing = [image.name for image in record.images if not study.path(image).is_file()]
        if missing:
            raise StudyRefused(f"{folder}: {len(missing)} of {len(record.images)} images are missing; {remedy}")
        return study

    def sources(self) -> StudySources:
        """Whose images it shows; nothing if it does not say. Raises StudyRefused."""
        path = self.folder / SOURCES
        if not path.is_file():
            return StudySources(sources=(), drawn_by={})
        return StudySources.read(path, refused=StudyRefused, remedy="make the study again")

    def path(self, image: StudyImage) -> Path:
        """The file of an image as readers see it."""
        version = f".{image.version}" if image.version else ""
        return self.folder / IMAGES / f"{image.name}{version}.png"

    def original(self, image: StudyImage) -> Path:
        """The file of an image before anything was covered; readers never get it."""
        return self.folder / ORIGINALS / f"{image.name}.png"

    @property
    def digest(self) -> str:
        """Of the settings and the record of the images that are in the folder now."""
        return "".join(sha256_file(self.folder / name)[:32] for name in (SETTINGS, IMAGES_RECORD))

    def pairs(self) -> list[list[StudyImage]]:
        """Images that are covered alike, practice images first; their order says nothing of which is real.

        An image that has no partner of the other kind is alone.
        """

        def place(image: StudyImage) -> tuple[int, int]:
            return image.block, image.pair

        ordered = sorted(self.images, key=lambda image: (*place(image), image.name))
        return [list(images) for _, images in groupby(ordered, place)]

    def order(self, reader: int) -> list[StudyImage]:
        """What a reader sees: practice first, then block after block, in an order of their own within each.

        Args:
            reader: number of the reader; the same number sees the same order.
        """
        return [image for part in self._parts() for image in _shuffled(part, self.settings.seed, reader)]

    def _parts(self) -> Iterator[list[StudyImage]]:
        def part(image: StudyImage) -> tuple[bool, int]:
            return not image.practice, image.block

        for _, images in groupby(sorted(self.images, key=lambda image: (*part(image), image.name)), part):
            yield list(images)


def _shuffled(images: list[StudyImage], seed: int, reader: int) -> list[StudyImage]:
    rng = numpy_stream(seed, "study", "order", reader, images[0].block + images[0].practice * 1_000)
    return [images[i] for i in rng.permutation(len(images))]
