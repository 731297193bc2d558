from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from skimage.metrics import structural_similarity

from radcommons.audit.neighbours import ssim_search
from radcommons.audit.neighbours.ssim_bounds import Landmarks, block_shares, image_maps, most_ssim, part_weights
from radcommons.audit.neighbours.ssim_kernels import BANDS, BLOCKS, ERROR, PARTS, block_table, exact_blocks, exact_table
from radcommons.audit.neighbours.ssim_search import Neighbours, nearest_by_ssim
from radcommons.data.store import Store
from radcommons.errors import ImageRefused, TooFewImages
from radcommons.progress import Advance


def brute_force(queries: np.ndarray, references: np.ndarray) -> np.ndarray:
    """Every SSIM by scikit-image."""
    return np.array([[structural_similarity(q, r, data_range=255) for r in references] for q in queries])


def smooth(count: int, side: int, seed: int = 0) -> np.ndarray:
    """Pictures that resemble each other, as films do: a common picture, a slope of each one's own, noise."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:side, 0:side] / side - 0.5
    slopes = rng.normal(0, 60, (2, count, 1, 1))
    picture = 128 + 60 * np.cos(6 * x) * np.cos(5 * y) + slopes[0] * x + slopes[1] * y * x
    return np.clip(picture + rng.normal(0, 6, (count, side, side)), 0, 255).astype(np.uint8)


def noise(count: int, side: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, side, side), np.uint8)


def extreme(side: int) -> np.ndarray:
    """Black, white, halves of both, and films nearly so: where float32 has most to round."""
    half = np.zeros((side, side), np.uint8)
    half[: side // 2] = 255
    flat = [np.full((side, side), level, np.uint8) for level in (0, 1, 128, 254, 255)]
    return np.stack([*flat, half, half.T, *(noise(2, side) // 100), *(255 - noise(2, side, 1) // 100)])


def assert_same(found: Neighbours, every: np.ndarray, k: int) -> None:
    np.testing.assert_array_equal(found.rows, np.argsort(-every, axis=1, kind="stable")[:, :k])
    np.testing.assert_allclose(found.scores, np.take_along_axis(every, found.rows, 1), rtol=0, atol=1e-9)


@contextmanager
def always_landmarks(monkeypatch: pytest.MonkeyPatch, landmarks: int) -> Iterator[None]:
    """As if there were many more images: landmarks, blocks of references and several tiles of queries."""
    images = np.concatenate([smooth(landmarks // 2, 32, seed=5), noise(landmarks - landmarks // 2, 32, seed=6)])
    with monkeypatch.context() as patch:
        patch.setattr(ssim_search, "_choose_landmarks", lambda queries, references: Landmarks.spanned_by(images))
        patch.setattr(ssim_search, "REFERENCE_BYTES", 17 * 4 * 3 * 32**2)
        patch.setattr(ssim_search, "QUERY_TILE", 5)
        patch.setattr(ssim_search, "QUERIES_AT_ONCE", 12)
        yield


@pytest.mark.slow
@pytest.mark.parametrize("side", [7, 8, 9, 13, 32, 64, 70])
def test_neighbours_are_those_of_comparing_every_pair_by_scikit_image(side: int) -> None:
    queries, references = smooth(4, side), np.concatenate([smooth(15, side, seed=1), noise(4, side)])
    assert_same(nearest_by_ssim(queries, references), brute_force(queries, references), 3)


def test_phantom_films_have_the_neighbours_of_comparing_every_pair(phantom_store: Store) -> None:
    films = phantom_store.images(32)
    queries, references = films[:10], films[10:]
    assert_same(nearest_by_ssim(queries, references), brute_force(queries, references), 3)


def test_bounds_blocks_and_tiles_change_nothing(monkeypatch: pytest.MonkeyPatch, phantom_store: Store) -> None:
    films = phantom_store.images(32)
    queries = np.concatenate([films[:7], smooth(8, 32), extreme(32)])
    references = np.concatenate([smooth(25, 32, seed=1), films[7:], noise(5, 32)])
    every = brute_force(queries, references)
    plain = nearest_by_ssim(queries, references)
    with always_landmarks(monkeypatch, 40):
        bounded = nearest_by_ssim(queries, references)
    assert_same(plain, every, 3)
    assert_same(bounded, every, 3)
    assert bounded.pairs_scored < 0.8 * plain.pairs_scored


def test_every_reference_is_ranked_where_k_is_their_number() -> None:
    queries, references = smooth(3, 16), smooth(21, 16, seed=1)
    found = nearest_by_ssim(queries, references, k=21)
    assert_same(found, brute_force(queries, references), 21)
    assert found.pairs_scored == found.pairs == 63


def test_a_planted_copy_is_found_with_a_score_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    queries, references = smooth(20, 32), smooth(60, 32, seed=1)
    references[41] = queries[13]
    with always_landmarks(monkeypatch, 32):
        found = nearest_by_ssim(queries, references)
    assert found.rows[13, 0] == 41
    assert found.scores[13, 0] == pytest.approx(1, abs=1e-12)
    assert (found.scores[np.arange(20) != 13, 0] < 0.999).all()


def test_among_equal_scores_the_lower_row_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    queries = smooth(3, 32)
    references = np.repeat(smooth(5, 32, seed=1), 8, axis=0)[np.random.default_rng(0).permutation(40)]
    every = brute_force(queries, references)
    with always_landmarks(monkeypatch, 32):
        found = nearest_by_ssim(queries, references, k=11)
    assert_same(found, every, 11)
    assert_same(nearest_by_ssim(queries, references, k=11), every, 11)


def test_images_that_are_all_the_same_are_ranked_by_row() -> None:
    same = np.repeat(smooth(1, 16), 9, axis=0)
    found = nearest_by_ssim(same[:2], same, k=4)
    np.testing.assert_array_equal(found.rows, [[0, 1, 2, 3]] * 2)
    np.testing.assert_allclose(found.scores, 1, rtol=0, atol=1e-12)


def test_black_and_white_images_are_scored_as_scikit_image_does() -> None:
    images = extreme(16)
    found = nearest_by_ssim(images, images, k=len(images))
    every = np.take_along_axis(brute_force(images, images), found.rows, 1)
    np.testing.assert_allclose(found.scores, every, rtol=0, atol=1e-9)


def test_memory_maps_are_read_without_being_changed(tmp_path: Path) -> None:
    queries, references = smooth(6, 16), smooth(30, 16, seed=1)
    for name, images in (("queries", queries), ("references", references)):
        np.save(tmp_path / f"{name}.npy", images)
    mapped = [np.load(tmp_path / f"{name}.npy", mmap_mode="r") for name in ("queries", "references")]
    expected = nearest_by_ssim(queries, references)
    found = nearest_by_ssim(*mapped)
    np.testing.assert_array_equal(found.rows, expected.rows)
    np.testing.assert_array_equal(found.scores, expected.scores)


def test_threads_change_neither_the_result_nor_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    queries, references = smooth(23, 32), smooth(50, 32, seed=1)
    before = torch.get_num_threads()
    with always_landmarks(monkeypatch, 32):
        one, three = (nearest_by_ssim(queries, references, threads=threads) for threads in (1, 3))
    np.testing.assert_array_equal(one.rows, three.rows)
    np.testing.assert_array_equal(one.scores, three.scores)
    assert one.pairs_scored == three.pairs_scored
    assert torch.get_num_threads() == before


def test_progress_adds_up_to_the_queries(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    totals: list[tuple[int, str]] = []

    @contextmanager
    def track(description: str, *, total: int, done: int = 0, unit: str = "images") -> Iterator[Advance]:
        totals.append((total, unit))
        yield seen.append

    with always_landmarks(monkeypatch, 32):
        nearest_by_ssim(smooth(23, 32), smooth(50, 32, seed=1), track=track)
    assert totals == [(23, "images")]
    assert sum(seen) == 23
    assert len(seen) > 3


def test_no_bound_is_below_the_true_score_in_any_band() -> None:
    images = np.concatenate([smooth(40, 32), noise(10, 32), extreme(32), smooth(5, 32) // 40])
    landmarks = Landmarks.spanned_by(np.concatenate([images[::3], images[:2]]))  # two of them twice
    maps = image_maps(images)
    most = most_ssim(landmarks.features(maps, of_query=True), landmarks.features(maps, of_query=False)).numpy()
    blocks = np.empty((BLOCKS, len(images), len(images)))
    exact_table(images, blocks)
    rest = np.zeros((len(images), len(images)))
    for band in reversed(range(BANDS)):
        rest += blocks[PARTS * band : PARTS * (band + 1)].sum(0)
        assert (most[band] >= rest).all()
    # landmarks leave films little room, no landmarks leave all of it
    films = slice(0, 40)
    assert (most[0] - rest)[films, films].mean() < 0.25
    none = Landmarks.spanned_by(images[:0])
    trivial = most_ssim(none.features(maps, of_query=True), none.features(maps, of_query=False)).numpy()
    np.testing.assert_allclose(trivial[0], 1, atol=1e-3)
    assert (trivial[0] >= 1).all()


@pytest.mark.parametrize("side", [7, 8, 31, 64])
def test_float32_stays_far_within_the_error_that_the_search_allows(side: int) -> None:
    images = np.concatenate([extreme(side), smooth(6, side), noise(3, side), 255 - smooth(4, side) // 16])
    maps = image_maps(images)
    table = np.empty((BLOCKS, len(images), len(images)), np.float32)
    block_table(maps, maps, part_weights(side), 4, table)
    assert np.abs(table.sum(0) - brute_force(images, images)).max() < ERROR / 2
    assert block_shares(side).sum() == pytest.approx(1)


def test_blocks_of_two_images_add_up_to_their_ssim() -> None:
    pair = noise(2, 40)
    blocks = np.empty(BLOCKS)
    exact_blocks(pair[0], pair[1], blocks)
    assert blocks.sum() == pytest.approx(structural_similarity(*pair, data_range=255), abs=1e-12)


@pytest.mark.real
def test_real_films_have_the_neighbours_of_comparing_every_pair(
    shared_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import cv2

    files = sorted((shared_data / "nih" / "images").iterdir())[:400]
    films = np.stack([cv2.resize(cv2.imread(str(f), cv2.IMREAD_GRAYSCALE), (32, 32)) for f in files])
    queries, references = films[:10], films[10:]
    chosen = Landmarks.spanned_by(references[::4])
    monkeypatch.setattr(ssim_search, "_choose_landmarks", lambda *images: chosen)
    found = nearest_by_ssim(queries, references)
    assert_same(found, brute_force(queries, references), 3)
    assert found.pairs_scored < found.pairs / 2


def test_fewer_references_than_neighbours_says_what_to_pass() -> None:
    with pytest.raises(TooFewImages, match="k is 3 but there are 2 references; pass k=2 or fewer"):
        nearest_by_ssim(noise(1, 16), noise(2, 16))


def test_images_of_two_sizes_are_refused_with_both() -> None:
    with pytest.raises(ImageRefused, match="queries have side 16, references 32; pass both at one resolution"):
        nearest_by_ssim(noise(4, 16), noise(4, 32))


def test_images_smaller_than_a_window_are_refused() -> None:
    with pytest.raises(ImageRefused, match="images have side 6; SSIM needs 7 or more"):
        nearest_by_ssim(noise(4, 6), noise(4, 6))


def test_images_that_are_not_grey_bytes_are_refused() -> None:
    with pytest.raises(ImageRefused, match=r"queries are float64 \(4, 16, 16\); pass uint8 \(images, side, side\)"):
        nearest_by_ssim(noise(4, 16) / 255, noise(4, 16))


def test_no_queries_have_no_neighbours() -> None:
    assert nearest_by_ssim(noise(0, 16), noise(4, 16)).rows.shape == (0, 3)
