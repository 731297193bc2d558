"""The records beside a generator's weights."""

from typing import Any, ClassVar, Self

from pydantic import model_validator

from radcommons.records.record import Record


class FindingsRecord(Record):
    """``findings.json`` beside a generator's weights: the label order and how labels occur together.

    Attributes:
        findings: canonical names in label order.
        combinations: label vectors (0/1) seen in training, with the number of images of each. Combinations of fewer
            than `smallest_cell` patients are left out, because a rare one may identify a person.
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

    Version 1 knew only "progan" and kept `fade` here; it is read as version 2.

    Attributes:
        architecture: the family, one of a closed list, see models.families.
        name: who trained it on what, for people.
        network: the family's own configuration.
        resolution: side of the images, pixels.
        images_seen: real images shown in training.
        weights_sha256: digest of ``generator.safetensors``.
    """

    FORMAT_VERSION: ClassVar[int] = 2

    architecture: str
    name: str
    network: dict[str, Any]
    resolution: int
    images_seen: int
    weights_sha256: str

    @model_validator(mode="before")
    @classmethod
    def _read_version_1(cls, values: Any) -> Any:
        if not isinstance(values, dict) or values.get("format_version") != 1:
            return values
        values = {**values, "format_version": 2}
        if isinstance(values.get("network"), dict) and "fade" in values:
            growth = {"grown_to": values.get("resolution"), "fade": values.pop("fade")}
            values["network"] = {**values["network"], **growth}
        return values
