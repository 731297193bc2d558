"""The answers at the top of the demo's page follow from the results, whatever these are."""

from collections.abc import Callable
from typing import Any

import pytest

from radcommons.demo.answers import answers, as_text, helps, labels, leaks, may_leave, next_step
from radcommons.demo.results import AuditResult, DemoResult, LabelEffect, LeakTest
from radcommons.experiments.conclusions import enrich_sentence
from radcommons.records import Arm, Comparison, Estimate, ExperimentResult, PolicyLine

WHITE, BLACK, CRITIC = (f"membership inference: {how}" for how in ("white-box", "black-box", "through the critic"))


def leak_test(kind: str, outcome: str | None = "met", limit: float | None = 0.6, auc: float | None = None) -> LeakTest:
    return LeakTest.model_validate(
        {
            "name": f"{kind}, SSIM",
            "kind": kind,
            "question": "Does it?",
            "is_attack": kind not in (CRITIC, "train-test duplicates"),
            "outcome": outcome,
            "found": f"what {kind} found",
            "all_ways": "",
            "detectable": f"an AUC of {limit} or more",
            "limit": limit,
            "auc": None if auc is None else Estimate(value=auc, low=auc - 0.1, high=auc + 0.1),
        }
    )


def rule(name: str, verdict: str = "privacy", outcome: str = "not met") -> PolicyLine:
    values = {"rule": name, "verdict": verdict, "meaning": "", "limit": "", "found": "", "outcome": outcome}
    return PolicyLine.model_validate(values)


def audit(site: str = "A", **changes: Any) -> AuditResult:
    values: dict[str, Any] = {
        "site": site, "privacy": "passed", "statement": "", "quality": "passed", "quality_statement": "",
        "page": f"audit-{site.lower()}/report.html", "release": f"audit-{site.lower()}/release.html", "copies": 0.005,
        "images": 600, "leak_size": "an AUC of 0.6", "undetected": [], "lines": [], "controls": [],
        "tests": [leak_test("near-duplicates"), leak_test(BLACK, auc=0.53)],
    }  # fmt: skip
    return AuditResult.model_validate({**values, **changes})


def test_no_leak_is_told_with_what_would_have_been_found_and_the_best_attack() -> None:
    weaker = audit("B", copies=0.01, tests=[leak_test(BLACK, auc=0.51), leak_test(CRITIC, None, auc=0.9)])
    answer = leaks([audit(), weaker])
    assert (answer.outcome, answer.mark) == ("no leak found", "passed")
    assert answer.sentence == (
        "Copies of training films would have been found from 6 in 600 images (1.0%) on, and the best attack on who was "
        "in training, with images or weights (generator A) is right in 53 of 100 cases (43 to 63), a guess in 50."
    ), "the weaker of both audits; not the critic, which stays in the hospital"
    films = leak_test("train-test duplicates", "inconclusive")  # no attack
    blind = audit("B", tests=[leak_test(BLACK, "inconclusive"), leak_test(WHITE), leak_test(CRITIC, None), films])
    half = leaks([audit(), blind])
    assert half.outcome == "no leak found" and half.sentence.endswith(
        "; but in generator B 1 of 2 tests is inconclusive: alone, each would have missed the leak that the policy "
        "asks about (an AUC of 0.6)."
    )


def test_no_leak_is_not_good_news_if_most_tests_would_have_missed_one() -> None:
    tests = [leak_test("near-duplicates"), *(leak_test(kind, "inconclusive") for kind in (BLACK, WHITE))]
    answer = leaks([audit(), audit("B", tests=tests)])
    assert (answer.outcome, answer.mark) == ("no leak found, but most tests are inconclusive", "inconclusive")


def test_a_leak_names_generator_test_and_number() -> None:
    leaking = audit("B", privacy="failed", tests=[leak_test("near-duplicates", "not met")])
    answer = leaks([audit(), leaking])
    assert (answer.outcome, answer.mark) == ("yes", "failed")
    assert answer.sentence == "A leak was found in generator B by near-duplicates, SSIM (what near-duplicates found)."
    assert may_leave(leaking).outcome == "no" and may_leave(leaking).mark == "failed"
    assert "near-duplicates, SSIM (what near-duplicates found)" in may_leave(leaking).sentence


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        (
            {"privacy": "failed", "lines": [rule("controls"), rule("detection limit")]},
            "controls and detection limit not met",
        ),
        ({"copies": None}, "not even copies alone would have been found"),
    ],
)
def test_an_audit_that_proves_nothing_is_no_pass(changes: dict[str, Any], why: str) -> None:
    unsure = audit("B", **changes)
    answer = leaks([audit(), unsure])
    assert (answer.outcome, answer.mark) == ("not known", "inconclusive")
    assert answer.sentence == f"No test found a leak, but nothing is proved about generator B ({why})."
    assert may_leave(unsure).outcome == "no" and why in may_leave(unsure).sentence


def test_a_generator_may_leave_only_if_privacy_and_quality_passed_and_blind_tests_are_counted() -> None:
    good = may_leave(audit())
    assert (good.question, good.outcome) == ("May generator A leave hospital A?", "yes, by the rules")
    assert "from 3 in 600 images (0.5%) on" in good.sentence and "a person has to decide" in good.sentence
    assert "missed" not in good.sentence and good.place == "audit-a/report.html"
    poor = may_leave(audit(quality="failed", lines=[rule("precision", "quality"), rule("recall", "quality")]))
    assert (poor.outcome, poor.mark) == ("not yet", "partly learned")
    assert "Quality failed: precision and recall not met." in poor.sentence
    blind = may_leave(audit(tests=[leak_test("near-duplicates"), leak_test(WHITE, "inconclusive", 0.74)]))
    assert "But 1 of 2 tests is inconclusive: alone, each would have missed the leak" in blind.sentence


def effect(outcome: str, auroc: float = 0.9, finding: str = "Nodule", site: str = "A") -> LabelEffect:
    values = {"outcome": outcome, "auroc": auroc, "finding": finding, "site": site, "reason": "it is so", "judge": ""}
    return LabelEffect.model_validate({**values, "on_images": None, "on_films": None})


@pytest.mark.parametrize(
    ("outcomes", "answer", "told"),
    [
        (["learned", "learned"], ("yes", "learned"), "2 learned"),
        (["learned", "learned", "not learned"], ("most", "partly learned"), "2 learned, 1 not learned"),
        (["learned", "cannot tell"], ("some", "partly learned"), "1 learned, 1 cannot tell"),
        (["partly learned", "not learned"], ("some", "partly learned"), "1 partly learned, 1 not learned"),
        (["not learned", "cannot tell"], ("no", "not learned"), "1 not learned, 1 cannot tell"),
        (["cannot tell"], ("not known", "cannot tell"), "1 cannot tell"),
    ],
)
def test_labels_are_counted(outcomes: list[str], answer: tuple[str, str], told: str) -> None:
    found = labels([effect(outcome, 0.6 + 0.1 * i) for i, outcome in enumerate(outcomes)])
    assert (found.outcome, found.mark) == answer
    assert f"f {len(outcomes)} labels, {told}; " in found.sentence and "from 0.60 to 0." in found.sentence


def test_the_findings_that_were_learned_are_named_with_their_generators() -> None:
    effects = [effect("learned", finding=f, site=s) for f in ("Edema", "Mass") for s in "AB"]
    effects += [effect("learned"), effect("not learned", site="B"), effect("cannot tell", finding="Hernia")]
    named = "Learned: Edema (A and B), Mass (A and B) and Nodule (A); of 7 labels, 5 learned, 1 not learned, "
    assert labels(effects).sentence.startswith(named)


@pytest.fixture
def experiment() -> Callable[..., ExperimentResult]:
    def make(low: float, high: float, verdict: str, *, caused: bool = True) -> ExperimentResult:
        def compared(against: str, verdict: str) -> Comparison:
            values: dict[str, Any] = dict.fromkeys(("p_value", "p_corrected", "p_permutation", "p_delong"), 0.5)
            e = Estimate(value=(low + high) / 2, low=low, high=high)
            named = {"arm": "enriched", "against": against, "finding": "Effusion", "difference": e, "verdict": verdict}
            return Comparison.model_validate({**values, **named, "detectable": 0.17})

        baseline, control = compared("real only", verdict), compared("oversampled", "better" if caused else "undecided")
        auc = {"Effusion": Estimate(value=0.7, low=0.6, high=0.8)}
        arm = Arm(name="real only", description="", images={"real with": 1, "real without": 1}, auc=auc,
                  aucs={"Effusion": (0.7,)}, diversity=None, diversity_sd=None, epochs=1)  # fmt: skip
        return ExperimentResult(
            experiment="enrich", sentence=enrich_sentence(baseline, [control], None), notes=(), test_images=9,
            test_patients=9, test_positives={"Effusion": 3}, arms=(arm,), comparisons=(baseline, control),
            relevant=0.02, settings={}, versions={},
        )  # fmt: skip

    return make


@pytest.mark.parametrize(
    ("verdict", "outcome", "words"),
    [
        ("better", "yes", "raised the AUC by +0.050 (+0.030 to +0.070). Every control without synthetic images stayed"),
        ("worse", "no, they harm", "lowered the AUC by +0.050 (+0.030 to +0.070)."),
        ("undecided", "undecided", "do not show that synthetic images help: AUC difference +0.050 (+0.030 to +0.070)"),
        ("no relevant difference", "they change nothing that matters", "changed nothing that matters: AUC difference"),
    ],
)
def test_whether_they_help_is_the_experiments_own_sentence(
    experiment: Callable[..., ExperimentResult], verdict: str, outcome: str, words: str
) -> None:
    found = helps(experiment(0.03, 0.07, verdict))
    assert (found.outcome, found.mark) == (outcome, verdict) and words in found.sentence


def test_a_gain_without_a_cause_says_so(experiment: Callable[..., ExperimentResult]) -> None:
    assert "It is not shown that the synthetic images caused the gain" in helps(
        experiment(0.03, 0.07, "better", caused=False)
    ).sentence  # fmt: skip


def test_the_next_command_has_its_full_path_and_what_may_not_be_shared_is_named() -> None:
    found = next_step([audit(quality="failed", lines=[rule("recall", "quality")]), audit("B")], ".venv/bin/radcommons")
    assert found.commands[0].startswith(".venv/bin/radcommons data import dicom ")
    assert all(command.startswith(".venv/bin/radcommons ") for command in found.commands)
    assert found.sentence.startswith("Do not share generator A yet: what to do first is in the release records. ")
    assert "Do not share" not in next_step([audit(), audit("B")], "radcommons").sentence


def test_the_terminal_gets_four_answers_what_to_open_and_the_next_command(
    experiment: Callable[..., ExperimentResult],
) -> None:
    result = DemoResult(
        program=".venv/bin/radcommons", report="my demo/report.html", synthetic_set="my demo/synthetic",
        synthetic_images=800, study="my demo/study", resolution=32, sites=[], effects=[effect("learned")],
        audits=[audit()], published=[], experiment=experiment(0.0, 0.1, "undecided"), seconds={},
    )  # fmt: skip
    lines = as_text(result).splitlines()
    questions = [
        "Does anything leak? No leak found.",
        "Did the labels work? Yes.",
        "Do synthetic films help? Undecided.",
        "What next? Your own films.",
    ]
    assert all(line.startswith(question) for line, question in zip(lines, questions, strict=False))
    assert [a.question for a in answers(result)] == [question.partition("?")[0] + "?" for question in questions]
    assert lines[5].split(maxsplit=1) == ["open", "my demo/report.html"]
    assert lines[6].split(maxsplit=1)[1].startswith(".venv/bin/radcommons data import dicom")
    assert lines[7].endswith(".venv/bin/radcommons study serve 'my demo/study'")
    assert lines[8].endswith(".venv/bin/radcommons hub serve --data 'my demo/hub'")
