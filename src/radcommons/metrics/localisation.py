"""Does a map of changes point at a known region? Pointing game, ROC, controls, and the change outside the body."""

from collections.abc import Callable

import numpy as np
from scipy import ndimage

from radcommons.metrics.classification import area_under_roc

INSIDE = 0.5  # a pixel belongs to a region from this share of its highest value on
NEVER = 0.05  # and is surely not of it below this one
AIR = 0.25  # grey level of air against that of the bright parts
BRIGHT = 95  # percentile of the bright parts
SHIFTS = 8  # a mask is moved by multiples of 1/8 of the side
LARGEST_OVERLAP = 0.25  # of a moved mask with the true one
STAYS = 0.9  # share of a mask's part in the body that a moved one must keep


def split_region(heat: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where a finding sits and where it never does.

    Args:
        heat: how often a finding covers each pixel, (R, R), >= 0, some pixel above 0.
    Returns:
        Masks (R, R): at least half of the highest value, and less than a twentieth of it.
    """
    share = heat / heat.max()
    return share >= INSIDE, share < NEVER


def points_inside(change: np.ndarray, heat: np.ndarray) -> bool:
    """Pointing game: does the pixel of the largest |change| lie in the region?

    Args:
        change: (R, R), of either sign.
        heat: of the finding, (R, R), see `split_region`.
    Source: Zhang et al. 2018 (top-down neural attention by excitation backprop).
    """
    return bool(split_region(heat)[0].flat[int(np.abs(change).argmax())])


def auroc_inside(change: np.ndarray, heat: np.ndarray) -> float:
    """Probability that a pixel of the region changes more than one where the finding never sits.

    Args:
        change: (R, R), of either sign.
        heat: of the finding, (R, R), see `split_region`.
    Returns:
        In [0, 1]; 0.5 = the change is anywhere; NaN where the finding sits everywhere.
    """
    return gain_inside(np.abs(change), heat)


def gain_inside(change: np.ndarray, heat: np.ndarray) -> float:
    """Probability that a pixel of the region gains more brightness than one where the finding never sits.

    A change of exposure of the whole film does not matter: only the order of the pixels counts.

    Args:
        change: (R, R), with its sign.
        heat: of the finding, (R, R), see `split_region`.
    Returns:
        In [0, 1]; above 0.5 the region becomes brighter against the rest, below 0.5 darker; NaN where the finding sits
        everywhere.
    """
    inside, never = split_region(heat)
    return area_under_roc(change[inside], change[never]) if never.any() else float("nan")


def moved_scores(
    score: Callable[[np.ndarray, np.ndarray], float], change: np.ndarray, heat: np.ndarray, body: np.ndarray
) -> np.ndarray:
    """The score for the same region moved elsewhere in the body: what a map reaches that only shows the body.

    Args:
        score: `auroc_inside` or `gain_inside`.
        change: (R, R), of either sign.
        heat: of the finding, (R, R).
        body: mask of the body, (R, R).
    Returns:
        (k,), k >= 0, one for each move by multiples of an eighth of the side, wrapped around, after which at most a
        quarter of the region is where it was and no more of it lies outside the body than a tenth above what did.
    """
    inside, _ = split_region(heat)
    side, area = len(heat), int(inside.sum())
    kept = STAYS * (inside & body).sum()
    found = []
    for down in range(SHIFTS):
        for right in range(SHIFTS):
            shift = (down * side // SHIFTS, right * side // SHIFTS)
            moved = np.roll(inside, shift, axis=(0, 1))
            if (moved & inside).sum() <= LARGEST_OVERLAP * area and (moved & body).sum() >= kept:
                found.append(score(change, np.roll(heat, shift, axis=(0, 1))))
    return np.array(found)


def body_mask(healthy: np.ndarray) -> np.ndarray:
    """Where the body is: everything but the air around it.

    Args:
        healthy: a mean chest film, (R, R), bright = dense.
    Returns:
        Mask (R, R); air is darker than a quarter of the bright parts and joined to the edge, so lungs are body.
    """
    air = healthy < AIR * np.percentile(healthy, BRIGHT)
    parts, _ = ndimage.label(air)
    edge = np.concatenate([parts[0], parts[-1], parts[:, 0], parts[:, -1]])
    body: np.ndarray = ~(air & np.isin(parts, edge[edge > 0]))
    return body


def share_outside(change: np.ndarray, body: np.ndarray) -> float:
    """Leakage: the share of all |change| that falls outside the body.

    Args:
        change: (R, R), of either sign, not 0 everywhere.
        body: mask of the body, (R, R).
    Returns:
        In [0, 1]; a change spread evenly has the share of the area, ``1 - body.mean()``.
    """
    size = np.abs(change)
    return float(size[~body].sum() / size.sum())
