from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from radcommons.pool.pool import Pool

Images = dict[bytes, tuple[float, ...]]


@pytest.fixture
def pool(two_sites: tuple[Path, Path]) -> Pool:
    return Pool.of(*two_sites, total_images=700, seed=4)


def keys(images: torch.Tensor) -> list[bytes]:
    return [(image * 255).round().to(torch.uint8).numpy().tobytes() for image in images]


def test_every_image_of_the_set_comes_once_with_its_labels(pool: Pool) -> None:
    expected = {}
    for batch in pool.batches():
        expected |= {image.tobytes(): labels for image, labels in zip(batch.images, batch.labels, strict=True)}
    seen = Counter()
    for image, labels in pool.as_torch_dataset():
        assert image.shape == (1, 16, 16) and image.dtype == torch.float32 and 0 <= image.min() <= image.max() <= 1
        (key,) = keys(image)
        assert np.array_equal(labels.numpy(), expected[key], equal_nan=True)
        seen[key] += 1
    assert seen.keys() == expected.keys() and seen.total() == len(pool)


def test_a_batch_mixes_the_generators_and_keeps_unknown_labels(pool: Pool) -> None:
    images, labels = next(iter(DataLoader(pool.as_torch_dataset(), batch_size=64)))
    of_a = labels[:, pool.findings.index("Mass")].isnan().logical_not()
    assert images.shape == (64, 1, 16, 16) and 10 < int(of_a.sum()) < 54
    assert torch.equal(of_a, labels[:, pool.findings.index("Pneumonia")].isnan())


def test_the_order_follows_seed_and_epoch(pool: Pool) -> None:
    def order(seed: int, epoch: int) -> list[bytes]:
        dataset = pool.as_torch_dataset(seed=seed)
        dataset.set_epoch(epoch)
        return keys(torch.cat([image for image, _ in dataset]))

    first = order(0, 0)
    assert first == order(0, 0) and len({tuple(order(0, 1)), tuple(order(1, 0)), tuple(first)}) == 3
    assert Counter(order(0, 1)) == Counter(first)


def test_the_processes_of_a_loader_share_the_images(pool: Pool) -> None:
    loader = DataLoader(pool.as_torch_dataset(), batch_size=50, num_workers=2)
    found = Counter(key for images, _ in loader for key in keys(images))
    assert found == Counter(image.tobytes() for batch in pool.batches() for image in batch.images)


def test_a_dataset_draws_only_as_far_as_it_is_read(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[int] = []
    kind = type(pool.generators[0])
    draw: Callable[..., np.ndarray] = kind.draw
    monkeypatch.setattr(kind, "draw", lambda self, *inputs: drawn.append(1) or draw(self, *inputs))
    dataset = Pool.of(*(str(g.folder) for g in pool.generators), total_images=20_000).as_torch_dataset()
    next(iter(dataset))
    assert len(drawn) <= 20
