from collections.abc import Callable

import pytest

from radcommons.compare.measures import all_measures, finding_measures, label_measures, quality_measures
from radcommons.records import AuditReport

Audit = Callable[..., AuditReport]


def test_the_better_one_is_named_only_where_the_intervals_do_not_overlap(audit: Audit) -> None:
    near, far = audit(fid=(60.0, 55.0, 65.0)), audit(fid=(80.0, 70.0, 90.0))
    assert quality_measures([near, far])[0].best == 0, "a low FID is good"
    assert quality_measures([far, near])[0].best == 1
    touching = audit(fid=(70.0, 65.0, 75.0))
    assert quality_measures([near, touching])[0].best is None
    assert quality_measures([near, touching])[0].comparable


def test_a_high_auc_of_a_label_is_better(audit: Audit) -> None:
    strong, weak = audit(label_auc=(0.9, 0.85, 0.95)), audit(label_auc=(0.6, 0.5, 0.7))
    (label,) = label_measures([weak, strong])
    assert label.best == 1 and label.finding == "Effusion" and [film.value for film in label.films if film] == [0.9] * 2


def test_of_three_the_better_one_has_to_be_apart_from_both_others(audit: Audit) -> None:
    spans = [(60.0, 55.0, 65.0), (62.0, 57.0, 67.0), (90.0, 80.0, 99.0)]
    assert quality_measures([audit(fid=span) for span in spans])[0].best is None
    assert quality_measures([audit(fid=span) for span in spans[1:]])[0].best == 0


@pytest.mark.parametrize(
    ("change", "quality", "label", "finding"),
    [
        ({"extractor": "other"}, "other features", "", "other features"),
        ({"images": 30}, "other numbers of images", "", "other numbers of images"),
        ({"judge": "another network"}, "", "other classifiers", ""),
        ({"store_manifest_sha256": "f" * 64}, "other real films", "other real films", "other real films"),
    ],
)
def test_what_was_not_measured_alike_is_not_compared_and_says_why(
    audit: Audit, change: dict[str, object], quality: str, label: str, finding: str
) -> None:
    near, far = audit(), audit(fid=(90.0, 80.0, 99.0), label_auc=(0.5, 0.4, 0.6), ratio=(9.0, 8.0, 9.5), **change)
    measures = all_measures([near, far])
    found = {name: group[0] for name, group in measures.items()}
    assert {name: measure.apart for name, measure in found.items()} == {
        "quality": quality, "labels": label, "findings": finding,
    }  # fmt: skip
    assert {name: measure.best for name, measure in found.items()} == {
        name: None if measure.apart else 0 for name, measure in found.items()
    }


def test_a_measure_without_an_interval_names_no_better_one(audit: Audit) -> None:
    precision = next(measure for measure in quality_measures([audit(), audit()]) if measure.name == "precision")
    assert precision.values[0] is not None and precision.values[0].value == 0.7
    assert not precision.comparable and precision.best is None


def test_what_one_audit_did_not_measure_is_shown_and_not_compared(audit: Audit) -> None:
    with_finding, without = audit(), audit(by_finding=(), fidelity=())
    for measure in (*label_measures([with_finding, without]), *finding_measures([with_finding, without])):
        assert measure.values[1] is None and measure.text(measure.values[1]) == "not measured"
        assert not measure.comparable and measure.apart == ""


def test_values_are_written_with_their_intervals_in_the_unit_of_the_measure(audit: Audit) -> None:
    _, excess = finding_measures([audit(), audit()])
    assert excess.text(excess.values[0]) == "20.00 (10.00 to 30.00)" and excess.counts == ("40 images",) * 2
