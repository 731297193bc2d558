"""Films as the privacy tests see them: feature vectors, small grey images, patients, labels; and the nearest ones."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Self

import faiss
import numpy as np

from radcommons.audit.neighbours.ssim_search import nearest_by_ssim
from radcommons.progress import Track, silent
from radcommons.records import Space

# Each space with its name in the random streams: other names would give other numbers.
STREAMS: dict[Space, str] = {
    "re-identification features": "identity",
    "SSIM": "SSIM",
    "extractor features": "features",
}
SPACES = tuple(STREAMS)


@dataclass(frozen=True, slots=True)
class Films:
    """One set of films or synthetic images, row by row.

    Attributes:
        features: of an extractor, float32 (n, d), of length 1, so that an inner product is a cosine.
        reidentification: re-identification features, float32 (n, k), of length 1.
        small: uint8 (n, s, s), what SSIM compares.
        labels: float32 (n, F); NaN unknown.
        patients: (n,), number of the patient; each synthetic image has its own.
    """

    features: np.ndarray
    reidentification: np.ndarray
    small: np.ndarray
    labels: np.ndarray
    patients: np.ndarray

    def __len__(self) -> int:
        return len(self.small)

    def take(self, rows: np.ndarray) -> Self:
        """The films of some rows, in that order."""
        return type(self)(*(getattr(self, f.name)[rows] for f in fields(self)))

    def vectors(self, space: Space) -> np.ndarray:
        """The feature vectors of a space other than SSIM."""
        return self.reidentification if space == "re-identification features" else self.features

    def with_finding(self, column: int) -> np.ndarray:
        """Rows that show a finding."""
        return np.flatnonzero(self.labels[:, column] >= 0.5)


def joined(parts: Sequence[Films]) -> Films:
    """Several sets as one, in order."""
    return Films(*(np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(Films)))


@dataclass(frozen=True)
class RealImages:
    """The films of a store: in training, held out (the test part), and for reference (the validation part)."""

    train: Films
    held_out: Films
    reference: Films


@dataclass(frozen=True, slots=True)
class Nearest:
    """The k most similar of one set for each image of another, best first.

    Attributes:
        similarity: (n, k), higher = more alike, at most 1.
        rows: int64 (n, k), rows of the other set.
    """

    similarity: np.ndarray
    rows: np.ndarray

    @property
    def best(self) -> np.ndarray:
        """Similarity of the nearest, (n,)."""
        first: np.ndarray = self.similarity[:, 0]
        return first

    def first(self, k: int) -> "Nearest":
        """The k nearest of them."""
        return Nearest(self.similarity[:, :k], self.rows[:, :k])

    def take(self, rows: np.ndarray) -> "Nearest":
        """The neighbours of some queries."""
        return Nearest(self.similarity[rows], self.rows[rows])

    def then(self, other: "Nearest") -> "Nearest":
        """The neighbours of these queries, then those of others, of the same set."""
        similarity = np.concatenate([self.similarity, other.similarity])
        return Nearest(similarity, np.concatenate([self.rows, other.rows]))


def nearest(space: Space, queries: Films, others: Films, k: int = 1, *, track: Track = silent) -> Nearest:
    """The `k` films of `others` most similar to each of `queries`, exactly.

    Similarity is the cosine of the feature vectors, or SSIM as scikit-image defines it.
    """
    k = min(k, len(others))
    if space == "SSIM":
        found = nearest_by_ssim(queries.small, others.small, k=k, track=track)
        return Nearest(found.scores, found.rows)
    ours, theirs = (np.ascontiguousarray(films.vectors(space)) for films in (queries, others))
    index = faiss.IndexFlatIP(theirs.shape[1])
    index.add(theirs)
    similarity, rows = index.search(ours, k)
    return Nearest(similarity.astype(np.float64), rows)
