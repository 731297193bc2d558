"""Image features as a Gaussian of which only the leading directions are kept, for those who may not see the images.

The covariance of n feature vectors of d numbers gives single vectors away where n is not many times d: with n <= d, a
vector lies within its span if and only if it was among the n. Of the k leading directions, k far below n, it does not.
"""

from dataclasses import dataclass

import numpy as np

from radcommons.errors import TooFewImages


@dataclass(frozen=True, slots=True)
class SmoothedGaussian:
    """A Gaussian with the covariance ``V' diag(variances) V + rest (I - V'V)``, V the components.

    Attributes:
        mean: float64 (d,).
        components: directions of largest variance, orthonormal rows, float64 (k, d), k < d.
        variances: along them, float64 (k,), descending.
        rest: variance along every other direction, their mean.
    """

    mean: np.ndarray
    components: np.ndarray
    variances: np.ndarray
    rest: float


def smoothed_gaussian(features: np.ndarray, components: int) -> SmoothedGaussian:
    """The Gaussian of features, float (n, d), with `components` directions kept, fewer than n and d.

    Raises:
        TooFewImages: not more rows or columns than components.
    """
    if components >= min(features.shape):
        raise TooFewImages(f"{components} components need more than as many images and features, not {features.shape}")
    features = features.astype(np.float64)
    mean = features.mean(axis=0)
    values, vectors = np.linalg.eigh(np.cov(features, rowvar=False))  # ascending
    leading = values[::-1][:components]
    rest = max(0.0, float(values.sum() - leading.sum())) / (len(values) - components)
    return SmoothedGaussian(mean, np.ascontiguousarray(vectors.T[::-1][:components]), leading, rest)


def frechet_distance_to(gaussian: SmoothedGaussian, features: np.ndarray) -> float:
    """Frechet distance of features to a smoothed Gaussian: as `frechet_distance`, with its covariance for the real one.

    Not 0 for features of the very images behind the Gaussian, since smoothing changes the covariance: it compares with
    distances to the same Gaussian only, at equal n.

    Args:
        gaussian: of features of d numbers.
        features: float (n, d), n >= 2, same extractor.
    Returns:
        Squared distance, >= 0 up to rounding.
    Raises:
        TooFewImages: fewer than two rows.
    Source: Heusel et al. 2017, eq. 6. With S2 = F'F, the trace of (S1 S2)^(1/2) is the sum of the square roots of the
        eigenvalues of F S1 F', which is n x n.
    """
    if len(features) < 2:
        raise TooFewImages(f"a Frechet distance needs 2 images or more, not {len(features)}")
    features = features.astype(np.float64)
    mean = features.mean(axis=0)
    factor = features - mean
    if len(factor) > factor.shape[1]:
        factor = np.linalg.qr(factor, mode="r")  # the rotation left out cancels in F'F
    factor /= np.sqrt(len(features) - 1)
    along = factor @ gaussian.components.T  # (n, k)
    product = gaussian.rest * (factor @ factor.T) + (along * (gaussian.variances - gaussian.rest)) @ along.T
    shared = np.sqrt(np.linalg.eigvalsh(product).clip(min=0)).sum()
    dimension, kept = len(gaussian.mean), len(gaussian.variances)
    variance = gaussian.variances.sum() + gaussian.rest * (dimension - kept)
    return float(np.square(gaussian.mean - mean).sum() + variance + np.square(factor).sum() - 2 * shared)


def explained_shares(gaussian: SmoothedGaussian, features: np.ndarray) -> np.ndarray:
    """Share of each feature vector's squared distance from the mean that lies along the components, (n, d) -> (n,).

    It is higher for the vectors behind the Gaussian, to which the components were fitted: the best of four ways that
    were tried to tell them from others.
    """
    centred = features.astype(np.float64) - gaussian.mean
    shares: np.ndarray = np.square(centred @ gaussian.components.T).sum(axis=1) / np.square(centred).sum(axis=1)
    return shares
