"""Distances to the closest record: do synthetic images lie nearer to training films than to as many other films?

Two statistics, in every space: the share of images whose nearest film was in training, and the z of the three-sample
test of data copying (Meehan et al. 2020), overall and for each finding. The p values come from permuted patients.
"""

from collections.abc import Callable, Iterator
from functools import partial
from statistics import NormalDist

import numpy as np

from radcommons.audit.histogram import histogram
from radcommons.audit.inputs.privacy import PrivacyInputs, RealNeighbours, SyntheticNeighbours
from radcommons.audit.permutation import NullDistribution, detectable_value, permutation_test
from radcommons.errors import TooFewImages
from radcommons.metrics.copying import data_copying
from radcommons.metrics.power import share_interval
from radcommons.records import Estimate, PrivacyTest, Space

CLOSEST = partial(
    PrivacyTest,
    kind="distance to closest record",
    access="samples",
    question="Are synthetic images closer to training films than they would be to as many other films?",
    measure="share of synthetic images whose nearest film was in training",
)
COPYING = partial(
    PrivacyTest,
    kind="data copying",
    access="samples",
    question="Do synthetic images lie closer to training films than held-out films do?",
    measure="z of the three-sample test (Meehan 2020), p from permuted patients",
)
BY_FINDING = partial(
    PrivacyTest,
    kind="data copying by finding",
    access="samples",
    question="Does this hold for the images of any single finding?",
)


def tests(
    space: Space, synthetic: SyntheticNeighbours, inputs: PrivacyInputs, rng: np.random.Generator
) -> Iterator[PrivacyTest]:
    """Data copying over all images and by finding, and the distance to the closest record."""
    real, known, settings, significance = inputs.real, inputs.neighbours[space], inputs.settings, inputs.significance
    images, held_out = len(synthetic.images), len(real.held_out)
    labels = np.concatenate([real.train.labels, real.held_out.labels])
    subsets, sizes = [(np.arange(images), np.arange(len(labels)))], {}
    for column, finding in enumerate(inputs.findings):
        ours, theirs = synthetic.images.with_finding(column), real.held_out.with_finding(column)
        if min(len(ours), len(theirs)) >= settings.fewest:
            subsets.append((ours, np.flatnonzero(labels[:, column] >= 0.5)))
            sizes[finding] = len(ours), len(theirs)
    share, z = permutation_test(
        known.permutation,
        synthetic.to_films.similarity,
        synthetic.to_films.rows,
        subsets,
        permutations=settings.permutations,
        rng=rng,
    )
    by_chance = float(share.permuted.mean())  # the probability that the film nearest to an image was in training
    counts = {"synthetic images": images, "films in training": len(real.train), "held-out films": held_out}

    overall = NullDistribution(z.found[0], z.permuted[:, 0])
    expected, value = float(overall.permuted.mean()), -detectable_value(-overall.permuted, significance)
    reach = expected - _lowest_z(images, held_out)
    limit = detectable_share(expected - value, reach, by_chance, images, significance)
    yield COPYING(
        space=space,
        result=Estimate(value=float(overall.found)),
        expected=expected,
        p_value=overall.p_value(low=True),
        detection=f"a z of {value:.1f} {detected(significance, limit)}",
        detection_limit=limit,
        counts=counts,
        details=_range_by_chance(overall.permuted) | _by_cells(synthetic, known, inputs.cells),
        spread=histogram({"synthetic": synthetic.to_train.best, "held out": known.held_to_train.best}),
    )

    if sizes:
        by_finding = NullDistribution(z.found[1:], z.permuted[:, 1:])
        yield _by_finding(partial(BY_FINDING, space=space), by_finding, sizes, by_chance, significance)
    else:
        few = settings.fewest
        yield BY_FINDING(space=space, skipped=f"no finding has {few} synthetic images and {few} held-out films")

    value = detectable_value(share.permuted, significance)
    limit = detectable_share(value - by_chance, 1.0, by_chance, images, significance)
    low, high = share_interval(float(share.found) * images, images)
    yield CLOSEST(
        space=space,
        result=Estimate(value=float(share.found), low=low, high=high),
        expected=by_chance,
        p_value=share.p_value(),
        detection="not even copies alone are certain to be detected"
        if limit is None
        else f"a share of {value:.3f} {detected(significance, limit)}",
        detection_limit=limit,
        counts=counts,
        details=_range_by_chance(share.permuted),
    )


def _by_cells(synthetic: SyntheticNeighbours, known: RealNeighbours, cells: np.ndarray) -> dict[str, float]:
    """Meehan's cell-wise statistic and the number of its cells; empty if the films are too few for cells."""
    try:
        found = data_copying(
            -synthetic.to_train.best,
            -known.held_to_train.best,
            cells[synthetic.to_train.rows[:, 0]],
            cells[known.held_to_train.rows[:, 0]],
        )
    except TooFewImages:
        return {}
    return {"by cells": found.statistic, "cells": float(found.cells_used)}


def _by_finding(
    test: Callable[..., PrivacyTest],
    z: NullDistribution,
    sizes: dict[str, tuple[int, int]],
    by_chance: float,
    significance: float,
) -> PrivacyTest:
    """The finding whose z lies lowest beside its null distribution; p of the lowest of as many.

    Args:
        z: one column per finding.
        sizes: images and held-out films of each finding.
    """
    mean, deviation = z.permuted.mean(axis=0), z.permuted.std(axis=0)
    found = (z.found - mean) / deviation
    lowest = NullDistribution(found.min(), ((z.permuted - mean) / deviation).min(axis=1))
    value = -detectable_value(-lowest.permuted, significance)
    limits = [
        detectable_share(-value * spread, expected - _lowest_z(*size), by_chance, size[0], significance)
        for expected, spread, size in zip(mean, deviation, sizes.values(), strict=True)
    ]
    known = [limit for limit in limits if limit is not None]
    limit = max(known) if len(known) == len(limits) else None  # in whichever finding the copies are
    return test(
        measure=f"lowest of the findings' z, each beside its own null distribution: {list(sizes)[int(found.argmin())]}",
        result=Estimate(value=float(lowest.found)),
        expected=float(lowest.permuted.mean()),
        p_value=lowest.p_value(low=True),
        detection=f"a value of {value:.1f} {detected(significance, limit, 'the images of a finding')}",
        detection_limit=limit,
        counts={"findings": len(sizes)},
        details={finding: float(one) for finding, one in zip(sizes, found, strict=True)},
    )


def detectable_share(distance: float, reach: float, by_chance: float, images: int, significance: float) -> float | None:
    """The smallest share of copies of training films that a test finds in 4 cases of 5; None: not even copies alone.

    Permuted patients are in training with probability c, so that a copy counts in the null distribution too: a share s
    of copies moves the statistic by s (1 - c) R beside the null distribution and adds s c (1 - c) R^2 / m to the
    variance of that. With z the quantile of the significance and D the distance at s = 0, the share solves
    ``(s (1 - c) R)^2 = D^2 + z^2 s c (1 - c) R^2 / m``.

    Args:
        distance: D, by how much a leak must move the statistic of these images to be found, >= 0.
        reach: R, by how much copies alone would move it if the null distribution stayed.
        by_chance: c, the probability that the film nearest to an image was in training.
        images: m.
        significance: of the test, one-sided.
    """
    moved, quantile = ((1 - by_chance) * reach) ** 2, NormalDist().inv_cdf(1 - significance)
    if moved == 0 or reach < 0:
        return None
    widened = quantile**2 * by_chance * (1 - by_chance) * reach**2 / images
    share = (widened + float(np.sqrt(widened**2 + 4 * moved * distance**2))) / (2 * moved)
    return share if share <= 1 else None


def _lowest_z(images: int, held_out: int) -> float:
    """The z of the three-sample test where every image is nearer to training than every held-out film is."""
    return float(-np.sqrt(3 * images * held_out / (images + held_out + 1)))


def detected(significance: float, limit: float | None, among: str = "the images") -> str:
    """What a test would have detected, after the value that it would have found."""
    copies = (
        "not even copies alone give one" if limit is None else f"copies that make up {limit:.1%} of {among} give one"
    )
    return f"would be detected (p < {significance:g}) in 4 cases of 5; {copies}"


def _range_by_chance(permuted: np.ndarray) -> dict[str, float]:
    low, high = np.quantile(permuted, [0.025, 0.975])
    return {"by chance, from": float(low), "by chance, to": float(high)}
