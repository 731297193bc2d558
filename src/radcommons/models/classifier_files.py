"""A classifier on disk (``classifier.safetensors``, ``config.json``) and at work: grey images in, logits out."""

import copy
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Self, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from radcommons.errors import ClassifierRefused, PathMissing
from radcommons.files import whole_folder
from radcommons.models.classifier import ClassifierConfig, ClassifierNetwork, resized
from radcommons.models.folding import fold_batch_norms
from radcommons.models.image_blocks import run_over
from radcommons.models.weights import load_network, save_network
from radcommons.progress import Track, silent
from radcommons.records import ClassifierPatients, ClassifierRecord, PatientsRecord, Record

RUN_SUBFOLDER = "classifier"  # where a run keeps it
PATIENTS_FILE = "patients.json"
CPU_BATCH, GPU_BATCH = 16, 128  # images that the network always runs on together
R = TypeVar("R", bound=Record)


def save_classifier(
    folder: Path,
    network: ClassifierNetwork,
    *,
    name: str,
    findings: Sequence[str],
    images_seen: int,
    validation_loss: float | None,
    thresholds: Mapping[str, Sequence[float]],
    patients: Sequence[PatientsRecord] = (),
) -> None:
    """Write a classifier's folder; the old one stays until the new one is whole."""
    with whole_folder(folder) as new:
        record = ClassifierRecord(
            name=name,
            network=network.config.model_dump(mode="json"),
            findings=tuple(findings),
            images_seen=images_seen,
            validation_loss=validation_loss,
            thresholds={rule: tuple(values) for rule, values in thresholds.items()},
            weights_sha256=save_network(network, new / "classifier.safetensors"),
        )
        (new / "config.json").write_text(record.to_json(), encoding="utf-8")
        if patients:
            (new / PATIENTS_FILE).write_text(ClassifierPatients(stores=tuple(patients)).to_json(), encoding="utf-8")


@dataclass(frozen=True)
class Classifier:
    """A trained classifier, ready to score."""

    network: ClassifierNetwork
    record: ClassifierRecord
    device: torch.device

    @classmethod
    def load(cls, reference: Path | str, device: str | None = None) -> Self:
        """Open a run's folder, or the folder ``classifier`` in it; on the GPU where there is one.

        Raises:
            PathMissing, ClassifierRefused: with the next step.
        """
        folder = _folder(Path(reference))
        record = _record(folder / "config.json")

        def make() -> ClassifierNetwork:
            values = {**record.network, "findings": len(record.findings)}
            return ClassifierNetwork(ClassifierConfig.parse(values, source=str(folder / "config.json")))

        weights, remedy = folder / "classifier.safetensors", "train it again"
        network = load_network(make, weights, record.weights_sha256, refused=ClassifierRefused, remedy=remedy)
        return cls.of(network, record, torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu")))

    @classmethod
    def of(cls, network: ClassifierNetwork, record: ClassifierRecord, device: torch.device) -> Self:
        """A classifier of a network in memory."""
        return cls(network.requires_grad_(False).eval().to(device), record, device)

    @property
    def findings(self) -> tuple[str, ...]:
        """Names of the outputs, in order."""
        return self.record.findings

    @property
    def side(self) -> int:
        """Of the input, pixels; images of another are resized to it."""
        return self.network.config.side

    @property
    def digest(self) -> str:
        """SHA-256 of the weights."""
        return self.record.weights_sha256

    def scores(self, images: np.ndarray, *, rows: np.ndarray | None = None, track: Track = silent) -> np.ndarray:
        """Probability of each finding.

        Args:
            images: uint8 (n, R, R), in memory or mapped, any R; a block is read at a time.
            rows: which of them, in this order; all by default.
        Returns:
            float32 (n, F) in [0, 1], the same for the same images in the same order, on however many threads.
        """
        logits = self.logits(images, rows=rows, track=track)
        return (1 / (1 + np.exp(-logits.astype(np.float64)))).astype(np.float32)

    def logits(self, images: np.ndarray, *, rows: np.ndarray | None = None, track: Track = silent) -> np.ndarray:
        """Log odds of each finding; arguments are those of `scores`."""
        batch = CPU_BATCH if self.device.type == "cpu" else GPU_BATCH
        form = self._form  # made once, not by every thread

        def network(grey: Tensor) -> Tensor:
            logits: Tensor = form(resized(grey, self.side).contiguous(memory_format=torch.channels_last))
            return logits

        return run_over(
            network,
            images,
            rows,
            width=len(self.findings),
            batch=batch,
            block=batch,
            device=self.device,
            name="the classifier",
            outputs="scores",
            track=track,
            description="Scoring",
        )

    @cached_property
    def _form(self) -> nn.Module:
        """The network with what batch norms can be folded, in the memory format that is fastest."""
        form = copy.deepcopy(self.network)
        fold_batch_norms(form)
        return form.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def load_classifier_patients(reference: Path) -> tuple[PatientsRecord, ...]:
    """The patients whose films a classifier was trained on, one record per store; empty where it does not say."""
    path = _folder(reference) / PATIENTS_FILE
    if not path.is_file():
        return ()
    return _read(path, ClassifierPatients).stores


def _folder(reference: Path) -> Path:
    if not reference.is_dir():
        raise PathMissing(f"{reference} is not a folder; make a classifier with 'radcommons classify train'")
    return reference / RUN_SUBFOLDER if (reference / RUN_SUBFOLDER).is_dir() else reference


def _record(path: Path) -> ClassifierRecord:
    if not path.is_file():
        raise ClassifierRefused(f"{path.parent} holds no classifier (no config.json); name a run of 'classify train'")
    try:
        architecture = json.loads(path.read_text(encoding="utf-8"))["architecture"]
    except (OSError, ValueError, KeyError, TypeError):
        raise ClassifierRefused(f"{path} is damaged; train the classifier again") from None
    if architecture != "classifier":
        raise ClassifierRefused(
            f"{path.parent} holds a {architecture}, not a classifier; name a run of 'classify train'"
        )
    return _read(path, ClassifierRecord)


def _read(path: Path, kind: type[R]) -> R:
    remedy = "train the classifier again"
    return kind.read(path, refused=ClassifierRefused, remedy=remedy, other_version="update radcommons")
