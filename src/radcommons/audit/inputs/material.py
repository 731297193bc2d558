"""The images of an audit: the store's films by part, synthetic images, copies, and the features of all of them."""

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from radcommons.audit.inputs.subject import Sampling, Subject
from radcommons.audit.neighbours.nearest import Films
from radcommons.audit.neighbours.reidentification import Reidentification, local_contrast, unit
from radcommons.audit.planted import slightly_changed
from radcommons.audit.settings import AuditSettings
from radcommons.data.listing import PARTS, Part
from radcommons.data.store import Store
from radcommons.errors import TooFewImages
from radcommons.extractors import Extractor, Features, extract
from radcommons.models.generator import SyntheticImages
from radcommons.progress import Track
from radcommons.resume import Kept
from radcommons.seeds import numpy_stream

FEWEST_PATIENTS = 20  # held out: below, no test says anything
COPIES = 400  # of training films, slightly changed: for thresholds, and for what the audit can see
FITTED = 4_000  # films that the re-identification features are fitted to, at most
SYNTHETIC, BALANCED, COPIED = "synthetic", "balanced", "copies"


@dataclass(frozen=True)
class Material:
    """Films and images of an audit.

    Attributes:
        rows: the store's rows of each part that are compared.
        labels: float32 (N, F) of all the store's films, in the subject's order of findings.
        synthetic: the synthetic images, with labels as in training and balanced.
        copied: which row of the training films each of the copies is made from.
        centre: mean extractor features of training and test films, (d,). What all films share says nothing of whose
            they are, so features are compared without it.
        reidentification: turns images into re-identification features.
        films, features: of "train", "val", "test", "synthetic", "balanced" and "copies".
    """

    store: Store
    subject: Subject
    settings: AuditSettings
    extractor: Extractor
    track: Track
    rows: dict[Part, np.ndarray]
    labels: np.ndarray
    synthetic: dict[str, SyntheticImages]
    copied: np.ndarray
    centre: np.ndarray
    reidentification: Reidentification
    films: dict[str, Films]
    features: dict[str, Features]

    @property
    def images(self) -> np.ndarray:
        """All films at the subject's resolution, uint8 (N, R, R), memory-mapped."""
        return self.store.images(self.subject.resolution)

    def as_films(self, images: np.ndarray, *, name: str) -> Films:
        """Images of any square size as the tests see them: one patient each, labels unknown."""
        labels = np.full((len(images), len(self.subject.findings)), np.nan, np.float32)
        values = extract(self.extractor, images, track=self.track, description=f"Features of {name}").values
        small = shrunk(images, compared_side(self.store, self.subject, self.settings))
        return Films(unit(values - self.centre), self.reidentification(small), small, labels, np.arange(len(images)))


def gather(
    store: Store, subject: Subject, settings: AuditSettings, extractor: Extractor, work: Kept, track: Track
) -> Material:
    """Draw the synthetic images and compute all features, once; `work` keeps what a stopped audit has done."""
    rows = chosen_rows(store, settings)
    labels = store.labels()[:, [store.findings.index(finding) for finding in subject.findings]]
    patients = np.unique(store.manifest["patient"].to_numpy(), return_inverse=True)[1]
    images = store.images(subject.resolution)
    side = compared_side(store, subject, settings)
    synthetic = {
        SYNTHETIC: _sampled(subject, "as in training", settings.images, settings, work, track),
        BALANCED: _sampled(subject, "balanced", settings.balanced_images, settings, work, track),
    }
    stream = numpy_stream(settings.seed, "copies")
    copied = np.sort(stream.choice(len(rows["train"]), min(COPIES, len(rows["train"])), replace=False))
    originals = rows["train"][copied]
    changed = slightly_changed(np.asarray(images[originals]), stream)
    reidentification = _fitted(images, rows, side, settings)

    def seen(name: str, of: np.ndarray, picked: np.ndarray | None = None) -> Features:
        def make() -> np.ndarray:
            return extract(extractor, of, rows=picked, track=track, description=f"Features, {name}").values

        return Features(np.asarray(work.array(f"features-{name}", make)), extractor.record)

    features: dict[str, Features] = {part: seen(part, images, picked) for part, picked in rows.items()}
    features |= {name: seen(name, made.images) for name, made in synthetic.items()}
    features[COPIED] = seen(COPIED, changed)
    centre = np.concatenate([features["train"].values, features["test"].values]).mean(axis=0)

    def compared(name: str, small: np.ndarray, given: np.ndarray, owners: np.ndarray) -> Films:
        return Films(unit(features[name].values - centre), reidentification(small), small, given, owners)

    films: dict[str, Films] = {
        part: compared(part, np.asarray(store.images(side)[picked]), labels[picked], patients[picked])
        for part, picked in rows.items()
    }
    for name, made in synthetic.items():
        films[name] = compared(name, shrunk(made.images, side), made.labels, np.arange(len(made.labels)))
    films[COPIED] = compared(COPIED, shrunk(changed, side), labels[originals], np.arange(len(changed)))
    return Material(
        store=store,
        subject=subject,
        settings=settings,
        extractor=extractor,
        track=track,
        rows=rows,
        labels=labels,
        synthetic=synthetic,
        copied=copied,
        centre=centre,
        reidentification=reidentification,
        films=films,
        features=features,
    )


def compared_side(store: Store, subject: Subject, settings: AuditSettings) -> int:
    """The largest of the store's sides that neither the subject nor the settings exceed."""
    return max(r for r in store.resolutions if r <= max(8, min(subject.resolution, settings.ssim_side)))


def chosen_rows(store: Store, settings: AuditSettings) -> dict[Part, np.ndarray]:
    """The store's rows of each part; if they are more than `largest_sample`, those of random whole patients.

    Raises:
        TooFewImages: too few patients are held out, or in training, for any test.
    """
    patients = store.manifest["patient"].to_numpy()
    rows: dict[Part, np.ndarray] = {}
    for part in PARTS:
        found = store.rows(part)
        if len(found) > settings.largest_sample:
            _, owner, films = np.unique(patients[found], return_inverse=True, return_counts=True)
            order = numpy_stream(settings.seed, "patients", part).permutation(len(films))
            kept = order[: int(np.searchsorted(films[order].cumsum(), settings.largest_sample, side="right"))]
            found = found[np.isin(owner, kept)]
        rows[part] = found
    for part, what in (("train", "in training"), ("test", "held out")):
        count = len(np.unique(patients[rows[part]]))
        if count < FEWEST_PATIENTS:
            raise TooFewImages(
                f"{store.path} has {count} patients {what} ('{part}'); an audit needs {FEWEST_PATIENTS} or more: "
                "import again with more films, or with lists of the films of each part (--split)"
            )
    return rows


def shrunk(images: np.ndarray, side: int) -> np.ndarray:
    """Images averaged down to `side` pixels; uint8 (n, R, R) -> (n, side, side)."""
    if images.shape[-1] == side:
        return np.asarray(images)
    small = np.empty((len(images), side, side), np.uint8)
    for place, image in enumerate(images):
        small[place] = cv2.resize(np.asarray(image), (side, side), interpolation=cv2.INTER_AREA)
    return small


def _fitted(images: np.ndarray, rows: dict[Part, np.ndarray], side: int, settings: AuditSettings) -> Reidentification:
    """Re-identification features, fitted to training and held-out films alike.

    The fit must not depend on the group: a film that it was fitted to gets other features than one that it was not, and
    the tests permute patients between the two groups.
    """
    stream = numpy_stream(settings.seed, "identity")
    both = np.concatenate([rows["train"], rows["test"]])
    chosen = np.sort(stream.choice(both, min(len(both), FITTED), replace=False))
    films = np.asarray(images[chosen])
    copies = slightly_changed(films, stream)
    return Reidentification.fit(*(local_contrast(shrunk(some, side)) for some in (films, copies)))


def _sampled(
    subject: Subject, kind: Sampling, count: int, settings: AuditSettings, work: Kept, track: Track
) -> SyntheticImages:
    count = subject.available(count)
    name = kind.replace(" ", "-")

    def blocks(start: int) -> Iterator[tuple[int, np.ndarray]]:
        with track(f"Drawing, {kind}", total=count, done=start) as advance:
            for batch in subject.batches(count, kind, seed=settings.seed, start=start):
                yield batch.first, batch.images
                advance(len(batch.images))

    images = work.growing(f"drawn-{name}", (count, subject.resolution, subject.resolution), blocks)
    labels = subject.labels(count, kind, seed=settings.seed)
    return SyntheticImages(images, labels, subject.findings)
