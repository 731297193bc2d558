"""A classifier on disk (``classifier.safetensors``, ``config.json``) and at work: grey images in, logits out."""

import copy
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Self, TypeVar

import numpy as np
import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import nn

from radcommons.errors import BadInput, ClassifierRefused, PathMissing, SettingRefused
from radcommons.files import whole_folder
from radcommons.models.classifier import ClassifierConfig, ClassifierNetwork, resized
from radcommons.models.folding import fold_batch_norms
from radcommons.progress import Track, silent
from radcommons.records import ClassifierPatients, ClassifierRecord, PatientsRecord, Record, sha256_file
from radcommons.threads import one_core, thread_map, threads_for

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
    """Write a classifier's folder in one exchange: the old one stands until the new one is whole."""
    with whole_folder(folder) as new:
        weights = new / "classifier.safetensors"
        tensors = {k: v.detach().cpu().contiguous() for k, v in network.state_dict().items()}
        safetensors.torch.save_file(tensors, weights)
        record = ClassifierRecord(
            name=name,
            network=network.config.model_dump(mode="json"),
            findings=tuple(findings),
            images_seen=images_seen,
            validation_loss=validation_loss,
            thresholds={rule: tuple(values) for rule, values in thresholds.items()},
            weights_sha256=sha256_file(weights),
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
        weights = folder / "classifier.safetensors"
        damaged = ClassifierRefused(f"{weights} is missing or not the file that config.json names; train it again")
        if not weights.is_file() or sha256_file(weights) != record.weights_sha256:
            raise damaged
        try:
            network = ClassifierNetwork(ClassifierConfig.parse(record.network, source=str(folder / "config.json")))
            if network.config.findings != len(record.findings):
                raise damaged
            network.load_state_dict(safetensors.torch.load_file(weights))
        except SettingRefused as error:
            raise ClassifierRefused(str(error)) from None
        except (SafetensorError, RuntimeError):
            raise damaged from None
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

    def scores(
        self,
        images: np.ndarray,
        *,
        rows: np.ndarray | None = None,
        track: Track = silent,
        description: str = "Scoring",
    ) -> np.ndarray:
        """Probability of each finding.

        Args:
            images: uint8 (n, R, R), in memory or mapped, any R; a block is read at a time.
            rows: which of them, in this order; all by default.
        Returns:
            float32 (n, F) in [0, 1], the same for the same images in the same order, on however many threads.
        """
        logits = self.logits(images, rows=rows, track=track, description=description)
        return (1 / (1 + np.exp(-logits.astype(np.float64)))).astype(np.float32)

    def logits(
        self,
        images: np.ndarray,
        *,
        rows: np.ndarray | None = None,
        track: Track = silent,
        description: str = "Scoring",
    ) -> np.ndarray:
        """Log odds of each finding; arguments are those of `scores`."""
        if images.dtype != np.uint8 or images.ndim != 3 or images.shape[1] != images.shape[2]:
            raise BadInput(f"images are {images.dtype} {images.shape}; a classifier needs uint8 (n, R, R)")
        count = len(images) if rows is None else len(rows)
        found = np.empty((count, len(self.findings)), np.float32)
        cpu = self.device.type == "cpu"
        batch = CPU_BATCH if cpu else GPU_BATCH
        starts = range(0, count, batch)
        self._form  # noqa: B018  made once, not by every thread

        def run(first: int) -> tuple[int, np.ndarray]:
            span = slice(first, min(first + batch, count))
            part = images[span if rows is None else rows[span]]
            with one_core():
                return first, self._run(part, batch)

        threads = threads_for(len(starts), self.device)
        with track(description, total=count) as advance:
            for first, values in thread_map(run, starts, threads=threads):
                found[first : first + len(values)] = values
                advance(len(values))
        return found

    @torch.inference_mode()
    def _run(self, images: np.ndarray, batch: int) -> np.ndarray:
        """Logits of a batch, filled up with black images."""
        whole = np.zeros((batch, *images.shape[1:]), np.uint8)
        whole[: len(images)] = images
        grey = torch.from_numpy(whole).to(self.device).unsqueeze(1).float()
        logits = self._form(resized(grey, self.side).contiguous(memory_format=torch.channels_last))
        values: np.ndarray = logits.float().cpu().numpy()[: len(images)]
        return values

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
