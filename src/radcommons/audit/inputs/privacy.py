"""What the privacy tests are given: real and synthetic images, and in each space the nearest ones of each."""

from dataclasses import dataclass

import faiss
import numpy as np

from radcommons.audit.inputs.material import COPIED, SYNTHETIC, Material
from radcommons.audit.neighbours.nearest import SPACES, STREAMS, Films, Nearest, RealImages, joined, nearest
from radcommons.audit.permutation import Permutation
from radcommons.audit.settings import AuditSettings
from radcommons.metrics.bootstrap import auc_interval
from radcommons.metrics.classification import area_under_roc
from radcommons.metrics.ssim import ssim
from radcommons.progress import Track, silent
from radcommons.records import Estimate, Space
from radcommons.seeds import numpy_stream

NEIGHBOURS = 64  # of an image among all films: nearly always some of both groups are among them
COPIES_SEEN = 0.95  # of slightly changed copies lie above the similarity from which images count as the same film
MOST_BY_CHANCE = 0.05  # of films of other patients above that similarity: with more, near-duplicates are not counted
CELL_FILMS = 100  # training films in a cell of the data-copying test, on average
OTHER_FILMS = 20  # of other patients with which each film is paired, to see whether a space tells patients apart
SHOWN = 3  # nearest training films kept for the pages


@dataclass(frozen=True)
class RealNeighbours:
    """What the tests need to know of the real films in one space; made once.

    Attributes:
        permutation: training and held-out films together, for tests that permute patients between them.
        held_to_train, reference_to_train: nearest training film of each held-out and reference film.
        train_to_reference, held_to_reference: nearest reference film; None if there is no reference.
        copy_similarity: above it two images count as near-duplicates.
        copies_seen: share of slightly changed copies of training films above it.
        same_patient_seen: share of pairs of different films of one patient above it; NaN if no patient has two.
        chance_of_copy: how often the nearest film of another patient lies above it.
    """

    permutation: Permutation
    held_to_train: Nearest
    reference_to_train: Nearest | None
    train_to_reference: Nearest | None
    held_to_reference: Nearest | None
    copy_similarity: float
    copies_seen: float
    same_patient_seen: float
    chance_of_copy: float

    @property
    def tells_copies(self) -> bool:
        """Whether near-duplicates can be told from films of other patients in this space."""
        return self.chance_of_copy <= MOST_BY_CHANCE


def real_neighbours(
    real: RealImages, copies: Films, copied_rows: np.ndarray, space: Space, *, track: Track = silent
) -> RealNeighbours:
    """Compare the real films with each other.

    Args:
        copies: slightly changed copies of training films.
        copied_rows: which training film each is a copy of.
    """
    held = nearest(space, real.held_out, real.train, track=track)
    reference = nearest(space, real.reference, real.train, track=track) if len(real.reference) else None
    permutation = _permutation(real, space, track)
    different = permutation.nearest_member()[: len(real.train)]  # of training films, which share no film with others
    same = nearest(space, copies, real.train, track=track)
    to_origin = np.where(same.rows[:, 0] == copied_rows, same.best, -1.0)
    threshold = float(np.quantile(to_origin, 1 - COPIES_SEEN))
    return RealNeighbours(
        permutation=permutation,
        held_to_train=held,
        reference_to_train=reference,
        train_to_reference=nearest(space, real.train, real.reference, track=track) if reference else None,
        held_to_reference=nearest(space, real.held_out, real.reference, track=track) if reference else None,
        copy_similarity=threshold,
        copies_seen=float((to_origin > threshold).mean()),
        same_patient_seen=float((same_patient(real.train, space) > threshold).mean()),
        chance_of_copy=chance_of_copy(different, threshold),
    )


def _cells(features: np.ndarray, seed: int) -> np.ndarray:
    """Cell of each film by k-means of its features, int (n,)."""
    count, seed = max(1, len(features) // CELL_FILMS), 1 + seed % 2**20
    clusters = faiss.Kmeans(features.shape[1], count, seed=seed, niter=25, min_points_per_centroid=1)
    clusters.train(features)
    cells: np.ndarray = clusters.index.search(features, 1)[1][:, 0]
    return cells


def same_patient(films: Films, space: Space) -> np.ndarray:
    """Similarity of each film to the next one of the same patient, (pairs,); one NaN if no patient has two."""
    first, second = _pairs_of_one_patient(films)
    return similarities(films, first, second, space) if len(first) else np.array([np.nan])


def _pairs_of_one_patient(films: Films) -> tuple[np.ndarray, np.ndarray]:
    """Rows of each film and of the next one of the same patient, (pairs,) each."""
    order = np.argsort(films.patients, kind="stable")
    pairs = np.flatnonzero(np.diff(films.patients[order]) == 0)
    return order[pairs], order[pairs + 1]


def same_patient_auc(
    films: Films, space: Space, *, bootstrap_samples: int, rng: np.random.Generator
) -> Estimate | None:
    """AUC with which a similarity tells two films of one patient from films of two; None if no patient has two."""
    first, second = _pairs_of_one_patient(films)
    if not len(first):
        return None
    each = np.arange(len(films))
    a, b = np.tile(each, OTHER_FILMS), np.concatenate([np.roll(each, step) for step in range(1, OTHER_FILMS + 1)])
    two = films.patients[a] != films.patients[b]
    same, different = similarities(films, first, second, space), similarities(films, a[two], b[two], space)
    owners = films.patients[first], films.patients[a[two]]
    low, high = auc_interval(same, different, *owners, bootstrap_samples=bootstrap_samples, rng=rng)
    return Estimate(value=area_under_roc(same, different), low=low, high=high)


def similarities(films: Films, first: np.ndarray, second: np.ndarray, space: Space) -> np.ndarray:
    """Similarity of the films of rows `first` to those of rows `second`, (pairs,)."""
    a, b = films.take(first), films.take(second)
    if space == "SSIM":
        return ssim(a.small, b.small)
    cosines: np.ndarray = (a.vectors(space) * b.vectors(space)).sum(axis=1)
    return cosines


def chance_of_copy(different: np.ndarray, threshold: float) -> float:
    """How often a film lies above a similarity to the nearest film of another patient.

    The upper tail of -log(1 - similarity) is taken as exponential. Its rate is estimated twice, between the upper fifth
    and tenth and between the median and the upper fifth, and the lower chance counts: copies among the films can only
    raise either, and the second estimate holds with copies in up to a fifth of the films. With more copies the chance
    comes out so high that near-duplicates are not counted at all (`MOST_BY_CHANCE`).

    Args:
        different: similarity of each training film to the nearest one of another patient in training, (n,). Held-out
            films cannot be used: those that are copies of training films would raise the chance.
        threshold: the similarity, < 1.
    Returns:
        A probability, at most 1.
    """
    nearness, limit = (-np.log(np.maximum(1 - s, 1e-9)) for s in (different, threshold))
    chances = [1.0]
    for share, rarer in ((0.5, 0.2), (0.2, 0.1)):
        start, end = np.quantile(nearness, [1 - share, 1 - rarer])
        rate = np.log(share / rarer) / max(end - start, 1e-9)
        chances.append(share * float(np.exp(min((start - limit) * rate, 9.0))))
    return min(chances)


def _permutation(real: RealImages, space: Space, track: Track) -> Permutation:
    films = joined([real.train, real.held_out])
    _, patients = np.unique(films.patients, return_inverse=True)
    is_member = np.zeros(patients.max() + 1, bool)
    is_member[patients[: len(real.train)]] = True
    found = nearest(space, films, films, NEIGHBOURS + 1, track=track)
    own = patients[found.rows] == patients[:, None]  # other films of the patient, and the film itself
    order = np.argsort(own, axis=1, kind="stable")
    similarity, rows = (
        np.take_along_axis(values, order, axis=1) for values in (np.where(own, -1.0, found.similarity), found.rows)
    )
    return Permutation(patients, is_member, similarity, rows)


@dataclass(frozen=True)
class SyntheticNeighbours:
    """Synthetic images with what the tests need to know of them in one space.

    Attributes:
        to_train: nearest training films.
        to_films: nearest of training and held-out films together; rows count the training films first.
    """

    images: Films
    to_train: Nearest
    to_films: Nearest

    def take(self, rows: np.ndarray) -> "SyntheticNeighbours":
        """Some of them."""
        return SyntheticNeighbours(self.images.take(rows), self.to_train.take(rows), self.to_films.take(rows))

    def then(self, other: "SyntheticNeighbours") -> "SyntheticNeighbours":
        """These images, then others."""
        images = joined([self.images, other.images])
        return SyntheticNeighbours(images, self.to_train.then(other.to_train), self.to_films.then(other.to_films))


def synthetic_neighbours(images: Films, real: RealImages, *, track: Track = silent) -> dict[Space, SyntheticNeighbours]:
    """Find the nearest films of synthetic images, in every space."""
    films = joined([real.train, real.held_out])
    return {
        space: SyntheticNeighbours(
            images,
            to_train=nearest(space, images, real.train, SHOWN, track=track),
            to_films=nearest(space, images, films, NEIGHBOURS, track=track),
        )
        for space in SPACES
    }


@dataclass(frozen=True)
class PrivacyInputs:
    """Everything that the privacy tests are given; a control replaces some of it.

    Attributes:
        neighbours: of the real films, in every space.
        same_patient_auc: how well each space tells the patients of held-out and reference films apart; None if no
            patient has two.
        copies: slightly changed copies of training films, as if they were synthetic.
        synthetic: the images that are audited.
        cells: cell of each training film, int (n,), for the data-copying test cell by cell.
        significance: of one test, as the policy has it; the detection limits are for it.
    """

    real: RealImages
    neighbours: dict[Space, RealNeighbours]
    same_patient_auc: dict[Space, Estimate | None]
    copies: dict[Space, SyntheticNeighbours]
    synthetic: dict[Space, SyntheticNeighbours]
    cells: np.ndarray
    findings: tuple[str, ...]
    settings: AuditSettings
    significance: float

    @classmethod
    def of(cls, material: Material, significance: float) -> "PrivacyInputs":
        """The inputs of an audit."""
        films, track = material.films, material.track
        real, copies = RealImages(films["train"], films["test"], films["val"]), films[COPIED]
        settings, unseen = material.settings, joined([films["test"], films["val"]])
        return cls(
            real=real,
            neighbours={space: real_neighbours(real, copies, material.copied, space, track=track) for space in SPACES},
            same_patient_auc={
                space: same_patient_auc(
                    unseen,
                    space,
                    bootstrap_samples=settings.bootstrap_samples,
                    rng=numpy_stream(settings.seed, "same patient", STREAMS[space]),
                )
                for space in SPACES
            },
            copies=synthetic_neighbours(copies, real, track=track),
            synthetic=synthetic_neighbours(films[SYNTHETIC], real, track=track),
            cells=_cells(films["train"].features, settings.seed),
            findings=material.subject.findings,
            settings=settings,
            significance=significance,
        )
