"""Records that RadCommons writes and reads as JSON, each with its format version.

They know neither torch nor where on disk they lie.
"""

import hashlib
import json
from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, model_validator


class Record(BaseModel):
    """Base of all records: frozen, versioned, unknown fields refused."""

    FORMAT_VERSION: ClassVar[int] = 1
    model_config = ConfigDict(extra="forbid", frozen=True)
    format_version: int = 0

    @model_validator(mode="before")
    @classmethod
    def _stamp(cls, values: Any) -> Any:
        return {"format_version": cls.FORMAT_VERSION, **values} if isinstance(values, dict) else values

    def to_json(self) -> str:
        """Indented JSON with a final newline."""
        return json.dumps(self.model_dump(mode="json"), indent=2) + "\n"


def sha256_file(path: Path) -> str:
    """SHA-256 of a file's bytes, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class StoreRecord(Record):
    """``store.json``: what an import made.

    Attributes:
        name: the site.
        source: the reader, e.g. "nih" or "phantom".
        findings: canonical names in label order.
        resolutions: sides of the stored images, pixels, ascending.
        label_policy: how uncertain and blank labels were read.
        fit: "crop" or "pad" to a square.
        images, patients, rejected, absent, upsampled: counts.
        split: images a part.
        split_salt: salt of the patient hash that made the split.
        request_sha256: digest of what was asked, to recognise the same command.
        manifest_sha256: digest of ``manifest.parquet``.
    """

    name: str
    source: str
    findings: tuple[str, ...]
    resolutions: tuple[int, ...]
    label_policy: str
    fit: str
    images: int
    patients: int
    rejected: int
    absent: int
    upsampled: int
    split: dict[str, int]
    split_salt: str
    request_sha256: str
    manifest_sha256: str


class FindingsRecord(Record):
    """``findings.json`` beside a generator's weights: the label order and how labels occur together.

    Attributes:
        findings: canonical names in label order.
        combinations: label vectors (0/1) seen in training, with the number of images of each. Combinations
            of fewer than `smallest_cell` patients are left out: a rare one may point at a person.
        smallest_cell: the least number of patients a published combination has.
        withheld_images: training images whose combination was left out.
    """

    findings: tuple[str, ...]
    combinations: tuple[tuple[tuple[int, ...], int], ...]
    smallest_cell: int
    withheld_images: int = 0

    @model_validator(mode="after")
    def _widths(self) -> Self:
        if any(len(labels) != len(self.findings) for labels, _ in self.combinations):
            raise ValueError("a combination has another number of entries than there are findings")
        return self


class GeneratorRecord(Record):
    """``config.json`` beside a generator's weights: architecture and how far it was trained.

    Attributes:
        architecture: one of a closed list; "progan" so far.
        name: who trained it on what, for people.
        network: the settings of the network, see models.progan.ProganConfig.
        resolution: side of the images it was trained to draw, pixels (may be below the network's final one).
        fade: weight of that resolution's head, in [0, 1].
        images_seen: real images shown in training.
        weights_sha256: digest of ``generator.safetensors``.
    """

    architecture: str
    name: str
    network: dict[str, Any]
    resolution: int
    fade: float
    images_seen: int
    weights_sha256: str
