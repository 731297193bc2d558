"""Structural similarity of pairs of images, at one scale and at several."""

import numpy as np

from radcommons.errors import ImageRefused

WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # of the scales, finest first; they sum to 1.0001 as published
UNIFORM = np.full(7, 1 / 7)
_OFFSETS = np.arange(-5, 6)
GAUSSIAN = np.exp(-(_OFFSETS**2) / (2 * 1.5**2)) / np.exp(-(_OFFSETS**2) / (2 * 1.5**2)).sum()
BLOCK_PIXELS = 4 * 256 * 256  # of a block of images, so that its maps stay in the cache
BAND = 48  # outputs of one matrix product in `_smooth`


def ssim(a: np.ndarray, b: np.ndarray, *, data_range: float = 255.0) -> np.ndarray:
    """Structural similarity of each pair of images.

    Uniform 7 x 7 window, sample covariance, mean over the windows that lie within the image.

    Args:
        a: images, uint8 or float (n, R, R), R >= 7.
        b: their partners, same shape.
        data_range: largest minus smallest possible value: 255 for uint8, 1 for [0, 1].
    Returns:
        float64 (n,) in [-1, 1]; 1 = identical.
    Raises:
        ImageRefused: images smaller than the window.
    Source: Wang et al. 2004, eq. 13; the defaults of scikit-image's structural_similarity.
    """
    _refuse_smaller_than(len(UNIFORM), a)
    values = np.empty(len(a))
    for rows in _blocks(a):
        contrast, luminance = _terms(
            a[rows].astype(np.float64), b[rows].astype(np.float64), UNIFORM, data_range, sample=True
        )
        values[rows] = (contrast * luminance).mean(axis=(1, 2))
    return values


def ms_ssim_scales(side: int) -> int:
    """Number of scales that `ms_ssim` uses for images of `side` pixels: 5 above 160, 3 at 64, 0 below 11."""
    window = len(GAUSSIAN)
    return sum(side > (window - 1) * 2**halvings for halvings in range(len(WEIGHTS)))


def ms_ssim(a: np.ndarray, b: np.ndarray, *, data_range: float = 255.0) -> np.ndarray:
    """Multi-scale structural similarity of each pair of images.

    The contrast-structure term at every scale and the luminance term at the coarsest, each raised to its weight.
    Gaussian 11 x 11 window of sigma 1.5, windows within the image only, halving by 2 x 2 means. Where the five scales
    do not fit, as many as do are used and their weights are scaled to sum to 1: values then compare at equal size
    only. A scale's mean below 0 counts as 0, since a negative number has no such power.

    Args:
        a: images, uint8 or float (n, R, R), R >= 11.
        b: their partners, same shape.
        data_range: largest minus smallest possible value: 255 for uint8, 1 for [0, 1].
    Returns:
        float64 (n,) in [0, 1]; 1 = identical.
    Raises:
        ImageRefused: images smaller than the window.
    Source: Wang, Simoncelli and Bovik 2003, eq. 7.
    """
    _refuse_smaller_than(len(GAUSSIAN), a)
    scales = ms_ssim_scales(min(a.shape[1:]))
    weights = np.array(WEIGHTS[:scales])
    if scales < len(WEIGHTS):
        weights /= weights.sum()
    values = np.ones(len(a))
    for rows in _blocks(a):
        first, second = a[rows].astype(np.float64), b[rows].astype(np.float64)
        for scale, weight in enumerate(weights):
            term, luminance = _terms(first, second, GAUSSIAN, data_range, sample=False)
            if scale == scales - 1:
                term *= luminance
            else:
                first, second = _halved(first), _halved(second)
            values[rows] *= np.maximum(term.mean(axis=(1, 2)), 0) ** weight
    return values


def _terms(
    a: np.ndarray, b: np.ndarray, window: np.ndarray, data_range: float, *, sample: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Maps of the contrast-structure and luminance terms of SSIM, (n, R - w + 1, R - w + 1) each."""
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    pixels = len(window) ** 2
    scale = pixels / (pixels - 1) if sample else 1.0
    mean_a, mean_b = _smooth(a, window), _smooth(b, window)
    product, squares = mean_a * mean_b, mean_a**2 + mean_b**2
    covariance = scale * (_smooth(a * b, window) - product)
    variances = scale * (_smooth(a * a + b * b, window) - squares)  # of a and b, summed
    return (2 * covariance + c2) / (variances + c2), (2 * product + c1) / (squares + c1)


def _smooth(images: np.ndarray, window: np.ndarray) -> np.ndarray:
    """Mean of each image under a separable window, where the window lies within it; rows and columns change places."""
    return _along_rows(np.swapaxes(_along_rows(images, window), 1, 2), window)


def _along_rows(images: np.ndarray, window: np.ndarray) -> np.ndarray:
    """Weighted mean along the last axis, (n, R, C) -> (n, R, C - w + 1).

    As products with pieces of the band matrix of the window: twice as fast as scipy's correlate1d.
    """
    outputs = images.shape[-1] - len(window) + 1
    band = np.zeros((BAND + len(window) - 1, BAND))
    for column in range(BAND):
        band[column : column + len(window), column] = window
    smoothed = np.empty((*images.shape[:-1], outputs))
    for start in range(0, outputs, BAND):
        stop = min(start + BAND, outputs)
        reached = stop - start + len(window) - 1
        smoothed[..., start:stop] = images[..., start : start + reached] @ band[:reached, : stop - start]
    return smoothed


def _halved(images: np.ndarray) -> np.ndarray:
    """Means of 2 x 2 pixels. An odd side is first framed with zeros, as pytorch-msssim does; stores have even sides."""
    odd_rows, odd_columns = images.shape[1] % 2, images.shape[2] % 2
    if odd_rows or odd_columns:
        images = np.pad(images, ((0, 0), (odd_rows, odd_rows), (odd_columns, odd_columns)))
    rows, columns = images.shape[1] // 2 * 2, images.shape[2] // 2 * 2
    images = images[:, :rows, :columns]
    return np.asarray(images[:, ::2, ::2] + images[:, 1::2, ::2] + images[:, ::2, 1::2] + images[:, 1::2, 1::2]) / 4


def _blocks(images: np.ndarray) -> list[slice]:
    step = max(1, BLOCK_PIXELS // (images.shape[1] * images.shape[2]))
    return [slice(start, start + step) for start in range(0, len(images), step)]


def _refuse_smaller_than(window: int, images: np.ndarray) -> None:
    rows, columns = images.shape[1:]
    if min(rows, columns) < window:
        raise ImageRefused(f"images are {rows} x {columns} pixels; this similarity needs {window} x {window} or more")
