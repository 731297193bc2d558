"""What the tests need to know of the real films alone: who is near to whom, and from where on two are the same film."""

from dataclasses import dataclass

import numpy as np

from radcommons.audit.neighbours.nearest import Films, Nearest, Space, joined, nearest
from radcommons.audit.tests.permutation import Exchange
from radcommons.metrics.ssim import ssim
from radcommons.progress import Track, silent

NEIGHBOURS = 64  # of an image among all films: both groups are nearly always among them
COPIES_SEEN = 0.95  # of slightly changed copies lie above the similarity from which images count as the same film
MOST_BY_CHANCE = 0.05  # of films of other patients above that similarity: beyond, a count of copies says nothing


@dataclass(frozen=True)
class Real:
    """The films of a store: in training, held out (the test part), and for reference (the validation part)."""

    train: Films
    held_out: Films
    reference: Films


@dataclass(frozen=True)
class Ground:
    """What the tests need to know of the real films alone; made once for each space.

    Attributes:
        exchange: training and held-out films together, for tests that exchange patients between them.
        held_to_train, reference_to_train: nearest training film of each held-out and reference film.
        train_to_reference, held_to_reference: nearest reference film; None where there is no reference.
        cells: cell of each training film, int (n,), for tests cell by cell.
        copy_similarity: above it two images count as the same film.
        copies_seen: share of slightly changed copies of training films above it: what the test for copies can see.
        same_patient_seen: share of pairs of different films of one patient above it; NaN where no patient has two.
        chance_of_copy: how often the nearest film of another patient lies above it.
    """

    space: Space
    exchange: Exchange
    held_to_train: Nearest
    reference_to_train: Nearest | None
    train_to_reference: Nearest | None
    held_to_reference: Nearest | None
    cells: np.ndarray
    copy_similarity: float
    copies_seen: float
    same_patient_seen: float
    chance_of_copy: float

    @property
    def tells_copies(self) -> bool:
        """Whether a count of copies means anything in this space."""
        return self.chance_of_copy <= MOST_BY_CHANCE


def prepare(
    real: Real,
    copies: Films,
    copied_rows: np.ndarray,
    cells: np.ndarray,
    space: Space,
    *,
    track: Track = silent,
) -> Ground:
    """Compare the real films with each other.

    Args:
        copies: slightly changed copies of training films.
        copied_rows: which training film each is a copy of.
        cells: cell of each training film.
    """
    held = nearest(space, real.held_out, real.train, track=track)
    reference = nearest(space, real.reference, real.train, track=track) if len(real.reference) else None
    exchange = _exchange(real, space, track)
    different = exchange.nearest_member()[: len(real.train)]  # of training films, which share no film with others
    same = nearest(space, copies, real.train, track=track)
    to_origin = np.where(same.rows[:, 0] == copied_rows, same.best, -1.0)
    threshold = float(np.quantile(to_origin, 1 - COPIES_SEEN))
    return Ground(
        space=space,
        exchange=exchange,
        held_to_train=held,
        reference_to_train=reference,
        train_to_reference=nearest(space, real.train, real.reference, track=track) if reference else None,
        held_to_reference=nearest(space, real.held_out, real.reference, track=track) if reference else None,
        cells=cells,
        copy_similarity=threshold,
        copies_seen=float((to_origin > threshold).mean()),
        same_patient_seen=float((same_patient(real.train, space) > threshold).mean()),
        chance_of_copy=chance_of_copy(different, threshold),
    )


def same_patient(films: Films, space: Space) -> np.ndarray:
    """Similarity of each film to the next one of the same patient, (pairs,); one NaN where no patient has two."""
    order = np.argsort(films.patients, kind="stable")
    pairs = np.flatnonzero(np.diff(films.patients[order]) == 0)
    if not len(pairs):
        return np.array([np.nan])
    a, b = films.take(order[pairs]), films.take(order[pairs + 1])
    if space == "SSIM":
        return ssim(a.small, b.small)
    cosines: np.ndarray = (getattr(a, space) * getattr(b, space)).sum(axis=1)
    return cosines


def chance_of_copy(different: np.ndarray, threshold: float) -> float:
    """How often a film lies above a similarity to the nearest film of another patient.

    -log(1 - similarity) is taken to fall off exponentially, at the rate between its upper fifth and tenth or at that
    between its median and upper fifth, whichever gives less: copies among the films only raise either, and the second
    bears them in up to a fifth of the films. Where there are more, the chance comes out so high that no count means
    anything (`MOST_BY_CHANCE`).

    Args:
        different: similarity of each training film to the nearest one of another patient in training, (n,). Held-out
            films will not do: those that are copies of training films would raise the chance by which copies are told.
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


def _exchange(real: Real, space: Space, track: Track) -> Exchange:
    films = joined([real.train, real.held_out])
    _, patients = np.unique(films.patients, return_inverse=True)
    is_member = np.zeros(patients.max() + 1, bool)
    is_member[patients[: len(real.train)]] = True
    found = nearest(space, films, films, NEIGHBOURS + 1, track=track)
    own = patients[found.rows] == patients[:, None]  # other films of the patient, and the film itself
    order = np.argsort(own, axis=1, kind="stable")
    similarity = np.where(own, -1.0, found.similarity)
    return Exchange(
        patients,
        is_member,
        np.take_along_axis(similarity, order, axis=1),
        np.take_along_axis(found.rows, order, axis=1),
    )
