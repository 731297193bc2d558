"""From trained arms to the record: what an arm is made of, and how alike its positives are."""

import numpy as np
import pytest

from radcommons.classify.training_data import Examples, of_images
from radcommons.experiments.results import composition, diversity
from radcommons.metrics.ssim import ms_ssim


def images(
    count: int, *, side: int = 32, seed: int = 0, source: str = "films", positives: int | None = None
) -> Examples:
    """Noise about one finding; the first `positives` have it, by default all."""
    drawn = np.random.default_rng(seed).integers(0, 256, (count, side, side), np.uint8)
    labels = (np.arange(count) < (count if positives is None else positives)).astype(np.float32)[:, None]
    return of_images(source, drawn, labels, ["Effusion"], f"{source}/{seed}")


def test_composition_counts_with_and_without_of_films_and_of_synthetic_images() -> None:
    parts = [images(5, positives=2), images(3, positives=0), images(4, source="synthetic run", positives=1)]
    assert composition(parts) == {
        "real without": 6, "real with": 2, "synthetic without": 3, "synthetic with": 1
    }  # fmt: skip


def test_for_several_findings_composition_counts_all() -> None:
    two = of_images("films", np.zeros((3, 32, 32), np.uint8), np.zeros((3, 2), np.float32), ["A", "B"], "x")
    assert composition([two, two]) == {"real all": 6}


def test_of_two_positives_diversity_is_their_ms_ssim() -> None:
    part = images(6, positives=2)
    expected = ms_ssim(part.images[:1].astype(float), part.images[1:2].astype(float))[0]
    assert diversity([part], side=32, pairs=10, seed=0) == pytest.approx((expected, 0), abs=1e-6)


def test_copies_of_an_image_are_no_pair_and_negatives_do_not_count() -> None:
    part = images(6, positives=2)
    repeated = part.take(np.array([0, 0, 0, 1, 1, 4, 5]))
    assert diversity([repeated], side=32, pairs=50, seed=0) == pytest.approx(
        diversity([part], side=32, pairs=50, seed=0), abs=1e-9
    )
    assert diversity([part.take(np.array([0, 0, 3]))], side=32, pairs=50, seed=0) is None


def test_alike_positives_have_a_higher_ms_ssim_than_different_ones() -> None:
    different = images(8)
    blended = (0.5 * different.images + 0.5 * different.images[:1]).astype(np.uint8)
    alike = of_images("films", blended, different.labels, ["Effusion"], "alike")
    high, low = (diversity([part], side=32, pairs=30, seed=0) for part in (alike, different))
    assert high is not None and low is not None and high[0] > low[0] + 0.1


def test_images_of_two_sides_are_compared_as_the_classifier_sees_them() -> None:
    small = images(1, side=32)
    doubled = of_images("synthetic run", small.images.repeat(2, 1).repeat(2, 2), small.labels, ["Effusion"], "doubled")
    found = diversity([small, doubled], side=32, pairs=5, seed=0)
    assert found is not None and found[0] > 0.9, "the same picture at twice the side"


def test_no_pairs_no_diversity() -> None:
    assert diversity([images(5)], side=32, pairs=0, seed=0) is None
