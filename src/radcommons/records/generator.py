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


def _of_version_1(values: dict[str, Any]) -> dict[str, Any]:
    """Version 1 knew only "progan" and kept `fade` beside its configuration."""
    values = dict(values)
    growth = {"grown_to": values["resolution"], "fade": values.pop("fade")}
    return {**values, "network": {**values["network"], **growth}}


class GeneratorRecord(Record):
    """``config.json`` beside a generator's weights: architecture and how far it was trained.

    Attributes:
        architecture: the family, one of a closed list, see models.families.
        name: who trained it on what, for people.
        network: the family's own configuration.
        resolution: side of the images, pixels.
        images_seen: real images shown in training.
        weights_sha256: digest of ``generator.safetensors``.
    """

    FORMAT_VERSION: ClassVar[int] = 2
    UPGRADES: ClassVar = {1: _of_version_1}

    architecture: str
    name: str
    network: dict[str, Any]
    resolution: int
    images_seen: int
    weights_sha256: str
