from pathlib import Path

import cv2
import numpy as np
import pytest
import pytorch_msssim
import torch
from skimage.metrics import structural_similarity
from torchmetrics.functional.image import structural_similarity_index_measure

from radcommons.data.store import Store
from radcommons.errors import ImageRefused
from radcommons.metrics import ssim as module
from radcommons.metrics.ssim import WEIGHTS, ms_ssim, ms_ssim_scales, ssim

# pytorch-msssim holds its window in float32, whatever the images.
OF_ITS_WINDOW = 1e-5


def scikit_images(a: np.ndarray, b: np.ndarray, data_range: float = 255) -> np.ndarray:
    return np.array([structural_similarity(x, y, data_range=data_range) for x, y in zip(a, b, strict=True)])


def pytorch_msssims(a: np.ndarray, b: np.ndarray, data_range: float = 255) -> np.ndarray:
    first, second = (torch.from_numpy(x.astype(np.float64))[:, None] for x in (a, b))
    return pytorch_msssim.ms_ssim(first, second, data_range=data_range, size_average=False).numpy()


def by_torchmetrics(a: np.ndarray, b: np.ndarray, scales: int) -> np.ndarray:
    """The product over scales, of torchmetrics' terms at each: it leaves the border out of the contrast term only."""
    first, second = (torch.from_numpy(x.astype(np.float64))[:, None] for x in (a, b))
    weights = np.array(WEIGHTS[:scales]) / sum(WEIGHTS[:scales])
    values = torch.ones(len(a), dtype=torch.float64)
    for scale, weight in enumerate(weights):
        settings = {"sigma": 1.5, "data_range": 255.0, "reduction": "none"}
        if scale == scales - 1:
            _, full = structural_similarity_index_measure(first, second, return_full_image=True, **settings)
            term = full[..., 5:-5, 5:-5].mean((1, 2, 3))
        else:
            _, term = structural_similarity_index_measure(first, second, return_contrast_sensitivity=True, **settings)
        values *= term.clamp(min=0) ** weight
        first, second = (torch.nn.functional.avg_pool2d(x, 2) for x in (first, second))
    return values.numpy()


def pairs(rng: np.random.Generator, count: int, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of blurred noise, from nearly equal to unlike."""
    noise = rng.integers(0, 256, (2, count, side, side)).astype(np.float32)
    first, second = (np.stack([cv2.GaussianBlur(image, (0, 0), 2) for image in images]) for images in noise)
    share = np.linspace(0, 1, count)[:, None, None]
    return with_contrast(first), with_contrast(share * first + (1 - share) * second)


def with_contrast(images: np.ndarray) -> np.ndarray:
    return np.clip((images - 127.5) * 5 + 127.5, 0, 255).astype(np.uint8)


def phantoms(store: Store, side: int, count: int = 12) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of phantoms of several patients, enlarged."""
    films = np.stack([cv2.resize(image, (side, side)) for image in store.images(32)[: 2 * count]])
    return films[:count], films[count:]


def test_equal_images_score_one_and_inverted_ones_less_than_nought() -> None:
    image = np.random.default_rng(0).integers(0, 256, (1, 64, 64)).astype(np.uint8)
    assert ssim(image, image) == pytest.approx(1)
    assert ms_ssim(image, image) == pytest.approx(1)
    assert ssim(image, 255 - image)[0] < 0
    assert ms_ssim(image, 255 - image)[0] == 0


def test_two_flat_images_by_hand() -> None:
    """Without contrast only the luminance term is left: (2 x 50 x 100 + 6.5025) / (50^2 + 100^2 + 6.5025)."""
    dark, light = np.full((1, 16, 16), 50, np.uint8), np.full((1, 16, 16), 100, np.uint8)
    expected = (2 * 50 * 100 + 6.5025) / (50**2 + 100**2 + 6.5025)
    assert ssim(dark, light)[0] == pytest.approx(expected, abs=1e-9)
    assert ms_ssim(dark, light)[0] == pytest.approx(expected, abs=1e-9)


def test_more_noise_is_less_alike_at_one_scale_and_at_several() -> None:
    rng = np.random.default_rng(1)
    image = pairs(rng, 1, 64)[0].astype(float).repeat(4, axis=0)
    noisy = image + np.array([0, 10, 30, 90])[:, None, None] * rng.standard_normal((4, 64, 64))
    for values in (ssim(image, noisy), ms_ssim(image, noisy)):
        assert values.tolist() == sorted(values, reverse=True)


@pytest.mark.parametrize("side", [7, 8, 32, 53, 64, 128])
def test_ssim_equals_scikit_image(side: int) -> None:
    a, b = pairs(np.random.default_rng(side), 9, side)
    np.testing.assert_allclose(ssim(a, b), scikit_images(a, b), rtol=0, atol=1e-10)


def test_ssim_of_images_from_nought_to_one_equals_scikit_image() -> None:
    a, b = np.random.default_rng(2).random((2, 5, 20, 20))
    np.testing.assert_allclose(ssim(a, b, data_range=1.0), scikit_images(a, b, 1.0), rtol=0, atol=1e-10)


@pytest.mark.parametrize("side", [161, 166, 176, 256])
def test_ms_ssim_above_160_pixels_equals_pytorch_msssim(side: int) -> None:
    a, b = pairs(np.random.default_rng(side), 7, side)
    found = ms_ssim(a, b)
    np.testing.assert_allclose(found, pytorch_msssims(a, b), rtol=0, atol=OF_ITS_WINDOW)
    assert found.min() < 0.5 < 0.99 < found.max()


@pytest.mark.parametrize(("side", "scales"), [(16, 1), (32, 2), (64, 3), (128, 4)])
def test_ms_ssim_of_fewer_scales_is_the_product_of_torchmetrics_terms(side: int, scales: int) -> None:
    a, b = pairs(np.random.default_rng(side), 7, side)
    assert ms_ssim_scales(side) == scales
    np.testing.assert_allclose(ms_ssim(a, b), by_torchmetrics(a, b, scales), rtol=0, atol=1e-6)


def test_phantoms_equal_the_references(phantom_store: Store) -> None:
    a, b = phantoms(phantom_store, 32)
    np.testing.assert_allclose(ssim(a, b), scikit_images(a, b), rtol=0, atol=1e-10)
    np.testing.assert_allclose(ms_ssim(a, b), by_torchmetrics(a, b, 2), rtol=0, atol=1e-6)
    a, b = phantoms(phantom_store, 192)
    np.testing.assert_allclose(ms_ssim(a, b), pytorch_msssims(a, b), rtol=0, atol=OF_ITS_WINDOW)


@pytest.mark.real
def test_real_films_equal_the_references(shared_data: Path) -> None:
    paths = sorted((shared_data / "nih" / "images").iterdir())[:12]
    films = np.stack([cv2.resize(cv2.imread(str(path), cv2.IMREAD_GRAYSCALE), (256, 256)) for path in paths])
    a, b = films[:6], films[6:]
    np.testing.assert_allclose(ssim(a, b), scikit_images(a, b), rtol=0, atol=1e-10)
    np.testing.assert_allclose(ms_ssim(a, b), pytorch_msssims(a, b), rtol=0, atol=OF_ITS_WINDOW)


def test_the_number_of_scales_is_the_largest_that_leaves_a_whole_window() -> None:
    edges = {11: 1, 20: 1, 21: 2, 40: 2, 41: 3, 64: 3, 80: 3, 81: 4, 160: 4, 161: 5, 256: 5, 1024: 5, 4: 0, 10: 0}
    assert {side: ms_ssim_scales(side) for side in edges} == edges


def test_a_pair_scores_the_same_alone_and_among_others(monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = pairs(np.random.default_rng(3), 7, 64)
    monkeypatch.setattr(module, "BLOCK_PIXELS", 3 * 64 * 64)
    for measure in (ssim, ms_ssim):
        alone = [measure(a[i : i + 1], b[i : i + 1])[0] for i in range(7)]
        np.testing.assert_allclose(measure(a, b), alone, rtol=1e-12)
        np.testing.assert_allclose(measure(b, a), alone, rtol=1e-12)
        assert measure(a[:0], b[:0]).shape == (0,)


def test_images_smaller_than_the_window_are_refused_with_both_sizes() -> None:
    small = np.zeros((2, 6, 8), np.uint8)
    with pytest.raises(ImageRefused, match="images are 6 x 8 pixels; this similarity needs 7 x 7 or more"):
        ssim(small, small)
    with pytest.raises(ImageRefused, match="images are 6 x 8 pixels; this similarity needs 11 x 11 or more"):
        ms_ssim(small, small)
