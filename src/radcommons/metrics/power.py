"""How many images a study needs, and what a test with a number of images would find."""

import math
from collections.abc import Callable
from statistics import NormalDist
from typing import Literal

from scipy.optimize import brentq

from radcommons.errors import SettingRefused, TooFewImages

NORMAL = NormalDist()
MOST = 10**12  # images; a plan that needs more is refused


def share_interval(successes: float, images: int, level: float = 0.95) -> tuple[float, float]:
    """Wilson's interval of a share, e.g. of an accuracy measured once on independent images.

    Args:
        successes: images called correctly, [0, images]; a half where ties count half.
        images: >= 1.
        level: e.g. 0.95.
    Returns:
        (low, high) within [0, 1], around the share, of some width even at a share of 0 or 1.
    Source: Wilson 1927.
    """
    share = successes / images
    centre, reach = _wilson(share, images, level)
    return max(0.0, min(share, centre - reach)), min(
        1.0, max(share, centre + reach)
    )  # rounding leaves the share inside


def images_for_interval(
    share: float, half_width: float, *, level: float = 0.95, method: Literal["wilson", "normal"] = "wilson"
) -> int:
    """Fewest independent images whose interval of an expected share reaches no further than `half_width` to each side.

    Args:
        share: the accuracy (or sensitivity, then of positives only) that is expected, [0, 1].
        half_width: half the width of the interval, (0, 0.5).
        level: of the interval, e.g. 0.95.
        method: "wilson" (half of the whole width) or "normal", ``n = z^2 p (1 - p) / half_width^2``, which needs
            no images at a share of 0 or 1.
    Returns:
        Number of images, >= 1. Several images of one patient count as fewer.
    Source: Wilson 1927; Fleiss, Levin and Paik 2003, chapter 2, for the normal one.
    """
    if method == "normal":
        z = NORMAL.inv_cdf((1 + level) / 2)
        return max(1, math.ceil(z**2 * share * (1 - share) / half_width**2))
    return _fewest(lambda images: _wilson(share, images, level)[1] <= half_width)


def power_of_two_shares(
    first: float, second: float, images: float, *, ratio: float = 1.0, significance: float = 0.05
) -> float:
    """Probability that a two-sided test finds the difference of two shares on separate sets of images.

    Args:
        first: one share, e.g. an accuracy, [0, 1].
        second: the other, [0, 1].
        images: independent images of the first.
        ratio: images of the second for one of the first, > 0.
        significance: of the test, (0, 1).
    Returns:
        In [significance, 1]. Conservative for the same images scored twice.
    Source: Cohen 1988, chapter 6: ``h = 2 arcsin sqrt(a) - 2 arcsin sqrt(b)`` has variance 1 / n_a + 1 / n_b.
    """
    effect = 2 * math.asin(math.sqrt(first)) - 2 * math.asin(math.sqrt(second))
    return _two_sided_power(effect, math.sqrt((1 + 1 / ratio) / images), significance)


def images_for_two_shares(
    first: float, second: float, *, power: float = 0.8, ratio: float = 1.0, significance: float = 0.05
) -> int:
    """Fewest images of the first share at which `power_of_two_shares` is reached.

    Raises:
        SettingRefused: the shares are the same, and no number of images tells them apart.
    """
    if first == second:
        raise SettingRefused(f"two shares of {first:g} cannot be told apart by any number of images; plan a difference")
    return _fewest(
        lambda images: power_of_two_shares(first, second, images, ratio=ratio, significance=significance) >= power
    )


def detectable_auc(positives: int, negatives: int, *, power: float = 0.8, significance: float = 0.05) -> float:
    """Smallest AUC above 0.5 that a two-sided test against 0.5 would find.

    The root A of ``A - 0.5 = z(1 - significance/2) s(0.5) + z(power) s(A)``, where s is `hanley_mcneil_error`.

    Args:
        positives: number of independent positives (patients rather than images, where these differ).
        negatives: number of independent negatives.
        power: probability that the test finds it, [0.5, 1).
        significance: of the two-sided test, (0, 1).
    Returns:
        In (0.5, 1): an attack weaker than this may have been missed.
    Raises:
        TooFewImages: so few that not even an AUC of 1 would be found.
    Source: Hanley and McNeil 1982, the variance of an AUC with exponential scores, which is conservative.
    """
    critical = NORMAL.inv_cdf(1 - significance / 2) * hanley_mcneil_error(0.5, positives, negatives)

    def shortfall(auc: float) -> float:
        return auc - 0.5 - critical - NORMAL.inv_cdf(power) * hanley_mcneil_error(auc, positives, negatives)

    if shortfall(1.0) <= 0:
        raise TooFewImages(
            f"{positives} positives and {negatives} negatives are too few to tell an AUC of 1 from 0.5 "
            f"at significance {significance:g}; add images"
        )
    return float(brentq(shortfall, 0.5, 1.0))


def hanley_mcneil_error(auc: float, positives: float, negatives: float) -> float:
    """Standard error of an AUC from its value and the sizes alone.

    Args:
        auc: in [0, 1]; at 0.5 the result is that of the Mann-Whitney statistic, exactly.
        positives: number of independent positives, >= 1.
        negatives: number of independent negatives, >= 1.
    Returns:
        >= 0.
    Source: Hanley and McNeil 1982, eq. 1 and 2, for exponential scores.
    """
    two_positives, two_negatives = auc / (2 - auc), 2 * auc**2 / (1 + auc)
    variance = (
        auc * (1 - auc) + (positives - 1) * (two_positives - auc**2) + (negatives - 1) * (two_negatives - auc**2)
    ) / (positives * negatives)
    return float(max(variance, 0.0) ** 0.5)


def paired_auc_error(first: float, second: float, positives: float, negatives: float, *, correlation: float) -> float:
    """Standard error of the difference of two AUCs on the same images, to plan with.

    Args:
        first: AUC of one classifier, [0, 1].
        second: AUC of the other, [0, 1].
        positives: number of independent positives, >= 1.
        negatives: number of independent negatives, >= 1.
        correlation: of the two AUCs over samples, [-1, 1]; 0 = separate images. Two networks of one architecture
            on the same films have about 0.5 to 0.9; measure it by `bootstrap_auc` of a pilot.
    Returns:
        >= 0. After the fact `delong_test` measures it.
    Source: Hanley and McNeil 1983.
    """
    a, b = (hanley_mcneil_error(auc, positives, negatives) for auc in (first, second))
    return math.sqrt(max(a**2 + b**2 - 2 * correlation * a * b, 0.0))


def power_of_difference(difference: float, standard_error: float, *, significance: float = 0.05) -> float:
    """Probability that a two-sided normal test finds a true difference, e.g. of two AUCs.

    Args:
        difference: of the truth, of either sign.
        standard_error: of the measured difference, > 0, by `paired_auc_error` or `delong_test`; of four times the
            patients it is half.
        significance: of the test, (0, 1).
    Returns:
        In [significance, 1].
    """
    return _two_sided_power(difference, standard_error, significance)


def _two_sided_power(difference: float, standard_error: float, significance: float) -> float:
    z = NORMAL.inv_cdf(1 - significance / 2)
    distance = difference / standard_error
    return NORMAL.cdf(distance - z) + NORMAL.cdf(-distance - z)


def _wilson(share: float, images: float, level: float) -> tuple[float, float]:
    """Centre of Wilson's interval and its reach to each side."""
    z = NORMAL.inv_cdf((1 + level) / 2)
    shrunk = 1 + z**2 / images
    reach = z * math.sqrt(share * (1 - share) / images + z**2 / (4 * images**2)) / shrunk
    return (share + z**2 / (2 * images)) / shrunk, reach


def _fewest(enough: Callable[[int], bool]) -> int:
    """Smallest whole number from which on `enough` holds, by bisection."""
    high = 1
    while not enough(high):
        high *= 2
        if high > MOST:
            raise SettingRefused(f"more than {MOST:,} images would be needed; plan a larger difference or width")
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high
