"""Do synthetic images lie closer to the training images than held-out images do?"""

from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

from radcommons.errors import TooFewImages


@dataclass(frozen=True)
class DataCopying:
    """The three-sample test over cells of the image space.

    statistic: C_T, weighted mean of the cells' z; far below 0 = copying, far above 0 = underfitting.
    cells_used: cells with enough of both kinds.
    """

    statistic: float
    cells_used: int


def mann_whitney_z(synthetic: np.ndarray, held_out: np.ndarray) -> float:
    """Standardised Mann-Whitney statistic of the distances to the nearest training image.

    Args:
        synthetic: distance of each synthetic image to its nearest training image, (m,), m >= 1.
        held_out: the same of each held-out image, (n,), n >= 1.
    Returns:
        About normal with deviation 1 where both have one distribution and all images are independent; negative =
        synthetic images lie closer to the training set than held-out images do. Ties are corrected for, without
        continuity correction; 0 where all distances are equal.
    Source: Meehan et al. 2020 (Z_U); Mann and Whitney 1947; Lehmann 1975 for ties.
    """
    m, n = len(synthetic), len(held_out)
    together = np.concatenate([synthetic, held_out])
    wins = rankdata(together)[:m].sum() - m * (m + 1) / 2
    ties = np.unique(together, return_counts=True)[1].astype(float)
    if len(ties) == 1:
        return 0.0
    variance = m * n / 12 * (m + n + 1 - (ties**3 - ties).sum() / ((m + n) * (m + n - 1)))
    return float((wins - m * n / 2) / np.sqrt(variance))


def data_copying(
    synthetic: np.ndarray,
    held_out: np.ndarray,
    synthetic_cells: np.ndarray,
    held_out_cells: np.ndarray,
    *,
    fewest: int = 10,
) -> DataCopying:
    """The data-copying statistic C_T: `mann_whitney_z` cell by cell, weighted by the held-out images.

    ``C_T = sum P(c) Z(c) / sum P(c)`` over the cells used, where P(c) is the share of the held-out images in cell c.
    Comparison within cells separates copying from drawing a dense region too often, which the z of all images does not.
    Copying in one cell and underfitting in another still cancel in the mean: Bhattacharjee et al. 2023.

    Args:
        synthetic: distance of each synthetic image to its nearest training image, (m,).
        held_out: the same of each held-out image, (n,).
        synthetic_cells: cell of each synthetic image, int (m,), e.g. the nearest of k means of the training images.
        held_out_cells: cell of each held-out image, int (n,).
        fewest: a cell with fewer of either kind is left out, since its z is not yet normal.
    Returns:
        DataCopying. By chance alone the statistic is normal with deviation sqrt(sum P(c)^2) / sum P(c), below 1.
    Raises:
        TooFewImages: no cell has enough of both.
    Source: Meehan, Chaudhuri and Dasgupta 2020, C_T; there only the synthetic images of a cell are counted.
    """
    statistic = held_out_used = 0.0
    cells_used = 0
    for cell in np.intersect1d(synthetic_cells, held_out_cells):
        own, other = synthetic[synthetic_cells == cell], held_out[held_out_cells == cell]
        if min(len(own), len(other)) < fewest:
            continue
        statistic += len(other) * mann_whitney_z(own, other)
        held_out_used += len(other)
        cells_used += 1
    if not cells_used:
        raise TooFewImages(
            f"no cell holds {fewest} synthetic and {fewest} held-out images "
            f"({len(synthetic)} and {len(held_out)} in all); use fewer cells"
        )
    return DataCopying(statistic / held_out_used, cells_used)


def paired_closer_share(to_train: np.ndarray, to_held_out: np.ndarray) -> float:
    """Share of synthetic images whose nearest training image is closer than their nearest held-out image.

    Args:
        to_train: distance of each synthetic image to its nearest training image, (m,), m >= 1.
        to_held_out: distance of the same images to their nearest held-out image, (m,).
    Returns:
        In [0, 1], a tie counting half; 0.5 is expected without copying where both sets are equally large.
    Source: Yale et al. 2020 (nearest-neighbour adversarial accuracy, privacy loss), one of its terms.
    """
    return float(np.mean((to_train < to_held_out) + 0.5 * (to_train == to_held_out)))
