"""Re-identification: the count of images that would be taken for a patient in training."""

from dataclasses import replace

import numpy as np
import pytest

from radcommons.audit.inputs.privacy import PrivacyInputs
from radcommons.audit.neighbours.nearest import Nearest
from radcommons.audit.permutation import Permutation
from radcommons.audit.tests import reidentification
from radcommons.audit.tests.reidentification import match_threshold, matches
from radcommons.records import PrivacyTest, Space

SPACE: Space = "re-identification features"


def of(inputs: PrivacyInputs, copies: int) -> PrivacyTest:
    """The test of a generator's images, the last of which are replaced by slightly changed copies of training films.

    Each is a copy of a film of another patient: copies of one patient's films are one leak, not several.
    """
    clean, copied = inputs.synthetic[SPACE], inputs.copies[SPACE]
    _, one_of_each = np.unique(inputs.real.train.patients[copied.to_train.rows[:, 0]], return_index=True)
    assert copies <= len(one_of_each)
    kept = np.arange(len(clean.images) - copies)
    images = clean.take(kept).then(copied.take(one_of_each[:copies]))
    (found,) = reidentification.tests(SPACE, images, inputs, np.random.default_rng(4))
    return found


def test_images_of_a_generator_that_copies_nothing_are_taken_for_nobody_more_than_by_chance(
    inputs: PrivacyInputs,
) -> None:
    found = of(inputs, 0)
    assert found.result is not None and found.p_value is not None and found.expected is not None
    assert found.p_value > 0.01
    assert found.details["highest of an image"] == pytest.approx(inputs.synthetic[SPACE].to_train.best.max())
    assert found.details["share of held-out films above it"] < 0.2


def test_as_many_copies_as_the_detection_limit_says_are_found_and_half_of_them_are_not(inputs: PrivacyInputs) -> None:
    limit = of(inputs, 0).detection_limit
    assert limit is not None and limit < 0.5
    count = round(limit * len(inputs.synthetic[SPACE].images))
    few, many = of(inputs, count // 2), of(inputs, round(1.2 * count))
    assert few.p_value is not None and many.p_value is not None and many.result is not None
    assert many.p_value < inputs.significance < few.p_value
    assert many.result.value >= 0.9 * count, "nearly each copy counts"
    assert many.details["highest of an image"] > few.details["highest of a held-out film"]


def test_a_lower_significance_needs_more_copies(inputs: PrivacyInputs) -> None:
    strict, lax = (of(replace(inputs, significance=p), 0).detection_limit for p in (0.001, 0.05))
    assert strict is not None and lax is not None and lax < strict


FILMS = Permutation(  # four patients of one film each, the first two in training
    patients=np.arange(4),
    is_member=np.array([True, True, False, False]),
    similarity=np.array([[0.5], [0.5], [0.7], [0.7]]),
    rows=np.array([[1], [0], [3], [2]]),
)


def test_an_image_counts_if_its_nearest_film_lies_above_the_threshold_and_was_in_training() -> None:
    nearest = Nearest(np.array([[0.9, 0.8], [0.9, 0.8], [0.4, 0.3]]), np.array([[0, 2], [3, 1], [0, 1]]))
    counts = matches(FILMS, nearest, 0.6, permutations=600, rng=np.random.default_rng(0))
    assert counts.found == 1, "the second is nearest to a held-out film, the third to none"
    assert counts.permuted.mean() == pytest.approx(2 * 1 / 2, abs=0.1), "two of four patients are in training"


def test_the_threshold_leaves_the_rate_of_films_above_it_whoever_was_in_training() -> None:
    films = replace(FILMS, similarity=np.linspace(0, 1, 1001)[:, None])
    assert match_threshold(films, 0.01) == pytest.approx(0.99)
    assert match_threshold(replace(films, is_member=~films.is_member), 0.01) == pytest.approx(0.99)
