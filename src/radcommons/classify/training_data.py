"""The images that a classifier learns from: of stores, synthetic sets and generators, as one numbered list."""

import hashlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from radcommons.data.image_set import is_image_set, open_image_set
from radcommons.data.listing import Part
from radcommons.data.store import Store
from radcommons.data.training_patients import patients_record, shared_patients
from radcommons.errors import FindingUnknown, PatientsSeen, SetRefused, TooFewImages, nearest_hint
from radcommons.models.classifier import resized
from radcommons.progress import Track, silent
from radcommons.records import PatientsRecord
from radcommons.seeds import numpy_stream

logger = logging.getLogger(__name__)

HELD_OUT_SHARE = 0.1  # of a set's images, for validation where no store is given


@dataclass(frozen=True)
class Examples:
    """Labelled images of one source.

    Attributes:
        source: where they are from, in words.
        images: uint8 (m, R, R), in memory or mapped.
        rows: which of them, (n,).
        labels: float32 (n, F); 1 present, 0 absent, NaN unknown.
        patients: (n,), text; every synthetic image counts as its own patient.
        findings: names of the F findings.
        digest: of the images of the source.
    """

    source: str
    images: np.ndarray
    rows: np.ndarray
    labels: np.ndarray
    patients: np.ndarray
    findings: tuple[str, ...]
    digest: str

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, places: np.ndarray) -> "Examples":
        """The images at `places`, in that order; a place may repeat."""
        return replace(self, rows=self.rows[places], labels=self.labels[places], patients=self.patients[places])

    def about(self, findings: Sequence[str]) -> "Examples":
        """The same images with the labels of some findings."""
        columns = [self.findings.index(f) for f in findings]
        return replace(self, labels=self.labels[:, columns], findings=tuple(findings))


def of_store(store: Store, part: Part | None, *, side: int) -> Examples:
    """Films of one part, read at the smallest stored side that is not below `side`."""
    resolution = min((r for r in store.resolutions if r >= side), default=store.resolutions[-1])
    rows = store.rows(part)
    return Examples(
        source=f"{store.path.name} ({part})" if part else store.path.name,
        images=store.images(resolution),
        rows=rows,
        labels=store.labels(rows),
        patients=store.manifest["patient"].to_numpy()[rows].astype(str),
        findings=store.findings,
        digest=f"{store.record.manifest_sha256}/{part or 'all'}",
    )


def of_images(source: str, images: np.ndarray, labels: np.ndarray, findings: Sequence[str], digest: str) -> Examples:
    """Synthetic images in memory, uint8 (n, R, R), and their labels, (n, F)."""
    patients = np.array([f"{source}#{i}" for i in range(len(images))])
    return Examples(source, images, np.arange(len(images)), labels, patients, tuple(findings), digest)


class Mixture:
    """Examples of several sources as one list, all at one side.

    Attributes:
        findings: of all labels.
        labels: float32 (N, F).
        patients: (N,).
    """

    def __init__(self, parts: Sequence[Examples], findings: Sequence[str], *, side: int) -> None:
        self.findings = tuple(findings)
        self.parts = tuple(part.about(findings) for part in parts)
        self.side = side
        self.labels = np.concatenate([p.labels for p in self.parts]).astype(np.float32)
        self.patients = np.concatenate([p.patients for p in self.parts])
        self._starts = np.cumsum([0, *(len(p) for p in self.parts)])

    def __len__(self) -> int:
        return int(self._starts[-1])

    @property
    def sources(self) -> str:
        """The sources in words."""
        return " + ".join(dict.fromkeys(part.source for part in self.parts))

    @property
    def digest(self) -> str:
        """Digest of the sources, the chosen images and all labels."""
        running = hashlib.sha256(self.labels.tobytes())
        for part in self.parts:
            running.update(part.digest.encode())
            running.update(np.ascontiguousarray(part.rows, np.int64).tobytes())
        return running.hexdigest()

    def read(self, indices: np.ndarray) -> Tensor:
        """Grey levels of some images, float32 (n, 1, side, side)."""
        found = torch.empty(len(indices), 1, self.side, self.side)
        which = np.searchsorted(self._starts, indices, side="right") - 1
        for number, part in enumerate(self.parts):
            mine = np.flatnonzero(which == number)
            if len(mine):
                rows = part.rows[indices[mine] - self._starts[number]]
                grey = torch.from_numpy(np.ascontiguousarray(part.images[rows])).unsqueeze(1).float()
                found[torch.from_numpy(mine)] = resized(grey, self.side)
        return found


@dataclass(frozen=True)
class Split:
    """Images to learn from and images that decide when to stop; `patients` of both, one record per store."""

    train: Mixture
    validation: Mixture
    patients: tuple[PatientsRecord, ...] = ()


def open_split(
    sources: Sequence[Path],
    *,
    validation: Path | None,
    findings: Sequence[str] | None,
    side: int,
    seed: int,
    track: Track = silent,
) -> Split:
    """Open stores and synthetic sets as one mixture.

    Validation films are those of the store `validation`, else of the stores among `sources`, else (sets only) every
    tenth image of the sets, drawn by the seed.

    Raises:
        FindingUnknown: a source does not label a finding; the message names the findings in common.
        TooFewImages: a finding with one class only, in training or validation.
        PatientsSeen: stores of one pseudonym key have patients in training and in validation.
        PathMissing, StoreRefused, SetRefused: what cannot be read.
    """
    train: list[Examples] = []
    stores: dict[Path, Store] = {}
    for path in sources:
        if is_image_set(path):
            power_of_two = 1 << (side - 1).bit_length()  # as a store's images have it
            theirs = open_image_set(path, largest=power_of_two, track=track)
            train.append(of_images(path.name, theirs.images, theirs.labels, theirs.findings, theirs.digest))
        else:
            store = stores[path] = Store.open(path)
            train.append(of_store(store, "train", side=side))
    if validation is not None and is_image_set(validation):
        raise SetRefused(f"{validation} is a synthetic set; validate on a store")
    validating = list(stores) if validation is None else [validation]
    validation_stores = {path: stores.get(path) or Store.open(path) for path in validating}
    held_out = [of_store(store, "val", side=side) for store in validation_stores.values()]
    require_patient_level_split(stores, validation_stores)
    if not held_out:
        for number, part in enumerate(train):
            order = numpy_stream(seed, "held out", number).permutation(len(part))
            cut = max(1, round(HELD_OUT_SHARE * len(part)))
            held_out.append(part.take(np.sort(order[:cut])))
            train[number] = part.take(np.sort(order[cut:]))
    chosen = chosen_findings(train, held_out, findings)
    split = Split(
        Mixture(train, chosen, side=side),
        Mixture(held_out, chosen, side=side),
        (
            *(patients_record(store, store.rows("train")) for store in stores.values()),
            *(patients_record(store, store.rows("val")) for store in validation_stores.values()),
        ),
    )
    require_both_classes(split.train.labels, chosen, "training")
    require_both_classes(split.validation.labels, chosen, "validation")
    return split


def require_patient_level_split(stores: Mapping[Path, Store], validation: Mapping[Path, Store]) -> None:
    """Raise PatientsSeen where a store's training part has patients of a store's validation part."""
    for path, store in stores.items():
        for held_out_path, held_out in validation.items():
            if shared := shared_patients(store, store.rows("train"), held_out, held_out.rows("val")):
                raise PatientsSeen(
                    f"{shared:,} validation patients of {held_out_path} are in the training part of {path}; split both "
                    "stores alike (same --split-salt or lists), or name another --validation"
                )


def chosen_findings(
    train: Sequence[Examples], held_out: Sequence[Examples], asked: Sequence[str] | None
) -> tuple[str, ...]:
    """The findings asked for, or those that all sources label and that have both classes in both parts.

    Raises:
        FindingUnknown, TooFewImages.
    """
    everywhere = [f for f in train[0].findings if all(f in part.findings for part in [*train, *held_out])]
    if asked is not None:
        for finding in asked:
            for part in [*train, *held_out]:
                if finding not in part.findings:
                    hint = nearest_hint(finding, part.findings)
                    common = f"; common to all sources are {', '.join(everywhere)}" if everywhere else ""
                    raise FindingUnknown(f"finding '{finding}' is not labelled in {part.source}; {hint}{common}")
        return tuple(asked)
    if not everywhere:
        named = "; ".join(f"{p.source}: {', '.join(p.findings)}" for p in [*train, *held_out])
        raise FindingUnknown(f"the sources have no finding in common ({named})")

    def both(parts: Sequence[Examples], finding: str) -> bool:
        labels = np.concatenate([p.about([finding]).labels for p in parts])
        return bool(with_both_classes(labels)[0])

    chosen = tuple(f for f in everywhere if both(train, f) and both(held_out, f))
    if not chosen:
        raise TooFewImages(
            f"none of {', '.join(everywhere)} has both positive and negative images in training and in validation; "
            "add images, or name another --validation"
        )
    if left_out := [f for f in everywhere if f not in chosen]:
        logger.warning("left out, because training or validation has one class only: %s", ", ".join(left_out))
    return chosen


def with_both_classes(labels: np.ndarray) -> np.ndarray:
    """Which findings have both classes among labels (n, F), boolean (F,)."""
    return np.asarray((labels >= 0.5).any(axis=0) & (labels < 0.5).any(axis=0))


def require_both_classes(labels: np.ndarray, findings: Sequence[str], part: str) -> None:
    """Raise TooFewImages where a finding has one class only in a part."""
    for column, finding in enumerate(findings):
        positives, negatives = int((labels[:, column] >= 0.5).sum()), int((labels[:, column] < 0.5).sum())
        if not positives or not negatives:
            raise TooFewImages(
                f"finding '{finding}' has {positives} positive and {negatives} negative images in {part}; it needs both"
            )
