import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from radcommons.errors import TooFewImages
from radcommons.metrics.thresholds import Confusion, confusion, corner_threshold, youden_threshold

NAN = np.nan


def of_one_finding(scores: list[float], labels: list[float], threshold: float) -> Confusion:
    return confusion(np.array(scores)[:, None], np.array(labels)[:, None], np.array([threshold]))


def as_numbers(counts: Confusion) -> dict[str, float]:
    names = ("accuracy", "sensitivity", "specificity", "ppv", "npv", "f1")
    return {name: getattr(counts, name).item() for name in names}


def test_the_measures_of_ten_images_by_hand() -> None:
    """3 found, 1 missed, 2 false alarms, 4 passed over; a score at the threshold raises an alarm."""
    scores = [9, 8, 5, 1, 7, 5, 4, 3, 2, 1]
    found = as_numbers(of_one_finding(scores, [1] * 4 + [0] * 6, 5))
    expected = {"accuracy": 0.7, "sensitivity": 3 / 4, "specificity": 4 / 6, "ppv": 3 / 5, "npv": 4 / 5, "f1": 6 / 9}
    assert found == pytest.approx(expected)


def test_an_unknown_label_changes_nothing() -> None:
    with_it = of_one_finding([9, 1, 5, 9, 1], [1, 0, 1, NAN, NAN], 4)
    assert as_numbers(with_it) == as_numbers(of_one_finding([9, 1, 5], [1, 0, 1], 4))


def test_what_is_undefined_is_nan_and_the_rest_stays() -> None:
    silent = as_numbers(of_one_finding([1, 2], [0, 0], 5))
    assert [name for name, value in silent.items() if np.isnan(value)] == ["sensitivity", "ppv", "f1"]
    assert silent["specificity"] == silent["npv"] == silent["accuracy"] == 1
    loud = as_numbers(of_one_finding([1, 2], [1, 1], 0))
    assert [name for name, value in loud.items() if np.isnan(value)] == ["specificity", "npv"]
    assert all(np.isnan(value) for value in as_numbers(of_one_finding([1, 2], [NAN, NAN], 0)).values())


def test_a_classifier_that_finds_no_positive_but_calls_some_has_an_f1_of_zero() -> None:
    assert of_one_finding([1, 9], [1, 0], 5).f1.item() == 0


def test_every_finding_at_its_own_threshold_equals_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    scores, labels = rng.integers(0, 9, (400, 3)) / 8, rng.integers(0, 2, (400, 3)).astype(float)
    labels[rng.random((400, 3)) < 0.2] = NAN
    thresholds = np.array([0.25, 0.5, 0.75])
    ours = confusion(scores, labels, thresholds)
    for f in range(3):
        known = ~np.isnan(labels[:, f])
        truth, alarm = labels[known, f], scores[known, f] >= thresholds[f]
        (tn, fp), (fn, tp) = sklearn_metrics.confusion_matrix(truth, alarm)
        parts = (ours.true_positive, ours.false_positive, ours.false_negative, ours.true_negative)
        assert [int(part[f]) for part in parts] == [tp, fp, fn, tn]
        assert ours.accuracy[f] == pytest.approx(sklearn_metrics.accuracy_score(truth, alarm))
        assert ours.sensitivity[f] == pytest.approx(sklearn_metrics.recall_score(truth, alarm))
        assert ours.specificity[f] == pytest.approx(sklearn_metrics.recall_score(truth, alarm, pos_label=0))
        assert ours.ppv[f] == pytest.approx(sklearn_metrics.precision_score(truth, alarm))
        assert ours.npv[f] == pytest.approx(sklearn_metrics.precision_score(truth, alarm, pos_label=0))
        assert ours.f1[f] == pytest.approx(sklearn_metrics.f1_score(truth, alarm))


def test_the_two_rules_choose_differently_where_one_point_is_high_and_another_near_the_corner() -> None:
    """At 8: TPR 0.6, FPR 0, so J 0.6 and distance 0.4. At 7: TPR 0.7, FPR 0.15, so J 0.55 and distance 0.335."""
    labels = np.repeat([1.0, 0.0], [10, 20])
    scores = np.array([8.0] * 6 + [7.0] + [0.0] * 3 + [7.0] * 3 + [0.0] * 17)
    assert youden_threshold(scores, labels) == 8
    assert corner_threshold(scores, labels) == 7


@pytest.mark.parametrize("seed", range(5))
def test_both_rules_find_the_best_point_of_scikit_learns_curve(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, 300).astype(float)
    scores = np.round(rng.normal(labels), 1)
    labels[rng.random(300) < 0.2] = NAN
    known = ~np.isnan(labels)
    fpr, tpr, thresholds = sklearn_metrics.roc_curve(labels[known], scores[known], drop_intermediate=False)
    assert youden_threshold(scores, labels) == thresholds[np.argmax(tpr - fpr)]
    assert corner_threshold(scores, labels) == thresholds[np.argmin(np.hypot(fpr, 1 - tpr))]


def test_a_threshold_chosen_on_the_test_set_itself_looks_better_than_one_from_validation() -> None:
    """Scores that say nothing: on new images J is 0 on average; on those that chose the threshold it is not."""
    rng = np.random.default_rng(1)
    honest, flattered = [], []
    for _ in range(200):
        labels, scores = rng.integers(0, 2, (2, 60)).astype(float), rng.random((2, 60))
        threshold = youden_threshold(scores[0], labels[0])
        for which, into in ((0, flattered), (1, honest)):
            counts = confusion(scores[which, :, None], labels[which, :, None], np.array([threshold]))
            into.append(float((counts.sensitivity + counts.specificity - 1).item()))
    assert abs(np.mean(honest)) < 0.03
    assert np.mean(flattered) > 0.15


@pytest.mark.parametrize("rule", [youden_threshold, corner_threshold])
def test_a_validation_set_of_one_class_is_refused_with_its_numbers(rule: object) -> None:
    assert callable(rule)
    with pytest.raises(
        TooFewImages, match="needs both classes, but the validation set has 2 positives and 0 negatives"
    ):
        rule(np.array([0.1, 0.2, 0.3]), np.array([1, 1, NAN]))
