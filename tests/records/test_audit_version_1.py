"""Reports of format version 1 are read in today's words."""

import json
from pathlib import Path

import pytest

from radcommons.errors import SettingRefused
from radcommons.policy.judge import judge
from radcommons.policy.settings import Policy
from radcommons.records import AuditReport
from radcommons.records.audit_version_1 import KINDS, SPACES

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
OLD = [
    Path(__file__).parent / "audit-version-1.json",
    EXAMPLES / "audit-guangzhou-64.json",
    EXAMPLES / "audit-nih-64.json",
]


def read(path: Path) -> tuple[dict, AuditReport]:  # type: ignore[type-arg]
    old = json.loads(path.read_text())
    assert old["format_version"] == 1
    return old, AuditReport.read(path, refused=SettingRefused, remedy="")


@pytest.mark.parametrize("path", OLD, ids=lambda path: path.stem)
def test_a_report_of_version_1_keeps_its_numbers_and_its_verdict(path: Path) -> None:
    old, new = read(path)
    assert new.format_version == 2 and new.detection_limit == old["detectable_share"]
    assert new.judgement.privacy == old["verdict"] and new.judgement.statement == old["statement"]
    assert new.judgement.quality == "passed", "all that was judged, diversity, was met"
    for before, after in zip(old["privacy"], new.privacy, strict=True):
        name, _, space = before["name"].partition(", ")
        assert (after.kind, after.space) == (KINDS[name], SPACES[space] if space else None)
        kept = set(before) - {"name"}
        assert after.model_dump(mode="json", include=kept) == {key: before[key] for key in kept}
    assert len(new.judgement.lines) == len(old["policy"])
    rules = {line.rule for line in new.judgement.lines}
    assert {"near-duplicates, SSIM", "patient-level split", "sanity checks", "detection limit"} <= rules
    caught = {name for control in new.controls for name in control.caught_by}
    assert caught <= {test.name for test in new.privacy}
    assert AuditReport.model_validate_json(new.to_json()) == new


@pytest.mark.parametrize("path", OLD, ids=lambda path: path.stem)
def test_a_report_of_version_1_can_be_judged_by_today_s_rules(path: Path) -> None:
    _, new = read(path)
    judged = judge(new, Policy())
    assert judged.privacy == "passed"
    assert judged.quality == "failed", "precision and recall of these generators are near 0"
    lines = {line.rule: line.outcome for line in judged.lines}
    assert lines["distance to closest record, extractor features"] == "inconclusive"
    assert lines["better than controls"] == "not tested", "version 1 had no such controls"


def test_a_report_of_version_2_without_distances_by_finding_is_read_and_judged() -> None:
    path = Path(__file__).with_name("audit-without-distances.json")
    old = json.loads(path.read_text())
    assert old["format_version"] == 2 and "by_finding" not in old
    report = AuditReport.read(path, refused=SettingRefused, remedy="")
    assert report.by_finding == () and {test.kind for test in report.privacy}.isdisjoint({"re-identification"})
    again, then = judge(report, Policy()), report.judgement
    assert (again.privacy, again.quality) == (then.privacy, then.quality)
    assert [(line.rule, line.outcome) for line in again.lines] == [(line.rule, line.outcome) for line in then.lines]
    inconclusive = {line.rule for line in then.lines if line.outcome == "inconclusive"}
    said = {line["rule"] for line in old["judgement"]["lines"] if line["outcome"] == "could not detect"}
    assert inconclusive == said and said, "the word of earlier versions"


def test_detection_limits_are_taken_from_the_words_of_version_1() -> None:
    _, new = read(EXAMPLES / "audit-guangzhou-64.json")
    limits = {test.name: test.detection_limit for test in new.privacy}
    assert limits["membership inference: white-box"] == 0.65
    closest = limits["distance to closest record, re-identification features"]
    assert closest == pytest.approx((0.827 - 0.7656) / (1 - 0.7656), abs=0.001)


def test_a_damaged_report_of_version_1_is_refused_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "audit.json"
    path.write_text('{"format_version": 1, "verdict": "passed"}')
    with pytest.raises(SettingRefused, match=r"audit\.json is damaged; ask again"):
        AuditReport.read(path, refused=SettingRefused, remedy="ask again")
