"""Tests whose unit is the patient: what would chance alone give, if training and held-out patients were exchanged?

The split is a hash of the patient, so that without a leak the two groups differ by chance only, and exchanging
patients between them gives the exact distribution of any statistic.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

from radcommons.metrics.copying import mann_whitney_z, paired_closer_share


def mean_by_patient(scores: np.ndarray, patients: np.ndarray) -> np.ndarray:
    """One score a patient, the mean of the patient's films; (n,), (n,) -> (patients,), by ascending patient."""
    _, place, counts = np.unique(patients, return_inverse=True, return_counts=True)
    means: np.ndarray = np.bincount(place, weights=scores) / counts
    return means


def permuted_aucs(scores: np.ndarray, members: int, *, permutations: int, rng: np.random.Generator) -> np.ndarray:
    """AUCs of `permutations` random choices of `members` of the scores as the positive class, ties counted half.

    Args:
        scores: one a patient, members and others together, (n,).
        members: size of the positive class, 1 ... n - 1.
    Returns:
        (permutations,), in [0, 1]; their mean is 0.5.
    """
    ranks = rankdata(scores)
    others = len(scores) - members
    sums = np.array([rng.permutation(ranks)[:members].sum() for _ in range(permutations)])
    aucs: np.ndarray = (sums - members * (members + 1) / 2) / (members * others)
    return aucs


def upper_p_value(value: float, chance: np.ndarray) -> float:
    """Share of chance values at least as high, the value itself counted: never 0."""
    return float((1 + (chance >= value - 1e-12).sum()) / (1 + len(chance)))


@dataclass(frozen=True)
class Exchange:
    """The films of both groups, everybody's nearest among them, and who was in training.

    Attributes:
        patients: number of the patient of each film, 0 ... P - 1, (m,).
        is_member: whether a patient was in training, (P,).
        similarity, rows: nearest films of other patients of each film, best first, (m, k); rows index the films.
    """

    patients: np.ndarray
    is_member: np.ndarray
    similarity: np.ndarray
    rows: np.ndarray

    def nearest_member(self) -> np.ndarray:
        """Similarity of each film to the nearest film of another patient in training, (m,)."""
        return _best(self.similarity, self.is_member[self.patients[self.rows]])

    def groups(self, permutations: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
        """Who is in training: first as it was, then with patients exchanged at random, as many as before."""
        yield self.is_member
        for _ in range(permutations):
            yield rng.permutation(self.is_member)


@dataclass(frozen=True, slots=True)
class Chance:
    """A statistic as it was found, and as exchanged patients give it, (permutations, ...)."""

    found: np.ndarray
    exchanged: np.ndarray

    def p_value(self, *, low: bool = False) -> float:
        """One-sided, for a single statistic: towards high values, or towards low ones."""
        sign = -1 if low else 1
        return upper_p_value(sign * float(self.found), sign * self.exchanged)


def exchange_test(
    films: Exchange,
    similarity: np.ndarray,
    rows: np.ndarray,
    subsets: Sequence[tuple[np.ndarray, np.ndarray]],
    *,
    permutations: int,
    rng: np.random.Generator,
) -> tuple[Chance, Chance]:
    """Two questions about images, asked of the real groups and of groups with exchanged patients.

    Images may be nearer to every film than films are to each other (a generator without extremes draws such). That is
    no copying, and it is the same whoever was in training: exchanging patients takes account of it, where the usual
    normal law of the three-sample test would raise an alarm.

    Args:
        films: of both groups.
        similarity, rows: nearest films of each image among all films, best first, (n, k).
        subsets: the images (rows of the above) and the films (rows of `films`) of each three-sample test.
        permutations: exchanges.
    Returns:
        The share of images nearer to training than to held-out films, a tie counting half; and for each subset the z
        of the three-sample test of Meehan et al. 2020 (below 0 = images nearer to training than held-out films are).
    """
    shares, scores = [], []
    for is_member in films.groups(permutations, rng):
        member = is_member[films.patients]  # (m,)
        to_members, to_others = _best(similarity, member[rows]), _best(similarity, ~member[rows])
        shares.append(paired_closer_share(-to_members, -to_others))
        outside = np.flatnonzero(~member)
        held = np.full(len(member), np.nan)
        held[outside] = _best(films.similarity[outside], member[films.rows[outside]])
        z = []
        for images, of_films in subsets:
            mine, theirs = to_members[images], held[of_films]
            theirs = theirs[~np.isnan(theirs)]
            z.append(mann_whitney_z(-mine, -theirs) if len(theirs) else 0.0)  # chance may leave a finding to one group
        scores.append(z)
    found, z_found = np.array(shares), np.array(scores)
    return Chance(found[0], found[1:]), Chance(z_found[0], z_found[1:])


def _best(similarity: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Similarity of the first chosen neighbour of each row; where none is among the k, that of the last of them."""
    first = np.where(chosen.any(axis=1), chosen.argmax(axis=1), similarity.shape[1] - 1)
    best: np.ndarray = similarity[np.arange(len(similarity)), first]
    return best
