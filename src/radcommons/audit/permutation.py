"""Permutation tests whose unit is the patient.

The split is a hash of the patient. Without a leak, training and held-out patients therefore differ by chance only, and
permuting the patients between the two groups gives the exact null distribution of any statistic.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

from radcommons.metrics.copying import mann_whitney_z, paired_closer_share


def mean_by_patient(scores: np.ndarray, patients: np.ndarray) -> np.ndarray:
    """One score per patient, the mean of the patient's films; (n,), (n,) -> (patients,), by ascending patient."""
    _, place, counts = np.unique(patients, return_inverse=True, return_counts=True)
    means: np.ndarray = np.bincount(place, weights=scores) / counts
    return means


def permuted_aucs(scores: np.ndarray, members: int, *, permutations: int, rng: np.random.Generator) -> np.ndarray:
    """AUCs of `permutations` random choices of `members` of the scores as the positive class, ties counted half.

    Args:
        scores: one per patient, members and others together, (n,).
        members: size of the positive class, 1 ... n - 1.
    Returns:
        (permutations,), in [0, 1]; their mean is 0.5.
    """
    ranks = rankdata(scores)
    others = len(scores) - members
    sums = np.array([rng.permutation(ranks)[:members].sum() for _ in range(permutations)])
    aucs: np.ndarray = (sums - members * (members + 1) / 2) / (members * others)
    return aucs


def upper_p_value(value: float, permuted: np.ndarray) -> float:
    """Share of permuted values at least as high, the value itself counted: never 0."""
    return float((1 + (permuted >= value - 1e-12).sum()) / (1 + len(permuted)))


def detectable_value(permuted: np.ndarray, significance: float) -> float:
    """The value that a test of this significance finds with a power of 0.8, if a leak only moves it upwards."""
    return float(np.quantile(permuted, 1 - significance) + 0.84 * permuted.std())


@dataclass(frozen=True)
class Permutation:
    """The films of both groups, the nearest other films of each, and who was in training.

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
        """Who is in training: first as it was, then with the patients permuted at random; the count stays."""
        yield self.is_member
        for _ in range(permutations):
            yield rng.permutation(self.is_member)


@dataclass(frozen=True, slots=True)
class NullDistribution:
    """A statistic as it was found, and its values with permuted patients, (permutations, ...)."""

    found: np.ndarray
    permuted: np.ndarray

    def p_value(self, *, low: bool = False) -> float:
        """One-sided, for a single statistic: towards high values, or towards low ones."""
        sign = -1 if low else 1
        return upper_p_value(sign * float(self.found), sign * self.permuted)


def permutation_test(
    films: Permutation,
    similarity: np.ndarray,
    rows: np.ndarray,
    subsets: Sequence[tuple[np.ndarray, np.ndarray]],
    *,
    permutations: int,
    rng: np.random.Generator,
) -> tuple[NullDistribution, NullDistribution]:
    """Two statistics of images, with the real groups and with permuted patients.

    The images of a generator that draws no extremes are nearer to every film than films are to each other. That is no
    copying. The null distribution of permuted patients takes account of it; the usual normal distribution of the
    three-sample test does not, and would raise a false alarm.

    Args:
        films: of both groups.
        similarity, rows: nearest films of each image among all films, best first, (n, k).
        subsets: the images (rows of the above) and the films (rows of `films`) of each three-sample test.
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
            theirs = held[of_films]
            theirs = theirs[~np.isnan(theirs)]  # none if a permutation leaves a finding to one group
            z.append(mann_whitney_z(-to_members[images], -theirs) if len(theirs) else 0.0)
        scores.append(z)
    found, z_found = np.array(shares), np.array(scores)
    return NullDistribution(found[0], found[1:]), NullDistribution(z_found[0], z_found[1:])


def _best(similarity: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Similarity of the first chosen neighbour of each row; where none is among the k, that of the last of them."""
    first = np.where(chosen.any(axis=1), chosen.argmax(axis=1), similarity.shape[1] - 1)
    best: np.ndarray = similarity[np.arange(len(similarity)), first]
    return best
