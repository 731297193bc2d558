"""Power by spatial frequency: shows blur (too little at high frequencies) and stripes or noise (too much) at once."""

import numpy as np

AT_ONCE = 256  # images


def radial_power(images: np.ndarray, *, bands: int = 16) -> np.ndarray:
    """Mean power of images in rings of equal width, from frequency 0 to half a cycle per pixel.

    Each image loses its mean and gets a Hann window, so that its edges do not count as detail.

    Args:
        images: uint8 (N, R, R), R >= 2 * bands.
    Returns:
        float64 (bands,); ring b holds frequencies from b / (2 bands) to (b + 1) / (2 bands) cycles per pixel.
    Source: Durall et al. 2020 (arXiv 2003.01826) compare generated with real images so.
    """
    count, side = len(images), images.shape[-1]
    window = np.hanning(side + 2)[1:-1]
    frequency = np.fft.fftfreq(side)
    ring = (np.hypot(frequency[:, None], np.fft.rfftfreq(side)) * 2 * bands).astype(np.int64)
    power = np.zeros((side, side // 2 + 1))
    for start in range(0, count, AT_ONCE):
        some = np.asarray(images[start : start + AT_ONCE], np.float64)
        some = (some - some.mean((1, 2), keepdims=True)) * window * window[:, None]
        power += (np.abs(np.fft.rfft2(some)) ** 2).sum(axis=0)
    inside = ring < bands
    totals = np.bincount(ring[inside], power[inside], minlength=bands)
    means: np.ndarray = totals / np.bincount(ring[inside], minlength=bands) / count
    return means
