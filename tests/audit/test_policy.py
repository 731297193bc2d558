"""The policy: what counts as a leak, and what the verdict may say."""

import re
from pathlib import Path

import pytest

from radcommons.audit.apart import Apart
from radcommons.audit.policy import finds_leak, judge, shares_films, verdict
from radcommons.audit.settings import Policy
from radcommons.data.training_patients import Seen
from radcommons.errors import SettingRefused
from radcommons.records import Control, Estimate, PolicyLine, PrivacyTest
from radcommons.settings import preset_path


def outcome(name: str, value: float = 0.0, p: float | None = 0.5, *, access: str = "samples", low: float | None = None
            ) -> PrivacyTest:  # fmt: skip
    return PrivacyTest.model_validate(
        {
            "name": name,
            "access": access,
            "question": "?",
            "result": Estimate(value=value, low=low, high=None),
            "p_value": p,
        }
    )


ALL = [
    outcome("data copying"),
    outcome("closer to training", 0.5),
    outcome("copies", 0, 1.0),
    outcome("membership by samples", 0.51, low=0.45),
    outcome("shared films", 0, 1.0, access="films"),
    outcome("split bias", 0.5, 0.4, access="films"),
    outcome("membership by weights", 0.5, access="weights", low=0.44),
]
NO_LIST = Seen(0, 30, "it comes without patients.json")


def seen(in_training: int, held_out: int = 0, reference: int = 0) -> Apart:
    """Of 100, 30 and 20 patients."""
    return Apart(Seen(in_training, 100), Seen(held_out, 30), Seen(reference, 20), this_store=True)


APART = seen(100)


def lines_of(privacy: list[PrivacyTest], rules: Policy = Policy(), *, share: float | None = 0.05,  # noqa: B008
             controls: list[Control] | None = None, apart: Apart = APART) -> dict[str, PolicyLine]:  # fmt: skip
    found = judge(
        rules,
        is_generator=True,
        apart=apart,
        privacy=privacy,
        detectable_share=share,
        controls=controls or [],
        floor=None,
        held_out=None,
        diversity=[],
    )
    return {line.rule: line for line in found}


def test_a_clean_subject_meets_every_rule() -> None:
    assert {line.outcome for line in lines_of(ALL).values()} == {"met"}


@pytest.mark.parametrize(
    "leak",
    [
        outcome("data copying", -6.0, 1e-9),
        outcome("copies", 1, 0.4),
        outcome("copies, SSIM", 2, 0.4),
        outcome("membership by samples", 0.56, 0.0004, low=0.52),
        outcome("membership by weights", 0.7, 0.002, access="weights", low=0.58),
    ],
    ids=lambda test: f"{test.name} {test.result.value:g}",
)
def test_a_leak_is_found_by_significance_by_a_copy_or_by_a_strong_attack(leak: PrivacyTest) -> None:
    assert finds_leak(leak, Policy())
    assert lines_of([*ALL[:-1], leak])[leak.name].outcome == "not met"


def test_a_strong_attack_on_few_patients_that_may_be_chance_is_no_leak() -> None:
    assert not finds_leak(outcome("membership by samples", 0.65, 0.06, low=0.47), Policy())


def test_the_critic_is_never_judged_because_it_never_leaves() -> None:
    critic = outcome("membership by critic", 0.99, 1e-4, access="critic", low=0.98)
    assert not finds_leak(critic, Policy())
    assert "membership by critic" not in lines_of([*ALL, critic])


def test_a_required_test_that_was_not_done_fails_the_policy() -> None:
    skipped = PrivacyTest(name="membership by weights", access="weights", question="?", skipped="inverted_films is 0")
    lines = lines_of([*ALL[:-1], skipped])
    assert lines["required tests"].outcome == "not met" and "membership by weights" in lines["required tests"].found
    assert lines["membership by weights"].outcome == "not tested"
    assert lines_of([*ALL[:-1], skipped], Policy(require_weights=False))["required tests"].outcome == "met"


@pytest.mark.parametrize("share", [None, 0.5])
def test_an_audit_that_could_not_have_seen_copies_fails(share: float | None) -> None:
    assert lines_of(ALL, share=share)["power"].outcome == "not met"


def test_a_control_that_misbehaves_says_that_the_audit_has_no_power() -> None:
    controls = [
        Control(name="replay", description="", must_be_caught=True, caught_by=("copies",)),
        Control(name="overfitted", description="", must_be_caught=True, caught_by=()),
    ]
    line = lines_of(ALL, controls=controls)["controls"]
    assert line.outcome == "not met" and "no power" in line.found and "overfitted" in line.found
    seen = Control(name="never saw the films", description="", must_be_caught=False, caught_by=("copies",))
    assert not seen.behaved


def test_held_out_films_that_were_in_training_fail_the_policy() -> None:
    shared = outcome("shared films", 2, 1e-5, access="films")
    assert shares_films(shared, Policy()) and not shares_films(shared, Policy(shared_films=None))
    assert lines_of([shared, *ALL])["shared films"].outcome == "not met"


def test_a_count_that_chance_explains_is_no_copy_and_one_that_it_does_not_is() -> None:
    by_chance = outcome("copies", 2, 0.2).model_copy(update={"expected": 1.1})
    many = outcome("copies", 9, 1e-5).model_copy(update={"expected": 1.1})
    assert not finds_leak(by_chance, Policy()) and finds_leak(many, Policy())
    assert not shares_films(by_chance.model_copy(update={"name": "shared films"}), Policy())


@pytest.mark.parametrize(("limit", "leaks"), [(0, True), (2, True), (3, False), (100, False), (None, False)], ids=str)
def test_a_limit_of_copies_that_was_raised_or_switched_off_holds(limit: int | None, leaks: bool) -> None:
    sure = outcome("copies, identity", 3, 1e-9).model_copy(update={"expected": 1e-4})
    rules = Policy(copies=limit, shared_films=limit)
    assert finds_leak(sure, rules) == leaks
    shared = sure.model_copy(update={"name": "shared films", "access": "films"})
    assert shares_films(shared, rules) == leaks
    lines = lines_of([*ALL, sure], rules)
    assert (sure.name in lines) == ("shared films" in lines) == (limit is not None), "off: no line"


def test_shared_films_that_could_not_be_looked_for_break_the_policy() -> None:
    skipped = PrivacyTest(name="shared films", access="films", question="?", skipped="cannot be told")
    lines = lines_of([*(test for test in ALL if test.name != "shared films"), skipped])
    assert lines["shared films"].outcome == "not tested" and lines["required tests"].outcome == "not met"
    off = lines_of([*ALL[:-3], skipped, *ALL[-2:]], Policy(shared_films=None))
    assert "shared films" not in off and off["required tests"].outcome == "met"


@pytest.mark.parametrize("name", ["split bias", "members against members"])
def test_an_attack_that_finds_something_without_a_leak_breaks_the_ground(name: str) -> None:
    biased = outcome(name, 0.8, 2e-4, access="films")
    assert lines_of([*ALL, biased])["ground"].outcome == "not met"
    assert name in lines_of([*ALL, biased])["ground"].found
    assert "ground" not in lines_of([*ALL, biased], Policy(ground=False))
    skipped = PrivacyTest(name="split bias", access="films", question="?", skipped="there is no validation part")
    assert lines_of([skipped])["ground"].outcome == "not tested"


@pytest.mark.parametrize(
    ("apart", "outcome", "words"),
    [
        (seen(100), "met", "all 100 patients in training and none of 50 others were in this generator's training"),
        (seen(100, held_out=2), "not met", "2 of 30 held-out patients were in this generator's training"),
        (seen(100, reference=1), "not met", "1 of 20 validation patients was in this generator's training"),
        (seen(0), "not met", "none of 100 supposed training patients was in this generator's training"),
        (seen(99), "not met", "99 of 100 supposed training patients were in this generator's training"),
        (Apart(NO_LIST, NO_LIST, NO_LIST, None), "not tested", "not known: it comes without patients.json"),
        (Apart(NO_LIST, NO_LIST, NO_LIST, False), "not met", "names another store as its training data"),
        (Apart(NO_LIST, NO_LIST, NO_LIST, True), "met", "names this store as its training data"),
        (Apart(NO_LIST, Seen(3, 30, "unknown pseudonym key"), NO_LIST, True), "not met", "3 of 30 held-out"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_patients_are_apart_where_members_were_seen_and_the_others_were_not(apart: Apart, outcome: str, words: str
                                                                            ) -> None:  # fmt: skip
    lines = lines_of(ALL, apart=apart)
    assert lines["patients apart"].outcome == outcome and words in lines["patients apart"].found
    passed, statement = verdict(list(lines.values()), ALL, Policy(), 0.05, is_generator=True, apart=apart)
    assert passed == ("failed" if outcome == "not met" else "passed")
    assert words.lower() in statement.lower()
    assert statement.startswith("No leak found") == (outcome != "not met"), "what spoils the audit is said first"
    assert "patients apart" not in lines_of(ALL, Policy(patients_apart=False), apart=apart)


def test_controls_without_a_clean_case_do_not_claim_one() -> None:
    replay = Control(name="replay", description="", must_be_caught=True, caught_by=("copies",))
    clean = Control(name="never saw the films", description="", must_be_caught=False, caught_by=())
    assert "a clean case passes" in lines_of(ALL, controls=[replay, clean])["controls"].meaning
    assert "no clean case was run" in lines_of(ALL, controls=[replay])["controls"].meaning


def test_the_statement_says_what_was_tested_at_which_power_and_never_more() -> None:
    clean = verdict(list(lines_of(ALL).values()), ALL, Policy(), 0.05, is_generator=True, apart=APART)
    leak = [*ALL[:2], outcome("copies", 3, 0.01), *ALL[3:]]
    leaky = verdict(list(lines_of(leak).values()), leak, Policy(), 0.05, is_generator=False, apart=APART)
    assert clean[0] == "passed" and "No leak found by these 5 tests at this power" in clean[1] and "5.0%" in clean[1]
    assert leaky[0] == "failed" and "A leak was found, by: copies." in leaky[1]
    assert "No differential privacy was used" in clean[1] and "not known here" in leaky[1], "a set is from anywhere"
    for _, statement in (clean, leaky):
        assert "no formal guarantee" in statement
        assert not re.search(r"anonym|\bsafe\b|\bprivate\b|no risk", statement, re.IGNORECASE)


def test_the_shipped_policy_is_the_default_one() -> None:
    assert Policy.load(preset_path("audit-policy", "default")) == Policy()


def test_a_misspelt_rule_is_refused_with_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "ours.toml").write_text("membership_auk = 0.7\n")
    with pytest.raises(SettingRefused, match="'membership_auk' is not a setting; the nearest is 'membership_auc'"):
        Policy.load(tmp_path / "ours.toml")
