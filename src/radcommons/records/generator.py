"""The records beside a generator's weights."""

from typing import Any, Self

from pydantic import model_validator

from radcommons.records.record import Record


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
