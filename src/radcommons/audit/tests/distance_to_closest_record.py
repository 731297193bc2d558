"""The tests that need only synthetic images: what anybody could try who gets a set, or draws one.

Every test asks the same of training and of held-out patients, and every p value is one-sided, towards a leak.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.stats import poisson

from radcommons.audit.inputs.privacy import NEIGHBOURS, Ground, Real
from radcommons.audit.neighbours.nearest import Films, Nearest, Space, joined, nearest
from radcommons.audit.settings import AuditSettings
from radcommons.audit.tests.membership import membership_test
from radcommons.audit.tests.permutation import Chance, exchange_test
from radcommons.errors import TooFewImages
from radcommons.metrics.copying import data_copying
from radcommons.metrics.power import share_interval
from radcommons.progress import Track, silent
from radcommons.records import Estimate, Histogram, PrivacyTest
from radcommons.seeds import numpy_stream

SAME_PATIENT = "share of pairs of different films of one patient above it"
SHOWN = 3  # nearest training films kept for the pages


@dataclass(frozen=True)
class Synthetic:
    """Synthetic images with what the tests need to know of them in one space.

    Attributes:
        to_train: nearest training films.
        to_films: nearest of training and held-out films together; rows count the training films first.
    """

    films: Films
    to_train: Nearest
    to_films: Nearest

    def take(self, rows: np.ndarray) -> "Synthetic":
        """Some of them."""
        return Synthetic(self.films.take(rows), self.to_train.take(rows), self.to_films.take(rows))


def look_up(films: Films, real: Real, space: Space, *, track: Track = silent) -> Synthetic:
    """Find the nearest films of synthetic images."""
    to_films = nearest(space, films, joined([real.train, real.held_out]), NEIGHBOURS, track=track)
    return Synthetic(films, nearest(space, films, real.train, SHOWN, track=track), to_films)


def sample_tests(
    synthetic: Synthetic,
    real: Real,
    ground: Ground,
    *,
    findings: tuple[str, ...],
    settings: AuditSettings,
    significance: float,
    track: Track = silent,
) -> Iterator[PrivacyTest]:
    """All tests of one space, the quick ones first; what each would find is said for tests of this significance."""
    rng = numpy_stream(settings.seed, "sample tests", ground.space)
    yield copies_test(synthetic, ground)
    yield membership_by_samples(
        synthetic, real, ground, settings=settings, significance=significance, rng=rng, track=track
    )
    yield from exchange_tests(
        synthetic, real, ground, findings=findings, settings=settings, significance=significance, rng=rng
    )


def exchange_tests(
    synthetic: Synthetic,
    real: Real,
    ground: Ground,
    *,
    findings: tuple[str, ...],
    settings: AuditSettings,
    significance: float,
    rng: np.random.Generator,
) -> list[PrivacyTest]:
    """Data copying over all images and by finding, and which group the images lie closer to."""
    everything = np.arange(len(synthetic.films)), np.arange(len(real.train) + len(real.held_out))
    labels = np.concatenate([real.train.labels, real.held_out.labels])
    subsets, named = [everything], []
    for column, finding in enumerate(findings):
        ours = synthetic.films.with_finding(column)
        if min(len(ours), len(real.held_out.with_finding(column))) >= settings.fewest:
            subsets.append((ours, np.flatnonzero(labels[:, column] >= 0.5)))
            named.append(finding)
    share, scores = exchange_test(
        ground.exchange,
        synthetic.to_films.similarity,
        synthetic.to_films.rows,
        subsets,
        permutations=settings.permutations,
        rng=rng,
    )
    overall = Chance(scores.found[0], scores.exchanged[:, 0])
    counts = {"synthetic images": len(synthetic.films), "films in training": len(real.train),
              "held-out films": len(real.held_out)}  # fmt: skip
    return [
        _data_copying(synthetic, ground, overall, counts, significance),
        _copying_by_finding(scores, named, ground.space, settings.fewest, significance),
        PrivacyTest(
            name=_named("closer to training", ground.space),
            access="samples",
            question="Are synthetic images closer to training films than they would be to as many other films?",
            measure="share of synthetic images whose nearest film was in training",
            result=_proportion(float(share.found), len(synthetic.films)),
            expected=float(share.exchanged.mean()),
            p_value=share.p_value(),
            details=_range_of_chance(share.exchanged),
            detection=_detected_share(share.exchanged, significance),
            counts=counts,
        ),
    ]


def _proportion(share: float, images: int) -> Estimate:
    """A share with Wilson's interval over the images."""
    low, high = share_interval(share * images, images)
    return Estimate(value=share, low=low, high=high)


def _range_of_chance(exchanged: np.ndarray) -> dict[str, float]:
    low, high = np.quantile(exchanged, [0.025, 0.975])
    return {"by chance, from": float(low), "by chance, to": float(high)}


def _data_copying(synthetic: Synthetic, ground: Ground, z: Chance, counts: dict[str, int], significance: float
                  ) -> PrivacyTest:  # fmt: skip
    details = _range_of_chance(z.exchanged)
    if cells := _by_cells(synthetic, ground):
        details |= {"by cells": cells[0], "cells": cells[1]}
    return PrivacyTest(
        name=_named("data copying", ground.space),
        access="samples",
        question="Do synthetic images lie closer to training films than held-out films do?",
        measure="z of the three-sample test (Meehan 2020), p from exchanged patients",
        result=Estimate(value=float(z.found)),
        expected=float(z.exchanged.mean()),
        p_value=z.p_value(low=True),
        detection=f"a z of {-_detected(-z.exchanged, significance):.1f} {_found(significance)}",
        counts=counts,
        details=details,
        spread=histogram({"synthetic": synthetic.to_train.best, "held out": ground.held_to_train.best}),
    )


def _by_cells(synthetic: Synthetic, ground: Ground) -> tuple[float, float] | None:
    """Meehan's cell-wise statistic and the number of its cells; None where the films are too few for cells."""
    try:
        found = data_copying(
            -synthetic.to_train.best,
            -ground.held_to_train.best,
            ground.cells[synthetic.to_train.rows[:, 0]],
            ground.cells[ground.held_to_train.rows[:, 0]],
        )
    except TooFewImages:
        return None
    return found.statistic, float(found.cells_used)


def _copying_by_finding(scores: Chance, named: list[str], space: Space, fewest: int, significance: float
                        ) -> PrivacyTest:  # fmt: skip
    """The finding whose z lies lowest beside what exchanged patients give; p of the lowest of as many."""
    name, question = _named("data copying by finding", space), "Does this hold for the images of any single finding?"
    if not named:
        why = f"no finding has {fewest} synthetic images and {fewest} held-out films"
        return PrivacyTest(name=name, access="samples", question=question, skipped=why)
    mean, deviation = scores.exchanged[:, 1:].mean(axis=0), scores.exchanged[:, 1:].std(axis=0)
    found = (scores.found[1:] - mean) / deviation
    lowest = Chance(found.min(), ((scores.exchanged[:, 1:] - mean) / deviation).min(axis=1))
    return PrivacyTest(
        name=name,
        access="samples",
        question=question,
        measure=f"lowest of the findings' z, each beside its own chance: {named[int(found.argmin())]}",
        result=Estimate(value=float(lowest.found)),
        expected=float(lowest.exchanged.mean()),
        p_value=lowest.p_value(low=True),
        detection=f"a value of {-_detected(-lowest.exchanged, significance):.1f} {_found(significance)}",
        counts={"findings": len(named)},
        details={finding: float(value) for finding, value in zip(named, found, strict=True)},
    )


def _detected_share(chance: np.ndarray, significance: float) -> str:
    share = _detected(chance, significance)
    return f"a share of {share:.3f} {_found(significance)}" if share < 1 else "not even a share of 1 is certain"


def _detected(chance: np.ndarray, significance: float) -> float:
    """The value that a test of this significance finds with a power of 0.8, if a leak only moves it."""
    return float(np.quantile(chance, 1 - significance) + 0.84 * chance.std())


def _found(significance: float) -> str:
    return f"would be found (p < {significance:g}) in 4 cases of 5"


def copies_test(synthetic: Synthetic, ground: Ground) -> PrivacyTest:
    """Synthetic images that are the same film as a training film, beside what chance gives."""
    name, question = _named("copies", ground.space), "Is any synthetic image the same film as a training film?"
    if not ground.tells_copies:
        why = f"{ground.space} cannot tell changed copies of a film from films of other patients"
        return PrivacyTest(name=name, access="samples", question=question, skipped=why)
    what = "SSIM" if ground.space == "SSIM" else f"a cosine of {ground.space}"
    count, n = int((synthetic.to_train.best > ground.copy_similarity).sum()), len(synthetic.films)
    expected = n * ground.chance_of_copy
    return PrivacyTest(
        name=name,
        access="samples",
        question=question,
        measure=f"images with {what} above {ground.copy_similarity:.3f}",
        result=Estimate(value=float(count)),
        expected=expected,
        p_value=float(poisson.sf(count - 1, expected)),
        detection=f"{ground.copies_seen:.0%} of slightly changed copies of training films would be counted",
        counts={"synthetic images": n},
        details={} if np.isnan(ground.same_patient_seen) else {SAME_PATIENT: ground.same_patient_seen},
    )


def membership_by_samples(
    synthetic: Synthetic,
    real: Real,
    ground: Ground,
    *,
    settings: AuditSettings,
    significance: float,
    rng: np.random.Generator,
    track: Track = silent,
) -> PrivacyTest:
    """GAN-Leaks with full access to samples: a film is a member where a synthetic image lies unusually near to it.

    Calibrated, as there, by how near other films lie: here the nearest film of the reference part.
    """
    members = nearest(ground.space, real.train, synthetic.films, track=track).best
    others = nearest(ground.space, real.held_out, synthetic.films, track=track).best
    if ground.train_to_reference is not None and ground.held_to_reference is not None:
        members, others = members - ground.train_to_reference.best, others - ground.held_to_reference.best
    return membership_test(
        members,
        others,
        real.train.patients,
        real.held_out.patients,
        name=_named("membership by samples", ground.space),
        access="samples",
        question="Can somebody who has synthetic images tell whose films were in training?",
        settings=settings,
        significance=significance,
        rng=rng,
    )


def histogram(values: dict[str, np.ndarray], *, bins: int = 30, span: tuple[float, float] | None = None) -> Histogram:
    """Shares of named sets of values in common bins, rounded to four decimals."""
    together = np.concatenate(list(values.values()))
    edges = np.histogram_bin_edges(together, bins, range=span)
    shares = {name: np.histogram(v, edges)[0] / len(v) for name, v in values.items()}
    return Histogram(
        edges=tuple(round(float(e), 4) for e in edges),
        shares={name: tuple(round(float(s), 4) for s in share) for name, share in shares.items()},
    )


def _named(test: str, space: Space) -> str:
    return f"{test}, {space}"
