"""The release record: what to do next follows from the rules, and nothing of a patient is on it."""

import os
import re
from pathlib import Path

import pytest

from radcommons import audit
from radcommons.audit import release
from radcommons.audit.settings import AuditSettings
from radcommons.data.store import Store
from radcommons.errors import BadInput
from radcommons.policy.judge import judge
from radcommons.policy.settings import Policy
from radcommons.records import AuditReport, PrivacyTest, sha256_file

DAY = 1_796_000_000  # 2026-11-30, seconds since 1970


@pytest.fixture
def report(audited: Path) -> AuditReport:
    return AuditReport.read(audited / "audit.json", refused=BadInput, remedy="")


def judged(report: AuditReport, rules: Policy = Policy(), **changes: object) -> AuditReport:  # noqa: B008
    """The report with changes, judged again."""
    changed = report.model_copy(update={**changes, "settings": {**report.settings, "policy": rules.model_dump()}})
    return changed.model_copy(update={"judgement": judge(changed, rules)})


def with_p(report: AuditReport, kind: str, p: float = 1e-4) -> AuditReport:
    """The report with another p value of each test of a kind."""
    tests = [t.model_copy(update={"p_value": p}) if t.kind == kind and t.result else t for t in report.privacy]
    return judged(report, privacy=tuple(tests))


def text_of(report: AuditReport) -> str:
    return release.render(report, audited_on="2026-11-30", audit_sha256="a" * 64)


LAX = Policy(precision=None, recall=None, coverage=None, better_than_controls=False, ms_ssim_excess=None)


def test_a_record_of_what_passed_says_how_to_share_what_was_not_seen_and_who_signs(report: AuditReport) -> None:
    text = text_of(judged(report, LAX))
    assert "Privacy: passed" in text and "No rule forbids to share. The decision is yours." in text
    assert "radcommons package RUN --audit AUDIT" in text and "--allow-failed" not in text
    for part in ("What could not be detected", "What remains if it is shared", "no formal guarantee", "Signatures"):
        assert part in text
    assert "the hospital&#39;s own rules: better_than_controls False (shipped: True)" in text


def test_a_pass_is_no_good_news_where_most_attacks_are_inconclusive(report: AuditReport) -> None:
    text = text_of(report)
    assert report.mostly_inconclusive
    assert "Privacy: passed, but most tests are inconclusive</h2>" in text and 'class="verdict good"' not in text
    able = [t.model_copy(update={"detection_limit": 0.51 if t.measures_auc else 0.001}) for t in report.privacy]
    strong = judged(report, privacy=tuple(able))
    assert not strong.mostly_inconclusive and strong.judgement.privacy == "passed"
    assert "Privacy: passed</h2>" in text_of(strong) and 'class="verdict good"' in text_of(strong)


def test_a_record_of_what_fails_in_quality_alone_says_so_and_shares_only_with_the_fact_on_the_card(
    report: AuditReport,
) -> None:
    steps = release.next_steps(report)
    assert report.judgement.quality == "failed" and steps.lead.startswith("Do not share yet")
    assert steps.command is not None and steps.command.endswith("--allow-failed")
    assert steps.steps[0] == release.QUALITY


@pytest.mark.parametrize("kind", list(release.QUESTIONS))
def test_a_leak_is_not_shared_and_the_remedy_is_that_of_its_test(report: AuditReport, kind: str) -> None:
    leaky = with_p(report, kind)
    if kind == "near-duplicates":  # whose number counts
        tests = [
            test.model_copy(update={"result": test.result.model_copy(update={"value": 5.0})})
            if test.kind == kind and test.result
            else test
            for test in leaky.privacy
        ]
        leaky = judged(leaky, privacy=tuple(tests))
    steps = release.next_steps(leaky)
    assert steps.lead == "Do not share." and steps.command is None
    assert steps.steps[0] == release.REMEDIES[kind] and "audit.json" in steps.steps[-1]
    text = text_of(leaky)
    assert "radcommons package" not in text and "Privacy: failed</h2>" in text and "leak found" in text


def test_every_rule_of_privacy_has_its_remedy(report: AuditReport) -> None:
    controls = (release_control(),)
    rules = {line.rule.partition(", ")[0] for line in judged(report, controls=controls).judgement.lines
             if line.verdict == "privacy"}  # fmt: skip
    assert rules == set(release.REMEDIES)


def release_control():  # type: ignore[no-untyped-def]
    from radcommons.records import Control

    return Control(name="copies", description="", must_be_caught=True, caught_by=("near-duplicates, SSIM",))


def test_numbers_are_plain(report: AuditReport) -> None:
    text = text_of(report)
    assert f"{round(150 * (report.detection_limit or 0))} in 150 images" in text
    assert " of 100 cases (" in text and "a guess does so in 50" in text
    assert "Any leak: not even a set of copies" in text_of(judged(report, detection_limit=None))


def test_the_best_test_of_a_kind_answers_and_a_leak_before_it(report: AuditReport) -> None:
    row = next(row for row in release.questions(report).rows if row[0] == release.QUESTIONS["near-duplicates"])
    assert "no leak found" in row[1] and row[2].startswith("0 of 150 images")
    leaky = release.questions(with_p(report, "data copying")).rows
    assert "leak found" in next(row for row in leaky if row[0] == release.QUESTIONS["data copying"])[1]


def test_a_higher_count_of_another_comparison_is_told_beside_the_test_that_answers(report: AuditReport) -> None:
    kind, others = "re-identification", ("SSIM", "extractor features")

    def with_count(test: PrivacyTest) -> PrivacyTest:
        if test.kind != kind or not test.result:
            return test
        limit, value = (0.1, 3.0) if test.space in others else (0.01, 0.0)
        return test.model_copy(
            update={"detection_limit": limit, "result": test.result.model_copy(update={"value": value})}
        )

    counted = report.model_copy(update={"privacy": tuple(map(with_count, report.privacy))})
    found = next(row[2] for row in release.questions(counted).rows if row[0] == release.QUESTIONS[kind])
    assert found.startswith("0 of ") and re.search(r"by SSIM: 3 \(\d\.\d by chance\)</span>$", found)
    found = next(row[2] for row in release.questions(report).rows if row[0] == release.QUESTIONS["data copying"])
    assert "by SSIM" not in found, "z values of different features do not compare"


def test_a_row_says_how_the_other_ways_to_compare_images_ended(report: AuditReport) -> None:
    kind = "data copying"

    def changed(test: PrivacyTest) -> PrivacyTest:
        limits = {"SSIM": 0.2, "extractor features": 0.9, "re-identification features": 0.8}
        p = {"SSIM": 0.4, "extractor features": 0.03, "re-identification features": 0.6}
        if test.kind != kind or test.space is None:
            return test
        return test.model_copy(update={"detection_limit": limits[test.space], "p_value": p[test.space]})

    found = release.questions(judged(report, privacy=tuple(map(changed, report.privacy)))).rows
    row = next(row for row in found if row[0] == release.QUESTIONS[kind])
    assert "no leak found" in row[1]
    assert "inconclusive by 2 of 3 ways, no leak found by 1 of 3 ways; lowest p 0.030" in row[2]


def test_a_set_is_handed_over_as_it_is(report: AuditReport) -> None:
    steps = release.next_steps(judged(report, LAX, kind="set"))
    assert steps.command is None and "folder of images with audit.json" in steps.steps[2]


def test_no_film_no_identifier_and_no_path_is_on_it_and_it_claims_nothing(
    audited: Path, hospital: Store, report: AuditReport
) -> None:
    text = (audited / "release.html").read_text()
    assert "<img" not in text and "data:image" not in text and "simulated: no patient is behind" in text
    for column in ("image_id", "patient", "sha256"):
        assert not any(value in text for value in hospital.manifest[column])
    assert str(audited.parent) not in text and str(hospital.path.parent) not in text
    assert text.lower().count("anonym") == 1 and "It does not claim that the generator is anonymous" in text
    assert "example" not in text_of(report.model_copy(update={"simulated": False})).partition("<body>")[2]


def test_it_is_tied_to_the_record_of_the_audit_which_has_no_date(
    audited: Path, hospital: Store, short_run: Path, sizes: AuditSettings
) -> None:
    record = audited / release.RECORD
    before = (audited / "audit.json").read_bytes()
    os.utime(audited / "audit.json", (DAY, DAY))
    record.unlink()
    audit.run(short_run, hospital, audited, settings=sizes)
    text = record.read_text()
    assert "2026-11-30" in text and sha256_file(audited / "audit.json") in text
    assert (audited / "audit.json").read_bytes() == before
    again = record.stat().st_mtime_ns
    audit.run(short_run, hospital, audited, settings=sizes)
    assert record.stat().st_mtime_ns == again, "one that may be signed is not written again"


def test_what_would_have_been_missed_is_said_of_images_and_of_weights_apart(report: AuditReport) -> None:
    limits = {"membership inference: black-box": 0.64, "membership inference: white-box": 0.74, "data copying": None}
    tests = tuple(
        test.model_copy(update={"detection_limit": limits[test.kind]}) if test.kind in limits else test
        for test in report.privacy
    )
    said = list(release.undetected(judged(report, privacy=tests)))
    counts = {test.kind: test.counts.get("patients in training") for test in tests}
    attack = "An attack {} on who was in training that is right in fewer than {} of 100 such cases (tried with {} "
    for kind, words in release.WITH.items():
        begun = attack.format(words, round(100 * limits[kind]), counts[kind])
        assert any(line.startswith(begun) for line in said), begun
    assert any(s.startswith("Data copying (") and "; would not have detected even copies alone." in s for s in said)


def test_fewer_copies_are_called_missed_only_where_fewer_were_planted(report: AuditReport) -> None:
    images = report.counts["synthetic images"]
    fewest, more = (next(release.undetected(judged(report, detection_limit=n / images))) for n in (1, 15))
    assert fewest.startswith("Perhaps fewer") and "no fewer were planted" in fewest
    assert more.startswith("Fewer copies") and "planted and missed" in more
