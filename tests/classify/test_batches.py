"""Order, weights and augmentation by hand."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from radcommons.classify.batches import augmented, epoch_batches, oversampling_weights, positive_weights
from radcommons.classify.settings import Augmentation, ClassifierSettings
from radcommons.errors import TooFewImages
from radcommons.runs.distributed import Distributed

Quick = Callable[..., ClassifierSettings]
CPU = torch.device("cpu")
ALONE = Distributed(0, 1, CPU)
NAN = float("nan")


def test_an_epoch_shows_every_image_once_in_another_order_each_time(quick: Quick) -> None:
    labels = np.zeros((50, 1), np.float32)
    first, second = (epoch_batches(epoch, labels, quick(), ALONE) for epoch in (0, 1))
    assert [len(batch) for batch in first] == [17, 17, 16]
    assert sorted(np.concatenate(first)) == sorted(np.concatenate(second)) == list(range(50))
    assert not np.array_equal(np.concatenate(first), np.concatenate(second))
    again = epoch_batches(1, labels, quick(), ALONE)
    assert all(np.array_equal(a, b) for a, b in zip(second, again, strict=True))
    assert not np.array_equal(np.concatenate(first), np.concatenate(epoch_batches(0, labels, quick(seed=1), ALONE)))


def test_short_epochs_go_on_where_the_last_one_ended(quick: Quick) -> None:
    labels = np.zeros((50, 1), np.float32)
    epochs = [np.concatenate(epoch_batches(e, labels, quick(epoch_images=20), ALONE)) for e in range(5)]
    assert [len(epoch) for epoch in epochs] == [20] * 5
    assert np.bincount(np.concatenate(epochs)).tolist() == [2] * 50, "two rounds in five epochs"


@pytest.mark.parametrize(("images", "batch_size"), [(3, 2), (5, 2), (7, 2), (2, 16), (17, 16)])
def test_no_image_is_dropped_for_want_of_a_second_in_its_batch(images: int, batch_size: int, quick: Quick) -> None:
    batches = epoch_batches(0, np.zeros((images, 1), np.float32), quick(batch_size=batch_size), ALONE)
    assert sorted(np.concatenate(batches)) == list(range(images))
    assert min(map(len, batches)) >= 2, "a batch norm needs two"


def test_processes_get_equal_shares_or_are_too_many(quick: Quick) -> None:
    labels = np.zeros((50, 1), np.float32)
    for batch in epoch_batches(0, labels, quick(), Distributed(0, 3, CPU)):
        assert len(batch) % 3 == 0 and len(batch) >= 6
    with pytest.raises(TooFewImages, match="an epoch has 50 images and 30 processes need 60; start fewer processes"):
        epoch_batches(0, labels, quick(), Distributed(0, 30, CPU))


def test_oversampling_gives_both_classes_of_a_finding_a_half() -> None:
    weights = oversampling_weights(np.array([[1.0], [0], [0], [0]]))
    assert weights.tolist() == pytest.approx([1 / 2, 1 / 6, 1 / 6, 1 / 6])
    soft = oversampling_weights(np.array([[0.8], [0.2], [0], [NAN]]))
    assert soft.tolist() == pytest.approx([1 / 2, 1 / 4, 1 / 4, 0]), "an unlabelled image teaches nothing"


def test_oversampling_of_two_findings_is_the_mean_of_their_pulls() -> None:
    labels = np.array([[1.0, 0], [0, 0], [0, 1], [0, NAN]])
    pulls = np.array([(1 / 2 + 1 / 4) / 2, (1 / 6 + 1 / 4) / 2, (1 / 6 + 1 / 2) / 2, 1 / 6])
    assert oversampling_weights(labels) == pytest.approx(pulls / pulls.sum())


def test_oversampled_epochs_show_a_rare_finding_half_the_time(quick: Quick) -> None:
    labels = np.zeros((1000, 1), np.float32)
    labels[:20] = 1
    drawn = np.concatenate(epoch_batches(0, labels, quick(oversample=True), ALONE))
    assert len(drawn) == 1000
    assert 0.45 < (drawn < 20).mean() < 0.55
    assert 0.01 < (np.concatenate(epoch_batches(0, labels, quick(), ALONE)) < 20).mean() < 0.03


def test_balanced_weights_are_negatives_over_positives_of_the_known() -> None:
    labels = np.array([[1.0, 1], [0, 1], [0, 0], [0, NAN]], np.float32)
    assert positive_weights(labels, "balanced").tolist() == pytest.approx([3, 1 / 2])
    assert positive_weights(labels, 2.5).tolist() == [2.5, 2.5]


def corner_film(side: int = 64) -> torch.Tensor:
    """A black film, (1, 1, S, S), with a white spot half-way from its middle to its right edge."""
    film = torch.zeros(1, 1, side, side)
    film[..., side // 2 - 2 : side // 2 + 2, 3 * side // 4 - 2 : 3 * side // 4 + 2] = 255
    return film


def spot(film: torch.Tensor) -> tuple[float, float]:
    """(x, y) of the spot from the middle, as shares of half the side; y points down."""
    side = film.shape[-1]
    places = (torch.arange(side) + 0.5) / side * 2 - 1
    grey = film[0, 0] / film.sum()
    return float((grey.sum(0) * places).sum()), float((grey.sum(1) * places).sum())


def test_no_augmentation_leaves_the_very_image() -> None:
    grey = torch.rand(3, 1, 32, 32) * 255
    assert augmented(grey, Augmentation(), seed=0, step=0) is grey


def test_a_turn_moves_a_point_on_its_circle_and_no_further_than_the_setting() -> None:
    angles = []
    for step in range(40):
        x, y = spot(augmented(corner_film(), Augmentation(rotation=30), seed=1, step=step))
        assert np.hypot(x, y) == pytest.approx(0.5, abs=0.01)
        angles.append(np.degrees(np.arctan2(y, x)))
    assert max(map(abs, angles)) <= 30.5 and max(angles) > 15 and min(angles) < -15, "to both sides"


def test_a_shift_is_a_share_of_the_side_in_both_directions() -> None:
    moved = np.array([spot(augmented(corner_film(), Augmentation(shift=0.1), seed=1, step=s)) for s in range(40)])
    distance = (moved - [0.5, 0]) / 2  # half the side is 1
    assert np.abs(distance).max() <= 0.101
    assert (distance.max(axis=0) > 0.06).all() and (distance.min(axis=0) < -0.06).all()


def test_zoom_enlarges_and_reduces_about_the_middle() -> None:
    moved = np.array([spot(augmented(corner_film(), Augmentation(zoom=0.2), seed=1, step=s)) for s in range(40)])
    assert np.abs(moved[:, 1]).max() < 0.005
    assert 0.395 <= moved[:, 0].min() < 0.44 and 0.56 < moved[:, 0].max() <= 0.605


def test_recolouring_keeps_to_grey_levels_and_its_bounds() -> None:
    flat = torch.full((200, 1, 4, 4), 100.0)
    brighter = augmented(flat, Augmentation(brightness=20, contrast=0.5), seed=0, step=0)
    assert 75 < brighter.min() < 85 and 115 < brighter.max() < 125, "contrast does not move a flat image"
    assert torch.allclose(brighter, brighter[:, :, :1, :1].expand_as(brighter))
    extreme = augmented(torch.rand(50, 1, 8, 8) * 255, Augmentation(brightness=128, contrast=0.9), seed=0, step=0)
    assert extreme.min() == 0 and extreme.max() == 255


def test_a_step_is_changed_in_the_same_way_each_time_and_images_differ() -> None:
    film = corner_film().repeat(2, 1, 1, 1)
    moving = Augmentation(rotation=10, shift=0.1, zoom=0.1, contrast=0.2, brightness=10)
    once, again = (augmented(film, moving, seed=3, step=9) for _ in range(2))
    assert torch.equal(once, again)
    assert not torch.equal(once[0], once[1])
    assert not torch.equal(once, augmented(film, moving, seed=3, step=10))
    assert not torch.equal(once, augmented(film, moving, seed=4, step=9))
