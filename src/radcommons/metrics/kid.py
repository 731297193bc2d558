"""Kernel distance of image features (KID where the features are Inception's)."""

import numpy as np

from radcommons.errors import TooFewImages
from radcommons.metrics.half_samples import group_numbers, half_sample_interval, random_half

BLOCK_ROWS = 512  # rows of a kernel matrix held at once


def squared_mmd(real: np.ndarray, fake: np.ndarray) -> float:
    """Unbiased squared maximum mean discrepancy with the kernel (x.y/d + 1)^3.

    Args:
        real: features of real images, float (n, d), n >= 2.
        fake: features of synthetic images, float (m, d), same extractor, m >= 2.
    Returns:
        0 on average where both come from one distribution, so it can be below 0; larger = further apart.
    Raises:
        TooFewImages: fewer than two rows in either set.
    Source: Binkowski et al. 2018; Gretton et al. 2012, the unbiased estimator.
    """
    everything = np.ones((1, len(real))), np.ones((1, len(fake)))
    return float(_squared_mmd_of(real, fake, *everything)[0])


def kid_interval(
    real: np.ndarray,
    fake: np.ndarray,
    *,
    halves: int,
    rng: np.random.Generator,
    real_groups: np.ndarray | None = None,
) -> tuple[float, float]:
    """95% interval of the squared MMD of the two distributions, from random halves of both sets.

    KID is usually given as the mean over random subsets of the images. These subsets share images, so their spread
    says nothing about other patients, and the spread of their mean shrinks at will with more subsets. Here each half
    leaves out half of the patients and half of the synthetic images. The spread of `squared_mmd` over halves is the
    standard error. Two films of a patient are alike, which raises the kernel's mean a little; halves of patients show
    this bias too, and it is subtracted.

    Args:
        real: features of real images, float (n, d).
        fake: features of synthetic images, float (m, d), same extractor.
        halves: number of pairs of halves, two or more.
        rng: draws the halves.
        real_groups: patient of each real row, (n,); a patient's rows are kept or left out together.
    Returns:
        (low, high); it contains 0 where the two distributions are the same, and is wider than necessary there.
    Raises:
        TooFewImages: fewer than four real groups or synthetic images.
    Source: `half_sample_interval`.
    """
    real_rows = group_numbers(real_groups, len(real), "real")
    fake_rows = group_numbers(None, len(fake), "synthetic")
    real_in = np.empty((halves + 1, len(real)))
    fake_in = np.empty((halves + 1, len(fake)))
    real_in[0], fake_in[0] = 1, 1  # the whole sample
    for half in range(1, halves + 1):
        real_in[half] = random_half(real_rows, rng=rng)
        fake_in[half] = random_half(fake_rows, rng=rng)
    whole, *of_halves = _squared_mmd_of(real, fake, real_in, fake_in)
    return half_sample_interval(float(whole), of_halves)


def _squared_mmd_of(real: np.ndarray, fake: np.ndarray, real_in: np.ndarray, fake_in: np.ndarray) -> np.ndarray:
    """Squared MMD of several choices of rows at once, so that each kernel value is computed once.

    `real_in` (r, n) and `fake_in` (r, m) are 1 for a row that a choice holds and 0 for others; returns (r,).
    """
    n, m = real_in.sum(axis=1), fake_in.sum(axis=1)
    fewest = int(min(n.min(), m.min()))
    if fewest < 2:
        raise TooFewImages(f"a kernel distance needs 2 images or more of each kind, not {fewest}")
    real, fake = real.astype(np.float64), fake.astype(np.float64)
    within_real = _pairs(real, real, real_in, real_in, leave_self=True) / (n * (n - 1))
    within_fake = _pairs(fake, fake, fake_in, fake_in, leave_self=True) / (m * (m - 1))
    between = _pairs(real, fake, real_in, fake_in, leave_self=False) / (n * m)
    return np.asarray(within_real + within_fake - 2 * between)


def _pairs(a: np.ndarray, b: np.ndarray, a_in: np.ndarray, b_in: np.ndarray, *, leave_self: bool) -> np.ndarray:
    """Sum of the kernel over the pairs of rows in each choice, (r,); `leave_self` omits a row paired with itself."""
    total = np.zeros(len(a_in))
    for start in range(0, len(a), BLOCK_ROWS):
        rows = slice(start, start + BLOCK_ROWS)
        kernel = (a[rows] @ b.T / a.shape[1] + 1) ** 3
        if leave_self:
            np.fill_diagonal(kernel[:, rows], 0)
        total += np.einsum("rb,br->r", a_in[:, rows], kernel @ b_in.T)
    return total
