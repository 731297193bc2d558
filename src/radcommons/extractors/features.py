"""Feature vectors of images, and by which extractor they were made: only those of one extractor compare."""

from dataclasses import dataclass

import numpy as np
from pydantic import BaseModel, ConfigDict

from radcommons.errors import ExtractorsDiffer


class ExtractorRecord(BaseModel):
    """Which extractor made the features; every score is stored with it.

    Attributes:
        name: as `load_extractor` knows it.
        digest: SHA-256 of the weights.
        dimension: numbers per image.
        side: of the network's input, pixels.
        resize: how images of another size get there, in words.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    name: str
    digest: str
    dimension: int
    side: int
    resize: str


@dataclass(frozen=True, slots=True)
class Features:
    """Features of n images, float32 (n, d), row by row, and their extractor."""

    values: np.ndarray
    extractor: ExtractorRecord

    def __len__(self) -> int:
        return len(self.values)

    def take(self, rows: np.ndarray) -> "Features":
        """The features of some rows, in that order."""
        return Features(self.values[rows], self.extractor)


def same_extractor(a: Features, b: Features) -> ExtractorRecord:
    """The extractor of both.

    Raises:
        ExtractorsDiffer: they are of different extractors, weights or resize rules.
    """
    one, other = a.extractor, b.extractor
    if one == other:
        return one
    if one.name != other.name:
        which = f"{one.name} and {other.name}"
    elif one.digest != other.digest:
        which = f"{one.name} with weights {one.digest[:8]} and {other.digest[:8]}"
    else:
        which = f"{one.name} at {one.side} ({one.resize}) and at {other.side} ({other.resize})"
    raise ExtractorsDiffer(f"scores of {which} cannot be compared; extract both sets with one extractor")
