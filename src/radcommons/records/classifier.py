"""The record beside a classifier's weights."""

from typing import Any, Self

from pydantic import model_validator

from radcommons.records.record import Record


class ClassifierRecord(Record):
    """``config.json`` beside a classifier's weights.

    Attributes:
        architecture: "classifier".
        name: the sources that it was trained on, for people.
        network: the settings of the network, see models.classifier.ClassifierConfig.
        findings: names of the outputs, in order.
        images_seen: training images shown up to the best validation.
        validation_loss: of these weights; None where nothing was held out.
        thresholds: by rule ("youden", "closest to corner"), one probability per finding, chosen on validation.
        weights_sha256: digest of ``classifier.safetensors``.
    """

    architecture: str = "classifier"
    name: str
    network: dict[str, Any]
    findings: tuple[str, ...]
    images_seen: int
    validation_loss: float | None
    thresholds: dict[str, tuple[float, ...]]
    weights_sha256: str

    @model_validator(mode="after")
    def _widths(self) -> Self:
        if any(len(values) != len(self.findings) for values in self.thresholds.values()):
            raise ValueError("a rule has another number of thresholds than there are findings")
        return self
