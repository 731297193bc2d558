from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from radcommons.data.store import Store
from radcommons.errors import BadInput, SettingRefused
from radcommons.extractors import KNOWN, Extractor, ExtractorRecord, extract, load_extractor
from radcommons.extractors.catalogue import EFFICIENTNET_WEIGHTS
from radcommons.extractors.extractor import CPU_BLOCK
from radcommons.models.classifier import resized
from radcommons.models.weights import find_weights
from radcommons.progress import Advance


@pytest.fixture
def corners() -> Extractor:
    """Features are the first and the last pixel; an image whose first pixel is 255 has none."""

    def network(x: Tensor) -> Tensor:
        values = torch.stack([x[:, 0, 0, 0], x[:, 0, -1, -1]], 1)
        return torch.where(values[:, :1] == 255, torch.nan, values)

    record = ExtractorRecord(name="corners", digest="none", dimension=2, side=8, resize="none")
    return Extractor(record, lambda grey: grey, network, torch.device("cpu"))


@pytest.fixture
def films() -> np.ndarray:
    """50 films of noise; the first pixel of film i is i, the last 100 + i."""
    films = np.random.default_rng(0).integers(0, 256, (50, 24, 24), np.uint8)
    films[:, 0, 0] = np.arange(50)
    films[:, -1, -1] = 100 + np.arange(50)
    return films


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def test_each_row_holds_the_features_of_its_image(corners: Extractor, films: np.ndarray) -> None:
    found = extract(corners, films)
    assert found.values.dtype == np.float32
    assert found.values.tolist() == [[i, 100 + i] for i in range(50)]
    assert found.extractor == corners.record


def test_chosen_rows_come_in_the_order_chosen(corners: Extractor, films: np.ndarray) -> None:
    rows = np.array([49, 3, 3, *range(20)])
    assert extract(corners, films, rows=rows).values[:, 0].tolist() == rows.tolist()
    assert extract(corners, films, rows=rows[:0]).values.shape == (0, 2)


def test_an_image_has_the_same_features_in_any_company_and_on_any_number_of_threads(
    extractor: Extractor, films: np.ndarray
) -> None:
    alone = np.concatenate([extract(extractor, films[i : i + 1]).values for i in range(20)])
    with torch_threads(2):
        assert np.array_equal(extract(extractor, films[:20]).values, alone), "two threads, a core each"
        assert np.array_equal(extract(extractor, films[:4]).values, alone[:4]), "two threads of torch's own"
        assert torch.get_num_threads() == 2
    backwards = extract(extractor, films, rows=np.arange(20)[::-1]).values
    assert np.array_equal(backwards, alone[::-1])


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_a_gpu_gives_the_features_of_the_cpu_in_any_company(extractor: Extractor, films: np.ndarray) -> None:
    on_gpu = load_extractor("efficientnet-lite0", device="cuda")
    together = extract(on_gpu, films).values
    np.testing.assert_allclose(together, extract(extractor, films).values, rtol=0, atol=1e-3)
    assert np.array_equal(extract(on_gpu, films[7:8]).values[0], together[7])


def test_a_mapped_file_is_read_a_block_at_a_time(corners: Extractor, films: np.ndarray, tmp_path: Path) -> None:
    taken: list[int] = []

    class Watched(np.ndarray):
        def __getitem__(self, key: Any) -> Any:
            found = super().__getitem__(key)
            taken.append(len(found))
            return found

    np.save(tmp_path / "films.npy", films)
    mapped = np.load(tmp_path / "films.npy", mmap_mode="r").view(Watched)
    for rows in (None, np.arange(50)):
        taken.clear()
        assert np.array_equal(extract(corners, mapped, rows=rows).values, extract(corners, films).values)
        assert max(taken) == CPU_BLOCK


def test_progress_counts_every_image_once(corners: Extractor, films: np.ndarray) -> None:
    shown: list[object] = []

    @contextmanager
    def track(description: str, *, total: int, done: int = 0, unit: str = "images") -> Iterator[Advance]:
        shown.append((description, total))
        yield shown.append

    extract(corners, films, rows=np.arange(37), track=track, description="Features of films")
    assert shown[0] == ("Features of films", 37)
    assert sum(shown[1:]) == 37


def test_a_feature_that_is_no_number_names_the_row(corners: Extractor, films: np.ndarray) -> None:
    films[33, 0, 0] = 255
    message = "corners gives features of image row 33 that are not finite numbers"
    with pytest.raises(BadInput, match=message):
        extract(corners, films)
    with pytest.raises(BadInput, match=message):
        extract(corners, films, rows=np.arange(50)[::-1])


@pytest.mark.parametrize("shape", [(2, 8, 9), (8, 8), (2, 3, 8, 8)])
def test_images_that_are_not_grey_squares_are_refused(corners: Extractor, shape: tuple[int, ...]) -> None:
    with pytest.raises(BadInput, match=r"images are uint8 .*; features need uint8 \(n, R, R\)"):
        extract(corners, np.zeros(shape, np.uint8))
    with pytest.raises(BadInput, match="images are float64"):
        extract(corners, np.zeros((2, 8, 8)))


def test_films_of_any_resolution_get_1280_finite_numbers(extractor: Extractor, phantom_store: Store) -> None:
    for resolution in phantom_store.resolutions:
        found = extract(extractor, phantom_store.images(resolution), rows=np.arange(2))
        assert found.values.shape == (2, 1280)
    large = np.random.default_rng(0).integers(0, 256, (1, 512, 512), np.uint8)
    assert extract(extractor, large).values.shape == (1, 1280)


def test_a_film_is_nearer_to_itself_with_noise_than_to_another(extractor: Extractor, phantom_store: Store) -> None:
    films = phantom_store.images(32)[:12]
    noise = np.random.default_rng(0).normal(0, 3, films.shape)
    noisy = np.clip(films + noise, 0, 255).astype(np.uint8)
    clean, changed = extract(extractor, films).values, extract(extractor, noisy).values
    distances = np.linalg.norm(changed[:, None] - clean[None], axis=2)
    assert distances.argmin(1).tolist() == list(range(12))


def test_the_record_names_the_weights_and_the_resize_rule(extractor: Extractor) -> None:
    assert extractor.record == ExtractorRecord(
        name="efficientnet-lite0",
        digest="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        dimension=1280,
        side=224,
        resize="bilinear, antialiased, no crop",
    )


def test_the_weights_may_be_given_as_a_file(extractor: Extractor, films: np.ndarray) -> None:
    given = load_extractor("efficientnet-lite0", weights=find_weights(EFFICIENTNET_WEIGHTS))
    assert np.array_equal(extract(given, films[:1]).values, extract(extractor, films[:1]).values)


def test_an_unknown_name_gets_the_nearest_known_one() -> None:
    with pytest.raises(SettingRefused, match=r"^extractor 'inception' is not known; the nearest is 'inception-2015'$"):
        load_extractor("inception")
    with pytest.raises(SettingRefused, match=f"known are {', '.join(KNOWN)}"):
        load_extractor("vgg")


def test_resizing_down_averages_with_antialias_and_skips_pixels_without() -> None:
    """Four pixels to one: the triangle's weights are 5 7 7 5 over 24; the two in the middle alone without it."""
    edge = torch.tensor([1.0, 0.0, 0.0, 1.0]).expand(1, 1, 4, 4)
    assert resized(edge, 1, antialias=True).item() == pytest.approx(10 / 24)
    assert resized(edge, 1, antialias=False).item() == 0


def test_resizing_up_is_the_same_either_way_and_the_right_size_is_left_alone() -> None:
    grey = torch.rand(2, 1, 16, 16)
    smooth, plain = (resized(grey, 56, antialias=antialias) for antialias in (True, False))
    torch.testing.assert_close(smooth, plain)
    assert resized(grey, 16, antialias=True) is grey
    assert torch.equal(resized(torch.full((1, 1, 9, 9), 7.0), 224, antialias=True), torch.full((1, 1, 224, 224), 7.0))
