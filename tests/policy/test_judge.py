"""The policy: what counts as a leak, what counts as good enough, and what the verdicts may say."""

import re
from pathlib import Path
from typing import get_args

import pytest

from radcommons.errors import SettingRefused
from radcommons.policy.judge import judge
from radcommons.policy.privacy import is_positive, rule_for
from radcommons.policy.settings import Policy
from radcommons.records import (
    AuditReport,
    AuditResults,
    ClientPrivacy,
    Control,
    Diversity,
    Estimate,
    FederationRecord,
    FindingDistance,
    Histogram,
    ImageSet,
    PatientsInTraining,
    PolicyLine,
    PrivacyTest,
    PrivacyTestKind,
    QualityScore,
)
from radcommons.settings import preset_path

BLACK_BOX, WHITE_BOX = "membership inference: black-box", "membership inference: white-box"
CRITIC = "membership inference: through the critic"
DUPLICATES, CLOSEST = "train-test duplicates", "distance to closest record"
NO_GENERATOR, HALVES = "sanity check: no generator", "sanity check: halves of the training part"
ACCESS = {WHITE_BOX: "weights", CRITIC: "critic", DUPLICATES: "films", NO_GENERATOR: "films", HALVES: "films"}


def found(kind: str, value: float = 0.0, p: float | None = 0.5, *, low: float | None = None, limit: float | None = None,
          expected: float | None = None) -> PrivacyTest:  # fmt: skip
    """A test that was done; by default it could have detected a small leak."""
    auc = kind.startswith(("membership", "sanity"))
    return PrivacyTest.model_validate(
        {
            "kind": kind,
            "access": ACCESS.get(kind, "samples"),
            "question": "?",
            "result": Estimate(value=value, low=low, high=None),
            "p_value": p,
            "expected": expected,
            "detection_limit": limit if limit is not None else 0.55 if auc else 0.02,
        }
    )


def skipped(kind: str, why: str = "cannot be told") -> PrivacyTest:
    values = {"kind": kind, "access": ACCESS.get(kind, "samples"), "question": "?", "skipped": why}
    return PrivacyTest.model_validate(values)


CLEAN = [
    found("data copying"),
    found(CLOSEST, 0.5),
    found("near-duplicates", 0, 1.0),
    found(BLACK_BOX, 0.51, low=0.45),
    found(DUPLICATES, 0, 1.0),
    found(NO_GENERATOR, 0.5, 0.4),
    found(WHITE_BOX, 0.5, low=0.44),
]


def instead(*tests: PrivacyTest) -> list[PrivacyTest]:
    """The clean tests, with these in place of those of their kinds."""
    return [*(test for test in CLEAN if test.kind not in {other.kind for other in tests}), *tests]


def scored(images: ImageSet, fid: float, precision: float, recall: float, coverage: float) -> QualityScore:
    return QualityScore(
        images=images, reference="held-out films", image_count=100, reference_count=100, extractor="toy",
        extractor_sha256="0" * 64, resize="none", fid=Estimate(value=fid), precision=precision, recall=recall,
        coverage=coverage,
    )  # fmt: skip


BASELINE = scored("training films", 20, 0.9, 0.8, 0.9)
BLURRED, NOISE = scored("blurred training films", 90, 0, 0, 0), scored("noise", 300, 0, 0, 0)


def of_quality(fid: float = 40, precision: float = 0.6, recall: float = 0.4, coverage: float = 0.5
               ) -> tuple[QualityScore, ...]:  # fmt: skip
    """Scores of synthetic images among those of the controls."""
    return BASELINE, scored("synthetic images", fid, precision, recall, coverage), BLURRED, NOISE


SEEN = PatientsInTraining(in_training=100, held_out=0, for_reference=0, incomparable=None)


def results(privacy: list[PrivacyTest] = CLEAN, **changes: object) -> AuditResults:
    values: dict[str, object] = {
        "subject": "run",
        "kind": "generator",
        "digest": "0" * 64,
        "findings": (),
        "resolution": 16,
        "images_seen": 9,
        "patients": SEEN,
        "trained_on_store": True,
        "store": "own",
        "store_manifest_sha256": "0" * 64,
        "counts": {"patients in training": 100, "patients held out": 30, "patients for reference": 20},
        "detection_limit": 0.05,
        "settings": {},
        "request_sha256": "0" * 64,
        "versions": {},
        "quality": of_quality(),
        "diversity": (),
        "fidelity": (),
        "privacy": privacy,
        "controls": (),
    }
    return AuditResults.model_validate({**values, **changes})


def lines_of(privacy: list[PrivacyTest] = CLEAN, rules: Policy = Policy(), **changes: object  # noqa: B008
             ) -> dict[str, PolicyLine]:  # fmt: skip
    return {line.rule: line for line in judge(results(privacy, **changes), rules).lines}


@pytest.mark.parametrize("kind", get_args(PrivacyTestKind))
def test_every_kind_of_test_has_a_rule_or_is_one_that_is_never_judged(kind: PrivacyTestKind) -> None:
    rule = rule_for(kind, Policy())
    assert (rule is None) == (kind == CRITIC)
    assert (kind in lines_of([found(kind)])) == (rule is not None)


def test_a_kind_without_a_rule_is_an_error_and_not_a_pass() -> None:
    with pytest.raises(AssertionError, match="a new attack"):
        rule_for("a new attack", Policy())  # type: ignore[arg-type]


def test_a_clean_subject_meets_every_rule() -> None:
    assert {line.outcome for line in lines_of().values()} == {"met"}
    judged = judge(results(), Policy())
    assert (judged.privacy, judged.quality, judged.broken) == ("passed", "passed", ())


@pytest.mark.parametrize(
    "leak",
    [
        found("data copying", -6.0, 1e-9),
        found("data copying by finding", -6.0, 1e-9),
        found(CLOSEST, 0.9, 1e-9),
        found("near-duplicates", 1, 0.4),
        found(BLACK_BOX, 0.56, 0.0004, low=0.52),
        found(WHITE_BOX, 0.7, 0.002, low=0.58),
    ],
    ids=lambda test: f"{test.name} {test.result.value:g}",
)
def test_a_leak_is_found_by_significance_by_a_copy_or_by_a_strong_attack(leak: PrivacyTest) -> None:
    assert is_positive(leak, Policy())
    assert lines_of(instead(leak))[leak.name].outcome == "not met"
    assert judge(results(instead(leak)), Policy()).privacy == "failed"


def test_a_strong_attack_on_few_patients_that_may_be_chance_is_no_leak() -> None:
    assert not is_positive(found(BLACK_BOX, 0.65, 0.06, low=0.47), Policy())


@pytest.mark.parametrize(
    ("blind", "able"),
    [
        (found(CLOSEST, 0.5, limit=0.6), found(CLOSEST, 0.5, limit=0.5)),
        (found(CLOSEST, 0.5).model_copy(update={"detection_limit": None}), found(CLOSEST, 0.5, limit=0.01)),
        (found(WHITE_BOX, 0.5, low=0.4, limit=0.65), found(WHITE_BOX, 0.5, low=0.4, limit=0.6)),
        (found(HALVES, 0.5, limit=0.7), found(HALVES, 0.5, limit=0.58)),
    ],
    ids=lambda test: f"{test.kind} {test.detection_limit}",
)
def test_a_test_that_would_have_missed_what_the_policy_asks_about_is_not_met_but_inconclusive(
    blind: PrivacyTest, able: PrivacyTest
) -> None:
    assert lines_of(instead(able))[able.name].outcome == "met"
    line = lines_of(instead(blind))[blind.name]
    assert line.outcome == "inconclusive" and "; would have detected: " in line.found
    judged = judge(results(instead(blind)), Policy())
    assert judged.privacy == "passed", "it is no leak, and the statement names it"
    assert (blind.access == "films") or f"missed such a leak: {blind.name}" in judged.statement


def test_a_test_that_could_hardly_detect_anything_and_still_did_is_a_leak() -> None:
    assert lines_of(instead(found(CLOSEST, 1.0, 1e-6, limit=0.9)))[CLOSEST].outcome == "not met"


def test_the_critic_is_never_judged_because_it_never_leaves() -> None:
    critic = found(CRITIC, 0.99, 1e-4, low=0.98)
    assert not is_positive(critic, Policy()) and CRITIC not in lines_of([*CLEAN, critic])


def test_a_required_test_that_was_not_done_fails_the_policy() -> None:
    privacy = instead(skipped(WHITE_BOX, "inverted_films is 0"))
    lines = lines_of(privacy)
    assert lines["required tests"].outcome == "not met" and WHITE_BOX in lines["required tests"].found
    assert lines[WHITE_BOX].outcome == "not tested"
    assert lines_of(privacy, Policy(require_weights=False))["required tests"].outcome == "met"
    assert lines_of(privacy, kind="set")["required tests"].outcome == "met", "a set has no weights"


def test_a_required_test_that_could_not_detect_in_any_space_is_named() -> None:
    blind, able = found(CLOSEST, 0.5, limit=0.9), found(CLOSEST, 0.5).model_copy(update={"space": "SSIM"})
    line = lines_of(instead(blind))["required tests"]
    assert line.outcome == "inconclusive" and CLOSEST in line.found
    assert lines_of(instead(blind, able))["required tests"].outcome == "met", "one space is enough"


@pytest.mark.parametrize("limit", [None, 0.5])
def test_an_audit_that_could_not_have_detected_copies_fails(limit: float | None) -> None:
    assert lines_of(detection_limit=limit)["detection limit"].outcome == "not met"


def test_a_control_with_the_wrong_answer_fails_the_policy() -> None:
    controls = [
        Control(name="positive control: copies", description="", must_be_caught=True, caught_by=("near-duplicates",)),
        Control(name="positive control: overfitted generator", description="", must_be_caught=True, caught_by=()),
    ]
    line = lines_of(controls=controls)["controls"]
    assert line.outcome == "not met" and "overfitted" in line.found and "copies" not in line.found
    unseen = Control(name="negative control", description="", must_be_caught=False, caught_by=("near-duplicates",))
    assert not unseen.behaved


def test_controls_without_a_negative_one_do_not_claim_one() -> None:
    copies = Control(name="positive control", description="", must_be_caught=True, caught_by=("near-duplicates",))
    unseen = Control(name="negative control", description="", must_be_caught=False, caught_by=())
    assert "the negative one passes" in lines_of(controls=[copies, unseen])["controls"].meaning
    assert "no negative control was run" in lines_of(controls=[copies])["controls"].meaning


def test_a_count_that_chance_explains_is_no_copy_and_one_that_it_does_not_is() -> None:
    by_chance, many = found("near-duplicates", 2, 0.2, expected=1.1), found("near-duplicates", 9, 1e-5, expected=1.1)
    assert not is_positive(by_chance, Policy()) and is_positive(many, Policy())
    assert not is_positive(found(DUPLICATES, 2, 0.2, expected=1.1), Policy())


@pytest.mark.parametrize("kind", ["near-duplicates", DUPLICATES])
@pytest.mark.parametrize(("limit", "over"), [(0, True), (2, True), (3, False), (100, False), (None, False)], ids=str)
def test_a_limit_of_duplicates_that_was_raised_or_switched_off_holds(kind: str, limit: int | None, over: bool) -> None:
    sure = found(kind, 3, 1e-9, expected=1e-4)
    rules = Policy(near_duplicates=limit, train_test_duplicates=limit)
    assert is_positive(sure, rules) == over
    lines = lines_of(instead(sure), rules)
    assert (kind in lines) == (limit is not None), "off: no line"
    assert limit is None or lines[kind].outcome == ("not met" if over else "met")


def test_train_test_duplicates_that_could_not_be_looked_for_break_the_policy() -> None:
    privacy = instead(skipped(DUPLICATES))
    lines = lines_of(privacy)
    assert lines[DUPLICATES].outcome == "not tested" and lines["required tests"].outcome == "not met"
    off = lines_of(privacy, Policy(train_test_duplicates=None))
    assert DUPLICATES not in off and off["required tests"].outcome == "met"


@pytest.mark.parametrize("kind", [NO_GENERATOR, HALVES])
def test_an_attack_that_finds_something_where_there_is_nothing_fails_its_sanity_check(kind: str) -> None:
    biased = found(kind, 0.8, 2e-4)
    assert lines_of(instead(biased))[kind].outcome == "not met"
    assert kind not in lines_of(instead(biased), Policy(sanity_checks=False))
    assert lines_of(instead(skipped(kind, "there is no validation part")))[kind].outcome == "not tested"


def seen(in_training: int, held_out: int = 0, reference: int = 0, why: str | None = None) -> PatientsInTraining:
    """Of 100, 30 and 20 patients."""
    return PatientsInTraining(in_training=in_training, held_out=held_out, for_reference=reference, incomparable=why)


NO_LIST = seen(0, why="it comes without patients.json")


@pytest.mark.parametrize(
    ("patients", "this_store", "outcome", "words"),
    [
        (seen(100), True, "met", "on all 100 patients in training and on none of the 30 held-out and 20 validation"),
        (seen(100, held_out=2), True, "not met", "2 of 30 held-out patients were in this generator's training"),
        (seen(100, reference=1), True, "not met", "1 of 20 validation patients was in this generator's training"),
        (seen(0), True, "not met", "none of 100 supposed training patients was in this generator's training"),
        (seen(99), True, "not met", "99 of 100 supposed training patients were in this generator's training"),
        (NO_LIST, None, "not tested", "not known: it comes without patients.json"),
        (NO_LIST, False, "not met", "names another store as its training data"),
        (NO_LIST, True, "met", "names this store as its training data"),
        (seen(0, held_out=3, why="unknown pseudonym key"), True, "not met", "3 of 30 held-out"),
        (None, None, "not tested", "not known: the report is of an earlier version"),
    ],
)
def test_the_split_is_by_patient_where_members_were_seen_and_the_others_were_not(
    patients: PatientsInTraining | None, this_store: bool | None, outcome: str, words: str
) -> None:
    audit = results(patients=patients, trained_on_store=this_store)
    judged = judge(audit, Policy())
    line = next(line for line in judged.lines if line.rule == "patient-level split")
    assert line.outcome == outcome and words in line.found
    assert judged.privacy == ("failed" if outcome == "not met" else "passed")
    assert words.lower() in judged.statement.lower()
    assert judged.statement.startswith("No leak was found") == (outcome != "not met"), "what is invalid comes first"
    off = judge(audit, Policy(patient_level_split=False))
    assert "patient-level split" not in {line.rule for line in off.lines}


def test_differential_privacy_of_a_federation_is_named_and_is_no_guarantee_to_one_patient() -> None:
    bound = ClientPrivacy(epsilon=7.9, delta=1e-5, noise_multiplier=1.0, clipping_norm=5.0, releases=9)
    shared = FederationRecord(clients=30, films=900, rounds=9, share="both", aggregation="mean", local_iterations=5)
    private = shared.model_copy(update={"privacy": bound})
    said = judge(results(federation=private), Policy()).statement
    assert "differential privacy of clients: epsilon 7.9, delta 1e-05; this audit does not check it" in said
    assert "No differential privacy was used" not in said
    assert "No differential privacy was used" in judge(results(federation=shared), Policy()).statement


def test_what_was_found_has_its_unit_and_rounding_hides_no_rule_that_is_broken() -> None:
    """0.0009 rounds to 0.001, which "at least 0.001" would seem to allow."""
    tests = instead(
        found(BLACK_BOX, 0.534, 0.0009), found("data copying", -1.26, 0.0352), found("near-duplicates", 0, 1.0)
    )
    lines = lines_of(tests)
    assert (lines[BLACK_BOX].found, lines[BLACK_BOX].outcome) == ("AUC 0.53, p < 0.001", "not met")
    assert (lines["data copying"].found, lines["data copying"].outcome) == ("z -1.3, p 0.035", "met")
    assert lines["near-duplicates"].found == "0 images, p 1.000"


def test_the_statement_does_not_count_a_test_whose_rule_is_off() -> None:
    statement = judge(results(), Policy(near_duplicates=None)).statement
    assert "No leak was found. 4 of 4 tests would have found a leak" in statement


def test_the_statement_says_what_was_tested_and_what_would_have_been_detected_and_never_more() -> None:
    clean = judge(results(), Policy())
    leaky = judge(results(instead(found("near-duplicates", 3, 0.01)), kind="set"), Policy())
    assert "No leak was found. 5 of 5 tests would have found a leak" in clean.statement
    assert "detected from 5.0% of the images on." in clean.statement
    counted = results(counts={**results().counts, "synthetic images": 600})
    assert "detected from 30 in 600 images (5.0%) on." in judge(counted, Policy()).statement
    assert leaky.privacy == "failed" and "A leak was found by: near-duplicates." in leaky.statement
    assert "No differential privacy was used" in clean.statement and "not known here" in leaky.statement
    for judged in (clean, leaky):
        assert "no formal guarantee" in judged.statement
        assert not re.search(r"anonym|\bsafe\b|\bprivate\b|no risk", judged.statement, re.IGNORECASE)


def test_an_extractor_that_does_not_tell_films_from_noise_could_not_detect() -> None:
    blind = (scored("training films", 95, 0, 0.8, 0.9), *of_quality()[1:])
    lines = lines_of(quality=blind)
    assert lines["better than controls"].outcome == lines["precision"].outcome == "inconclusive"


def test_a_report_without_controls_is_not_tested_against_them() -> None:
    lines = lines_of(quality=of_quality()[:2])
    assert lines["better than controls"].outcome == "not tested" and lines["recall"].outcome == "met"
    assert judge(results(quality=()), Policy()).quality == "not tested"


def test_images_that_are_all_alike_fail_in_diversity() -> None:
    alike = Diversity(
        finding="Nodule", pairs=9, scales=2, side=16, real=0.3, real_sd=0.1, synthetic=0.6, synthetic_sd=0.1,
        spread=Histogram(edges=(0, 1), shares={}),
    )  # fmt: skip
    assert lines_of(diversity=[alike])["diversity"].outcome == "not met"


def distance(finding: str, ratio: float, low: float) -> FindingDistance:
    return FindingDistance(
        finding=finding, image_count=40, extractor="toy", extractor_sha256="0" * 64,
        fid_ratio=Estimate(value=ratio, low=low, high=ratio + 1),
    )  # fmt: skip


def test_a_finding_that_is_drawn_badly_fails_where_the_policy_judges_findings_and_chance_does_not_explain_it() -> None:
    rules = Policy(finding_fid_ratio=2)
    good, unsure, bad = distance("Effusion", 1.5, 1.2), distance("Mass", 2.6, 1.8), distance("Nodule", 2.5, 2.2)
    few = FindingDistance(
        finding="Hernia", image_count=3, extractor="toy", extractor_sha256="0" * 64, skipped="too few films"
    )  # fmt: skip
    line = lines_of(rules=rules, by_finding=[good, unsure, few])["distance by finding"]
    assert line.outcome == "met" and line.found == "Mass 2.60, of 2 findings"
    line = lines_of(rules=rules, by_finding=[good, unsure, bad])["distance by finding"]
    assert line.outcome == "not met" and line.found.startswith("Nodule 2.50")
    assert lines_of(rules=rules, by_finding=[few])["distance by finding"].outcome == "not tested"
    assert "distance by finding" not in lines_of(by_finding=[bad]), "off unless the policy asks for it"


def test_quality_rules_can_be_switched_off() -> None:
    rules = Policy(better_than_controls=False, precision=None, recall=None, coverage=None, ms_ssim_excess=None)
    judged = judge(results(quality=of_quality(fid=400, precision=0, recall=0, coverage=0)), rules)
    assert judged.quality == "not tested" and judged.broken == ()


# ---- the record and the settings ----


def test_a_report_read_from_its_file_is_judged_again_as_it_was_and_by_other_rules() -> None:
    audit = results(instead(found("near-duplicates", 1, 0.4)))
    report = AuditReport(**dict(audit), judgement=judge(audit, Policy()))
    read = AuditReport.model_validate_json(report.to_json())
    assert judge(read, Policy()) == report.judgement and report.judgement.privacy == "failed"
    assert judge(read, Policy(near_duplicates=1)).privacy == "passed"


def test_the_shipped_policy_is_the_default_one() -> None:
    assert Policy.load(preset_path("audit-policy", "default")) == Policy()


def test_a_misspelt_rule_is_refused_with_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "ours.toml").write_text("membership_auk = 0.7\n")
    with pytest.raises(SettingRefused, match="'membership_auk' is not a setting; the nearest is 'membership_auc'"):
        Policy.load(tmp_path / "ours.toml")
