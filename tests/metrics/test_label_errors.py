import numpy as np
import pytest

from radcommons.metrics.label_errors import (
    class_thresholds,
    confident_joint,
    detection_rate,
    label_margins,
    plant_flips,
    self_confidence,
    suspects,
    wrong_labels,
)

NAN = np.nan

# One finding: three positives of 0.9, 0.7 and 0.2, four negatives of 0.1, 0.1, 0.2 and 0.8, one unknown.
BY_HAND = np.array([[0.9], [0.7], [0.2], [0.1], [0.1], [0.2], [0.8], [0.9]])
GIVEN = np.array([[1.0], [1], [1], [0], [0], [0], [0], [NAN]])


def screened(seed: int, prevalence: float, *, images: int = 4000, findings: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """True posteriors of binormal scores two deviations apart, and true labels."""
    rng = np.random.default_rng(seed)
    labels = (rng.random((images, findings)) < prevalence).astype(float)
    scores = rng.normal(2 * labels)
    odds = prevalence / (1 - prevalence) * np.exp(2 * scores - 2)
    return odds / (1 + odds), labels


def test_self_confidence_is_the_probability_of_the_label_as_given() -> None:
    found = self_confidence(BY_HAND, GIVEN)[:, 0]
    assert found[:7] == pytest.approx([0.9, 0.7, 0.2, 0.9, 0.9, 0.8, 0.2])
    assert np.isnan(found[7])


def test_thresholds_are_the_mean_self_confidence_of_each_class() -> None:
    assert class_thresholds(BY_HAND, GIVEN)[0] == pytest.approx([0.7, 0.6])


def test_the_confident_joint_and_its_estimate_by_hand() -> None:
    """Present above 0.6, absent above 0.7: the positive of 0.2 is confidently absent, the negative of 0.8 present."""
    assert confident_joint(BY_HAND, GIVEN)[0].tolist() == [[3, 1], [1, 2]]
    assert wrong_labels(BY_HAND, GIVEN)[0] == pytest.approx([1, 1])
    assert sorted(suspects(BY_HAND, GIVEN).tolist()) == [[2, 0], [6, 0]]


def test_an_image_above_both_thresholds_counts_for_the_more_probable_class() -> None:
    """Thresholds 0.4 and 0.4: the negative of 0.55 is above both, and counts as present."""
    probabilities, labels = np.array([[0.55], [0.65], [0.4]]), np.array([[0.0], [0], [1]])
    assert confident_joint(probabilities, labels)[0].tolist() == [[0, 2], [1, 0]]


def test_images_that_are_confidently_of_neither_class_are_scaled_up_to_the_labels_given() -> None:
    """Of six negatives two are confident, one of them of the other class: three wrong ones are estimated."""
    probabilities = np.array([[0.05], [0.9], [0.5], [0.5], [0.5], [0.5], [0.8]])
    labels = np.array([[0.0], [0], [0], [0], [0], [0], [1]])
    assert confident_joint(probabilities, labels)[0].tolist() == [[1, 1], [0, 1]]
    assert wrong_labels(probabilities, labels)[0] == pytest.approx([3, 0])


def test_margins_by_hand_are_measured_from_each_class_threshold() -> None:
    """The positive of 0.2: (0.2 - 0.6) - (0.8 - 0.7); the negative of 0.8: (0.2 - 0.7) - (0.8 - 0.6)."""
    margins = label_margins(BY_HAND, GIVEN)[:, 0]
    assert margins[2] == pytest.approx(-0.5)
    assert margins[6] == pytest.approx(-0.7)
    assert margins[0] == pytest.approx((0.9 - 0.6) - (0.1 - 0.7))


def test_a_finding_that_lacks_a_class_has_no_suspects_and_no_estimate() -> None:
    labels = np.where(np.isnan(GIVEN), NAN, 0)
    assert confident_joint(BY_HAND, labels).sum() == 0
    assert len(suspects(BY_HAND, labels)) == 0
    assert np.isnan(wrong_labels(BY_HAND, labels)).all()
    assert np.isnan(label_margins(BY_HAND, labels)).all()


def test_planted_flips_are_a_share_of_the_rarer_class_in_both_and_leave_unknowns() -> None:
    labels = np.repeat([[1.0], [0.0], [NAN]], [20, 60, 5], axis=0)
    given, flipped = plant_flips(labels, share=0.1, rng=np.random.default_rng(0))
    assert flipped[:20].sum() == 2 and flipped[20:80].sum() == 2 and not flipped[80:].any()
    assert np.nansum(given) == 20
    assert np.array_equal(given[flipped], 1 - labels[flipped])
    assert np.array_equal(given[~flipped], labels[~flipped], equal_nan=True)


def test_flips_of_a_classifier_that_separates_the_classes_rank_first() -> None:
    rng = np.random.default_rng(1)
    labels = np.repeat([[1.0], [0.0]], [100, 300], axis=0)
    probabilities = np.where(labels == 1, rng.uniform(0.8, 1, (400, 1)), rng.uniform(0, 0.2, (400, 1)))
    given, flipped = plant_flips(labels, share=0.1, rng=rng)
    margins = label_margins(probabilities, given)
    assert flipped[np.argsort(margins[:, 0])[:20]].all()
    found = suspects(probabilities, given)
    assert flipped[found[:, 0], 0].all() and len(found) > 15
    assert found[0, 0] == np.argmin(margins[:, 0])
    assert detection_rate(margins, given, flipped, false_alarm_rate=0).tolist() == [1, 1]


@pytest.mark.parametrize("prevalence", [0.5, 0.1, 0.03])
def test_clean_labels_have_few_suspects_in_either_class_at_every_prevalence(prevalence: float) -> None:
    probabilities, labels = screened(2, prevalence, images=20_000)
    found = suspects(probabilities, labels)
    of_present = labels[found[:, 0], found[:, 1]] == 1
    assert of_present.sum() / (labels == 1).sum() < 0.2
    assert (~of_present).sum() / (labels == 0).sum() < 0.2


def test_at_a_low_prevalence_one_threshold_for_all_would_suspect_most_positives() -> None:
    probabilities, labels = screened(3, 0.03, images=20_000)
    present = labels == 1
    assert (probabilities[present] < 0.5).mean() > 0.7
    assert (label_margins(probabilities, labels)[present] < 0).mean() < 0.5


@pytest.mark.parametrize("prevalence", [0.5, 0.1, 0.05])
def test_flips_of_either_class_are_found_as_often_at_every_prevalence(prevalence: float) -> None:
    """Scores two deviations apart: beyond the 5% the power is Phi(2 - 1.645) = 0.64."""
    probabilities, labels = screened(4, prevalence, images=20_000)
    given, flipped = plant_flips(labels, share=0.1, rng=np.random.default_rng(5))
    for finding in range(2):
        column = slice(finding, finding + 1)
        margins = label_margins(probabilities[:, column], given[:, column])
        parts = given[:, column], flipped[:, column]
        rates = np.array([detection_rate(margins, *parts, false_alarm_rate=rate) for rate in (0.01, 0.05, 0.2)])
        assert (np.diff(rates, axis=0) >= 0).all()
        assert rates[1] == pytest.approx([0.64, 0.64], abs=0.15)


def test_the_estimate_is_exact_where_every_image_is_as_clear_as_the_next() -> None:
    labels = np.repeat([[1.0], [0.0]], [100, 300], axis=0)
    given, _ = plant_flips(labels, share=0.1, rng=np.random.default_rng(7))
    assert wrong_labels(np.where(labels == 1, 0.9, 0.1), given)[0] == pytest.approx([10, 10])


@pytest.mark.parametrize("prevalence", [0.5, 0.05])
def test_flips_raise_the_estimate_of_wrong_labels(prevalence: float) -> None:
    probabilities, labels = screened(4, prevalence)
    given, _ = plant_flips(labels, share=0.2, rng=np.random.default_rng(5))
    assert (wrong_labels(probabilities, given) > wrong_labels(probabilities, labels)).all()


def test_probabilities_that_say_nothing_find_flips_by_chance() -> None:
    rng = np.random.default_rng(6)
    labels = (rng.random((20_000, 1)) < 0.3).astype(float)
    given, flipped = plant_flips(labels, share=0.3, rng=rng)
    margins = label_margins(rng.random((20_000, 1)), given)
    rates = detection_rate(margins, given, flipped, false_alarm_rate=0.1)
    assert rates == pytest.approx([0.1, 0.1], abs=0.03)


def test_without_flips_there_is_no_detection_rate() -> None:
    margins = label_margins(BY_HAND, GIVEN)
    assert np.isnan(detection_rate(margins, GIVEN, np.zeros((8, 1), bool), false_alarm_rate=0.1)).all()
