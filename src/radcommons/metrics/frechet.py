"""Frechet distance of image features (FID where the features are Inception's)."""

import numpy as np

from radcommons.errors import TooFewImages
from radcommons.metrics.half_samples import group_numbers, half_sample_interval, random_half


def frechet_distance(real: np.ndarray, fake: np.ndarray) -> float:
    """Frechet distance between two sets of image features, each taken as a Gaussian.

    ``|mean difference|^2 + tr S1 + tr S2 - 2 tr (S1 S2)^(1/2)``. With S1 = F1'F1 and S2 = F2'F2, the last trace is the
    sum of the singular values of F1 F2': real by construction, exact for covariances of any rank, and the factors
    have min(n, d) and min(m, d) rows.

    Args:
        real: features of real images, float (n, d), n >= 2.
        fake: features of synthetic images, float (m, d), same extractor, m >= 2.
    Returns:
        Squared distance, >= 0 up to rounding; 0 = same mean and covariance. Biased upwards, by more the fewer
        images: compare only distances at equal n, m and d.
    Raises:
        TooFewImages: fewer than two rows in either set.
    Source: Heusel et al. 2017, eq. 6; Dowson and Landau 1982.
    """
    fewer = min(len(real), len(fake))
    if fewer < 2:
        raise TooFewImages(f"a Frechet distance needs 2 images or more of each kind, not {fewer}")
    mean_real, factor_real = _mean_and_factor(real)
    mean_fake, factor_fake = _mean_and_factor(fake)
    between = np.square(mean_real - mean_fake).sum()
    within = np.square(factor_real).sum() + np.square(factor_fake).sum()
    shared = np.linalg.svd(factor_real @ factor_fake.T, compute_uv=False).sum()
    return float(between + within - 2 * shared)


def _mean_and_factor(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean (d,) and F (min(n, d), d) with F'F = the sample covariance."""
    features = features.astype(np.float64)
    mean = features.mean(axis=0)
    factor = features - mean
    if len(factor) > factor.shape[1]:
        factor = np.linalg.qr(factor, mode="r")  # the rotation left out cancels in F'F
    return mean, factor / np.sqrt(len(features) - 1)


def frechet_interval(
    real: np.ndarray,
    fake: np.ndarray,
    *,
    halves: int,
    rng: np.random.Generator,
    real_groups: np.ndarray | None = None,
    corrected: bool = True,
) -> tuple[float, float]:
    """95% interval of the Frechet distance, from random halves of both sets.

    The distance of finite sets is too large by an amount of order 1/n. A bootstrap adds that bias a second time, so
    the percentile interval misses the truth almost always, and its repeated rows lower the rank of the covariances,
    so reflecting the interval helps only where n is many times d. Halves drawn without replacement show the bias
    itself (`half_sample_interval`), and are quicker.

    Args:
        real: features of real images, float (n, d).
        fake: features of synthetic images, float (m, d), same extractor.
        halves: number of pairs of halves; 30 are enough, since only their mean and deviation are used.
        rng: draws the halves.
        real_groups: patient of each real row, (n,); a patient's rows are kept or left out together.
        corrected: True = the distance of the distributions, what unlimited images would give; it lies below
            `frechet_distance` as a rule, and is right where n and m are at least twice d or the features' variance
            is in far fewer directions than d; with fewer images it lies too high. False = the distance of sets of
            this size, for comparison at equal n: `frechet_distance` is its middle, for any n and d.
    Returns:
        (low, high), both >= 0. Wider than necessary where the two distributions are the same.
    Raises:
        TooFewImages: fewer than four real groups or synthetic images.
    Source: `half_sample_interval`; Chong and Forsyth 2020 (the bias of FID is linear in 1/n).
    """
    real_rows = group_numbers(real_groups, len(real), "real")
    fake_rows = group_numbers(None, len(fake), "synthetic")
    distances = [
        frechet_distance(real[random_half(real_rows, rng=rng)], fake[random_half(fake_rows, rng=rng)])
        for _ in range(halves)
    ]
    low, high = half_sample_interval(frechet_distance(real, fake), distances, corrected=corrected)
    return max(low, 0.0), max(high, 0.0)
