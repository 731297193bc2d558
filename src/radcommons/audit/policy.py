"""The policy: each rule against what was found, and the verdict in words that claim no more than was tested."""

from collections.abc import Sequence
from typing import Literal

from radcommons.audit.settings import Policy
from radcommons.audit.tests.patient_level_split import Apart
from radcommons.records import Control, Diversity, Outcome, PolicyLine, PrivacyTest, QualityScore

NO_GUARANTEE = {  # a set may come from anywhere
    True: "No differential privacy was used in training: there is no formal guarantee.",
    False: "Whether differential privacy was used in training is not known here: there is no formal guarantee.",
}
HARDLY = 0.05  # false copies expected among all images: above, their number has to be significant
GROUND = ("split bias", "members against members")
NO_CLEAN_CASE = "no clean case was run: too few validation films"


def finds_leak(test: PrivacyTest, policy: Policy) -> bool:
    """Whether a test, by itself, says that something leaks."""
    if test.access not in ("samples", "weights") or test.result is None:
        return False
    if _counts_copies(test):
        return _too_many(test, policy.copies, policy)
    if test.p_value is not None and test.p_value < policy.significance:
        return True
    if test.name.startswith("membership"):
        return test.result.value > policy.membership_auc and (test.result.low or 0) > 0.5
    return False


def shares_films(test: PrivacyTest, policy: Policy) -> bool:
    """Whether training and held-out films are mixed, so that nothing else can be believed."""
    return test.name == "shared films" and _too_many(test, policy.shared_films, policy)


def _too_many(test: PrivacyTest, limit: int | None, policy: Policy) -> bool:
    """Whether a count of copies is above its limit, and not by chance; without a limit none is."""
    if limit is None or test.result is None or test.result.value <= limit:
        return False
    by_chance = test.p_value is None or test.p_value >= policy.significance
    return not by_chance or (test.expected or 0.0) < HARDLY


def judge(
    policy: Policy,
    *,
    is_generator: bool,
    apart: Apart,
    privacy: Sequence[PrivacyTest],
    detectable_share: float | None,
    controls: Sequence[Control],
    floor: QualityScore | None,
    held_out: QualityScore | None,
    diversity: Sequence[Diversity],
) -> list[PolicyLine]:
    """Every rule with its limit, what was found, and whether it is met.

    Args:
        apart: whose patients the generator has seen.
        detectable_share: smallest share of copied images that was seen; None where not even 100% was.
        floor, held_out: training films and synthetic images, each against held-out films.
    """
    judged = [test for test in privacy if test.access in ("samples", "weights")]
    lines = [_test_line(test, policy) for test in judged if policy.copies is not None or not _counts_copies(test)]
    if policy.patients_apart:
        meaning = "the generator has seen the patients in training and none of the others: else members are no members"
        lines.append(_line("patients apart", meaning, "all in training, none held out", apart.found, apart.outcome))
    shared = next((test for test in privacy if test.name == "shared films"), None)
    if policy.shared_films is not None and shared is not None:
        found = shared.skipped or f"{shared.result.value:.0f}"  # type: ignore[union-attr]
        outcome: Outcome = "not tested" if shared.skipped else "not met" if shares_films(shared, policy) else "met"
        meaning = "held-out films that are copies of a training film: with them, nothing is held out"
        lines.append(_line("shared films", meaning, _count_limit(policy.shared_films, policy), found, outcome))
    if policy.ground:
        lines += _ground_lines(privacy, policy)
    done = {test.name.split(",")[0] for test in privacy if test.skipped is None}
    wanted = [*policy.require, *(["membership by weights"] if policy.require_weights and is_generator else [])]
    wanted += ["shared films"] if policy.shared_films is not None else []
    missing = [name for name in wanted if name not in done]
    lines.append(
        _line(
            "required tests",
            "tests without which there is no verdict",
            ", ".join(wanted),
            f"not done: {', '.join(missing)}" if missing else "all done",
            "not met" if missing else "met",
        )
    )
    if policy.detectable_share is not None:
        enough = detectable_share is not None and detectable_share <= policy.detectable_share
        seen = "none" if detectable_share is None else f"{detectable_share:.1%}"
        meaning = "smallest share of copied images among the synthetic ones that the tests would have found"
        lines.append(
            _line("power", meaning, f"at most {policy.detectable_share:.0%}", seen, "met" if enough else "not met")
        )
    if policy.controls and controls:
        bad = [control.name for control in controls if not control.behaved]
        found = f"the audit has no power: {', '.join(bad)}" if bad else f"all {len(controls)} behaved"
        clean = any(not control.must_be_caught for control in controls)
        meaning = "planted leaks are caught, " + ("and a clean case passes" if clean else NO_CLEAN_CASE)
        lines.append(_line("controls", meaning, "all", found, "not met" if bad else "met"))
    if policy.coverage is not None and floor is not None and held_out is not None:
        lines.append(_coverage_line(policy.coverage, floor, held_out))
    if policy.ms_ssim_excess is not None and diversity:
        excess = sum(d.synthetic - d.real for d in diversity) / len(diversity)
        meaning = "synthetic minus real MS-SSIM of pairs that share a finding, mean; high = all images alike"
        outcome = "met" if excess <= policy.ms_ssim_excess else "not met"
        lines.append(_line("diversity", meaning, f"at most {policy.ms_ssim_excess:.2f}", f"{excess:+.3f}", outcome))
    return lines


def verdict(
    lines: Sequence[PolicyLine],
    privacy: Sequence[PrivacyTest],
    policy: Policy,
    detectable_share: float | None,
    *,
    is_generator: bool,
    apart: Apart,
) -> tuple[Literal["passed", "failed"], str]:
    """Passed or failed, and a statement of what that means."""
    done = [test for test in privacy if test.access in ("samples", "weights") and test.skipped is None]
    leaks = [test.name for test in done if finds_leak(test, policy)]
    broken = [line.rule for line in lines if line.outcome == "not met"]
    power = (
        "not even a set of copies would have been found"
        if detectable_share is None
        else f"copies that make up {detectable_share:.1%} of the images, or more, would have been found"
    )
    if leaks:
        found = f"A leak was found, by: {', '.join(leaks)}."
    else:
        found = f"No leak found by these {len(done)} tests at this power: {power}."
    others = [rule for rule in broken if rule not in leaks]
    if others:
        found += f" Not met: {', '.join(others)}."
    parts = [apart.sentence, found] if apart.outcome == "not met" else [found, apart.sentence]
    return ("failed" if broken else "passed"), " ".join([*parts, NO_GUARANTEE[is_generator]])


def _test_line(test: PrivacyTest, policy: Policy) -> PolicyLine:
    limit = f"p at least {policy.significance:g}"
    if _counts_copies(test) and policy.copies is not None:
        limit = _count_limit(policy.copies, policy)
    if test.name.startswith("membership"):
        limit += f" and AUC at most {policy.membership_auc:g}"
    if test.result is None:
        return _line(test.name, test.question, limit, test.skipped or "", "not tested")
    found = f"{test.result.value:.3g}" + (f", p {test.p_value:.2g}" if test.p_value is not None else "")
    return _line(test.name, test.question, limit, found, "not met" if finds_leak(test, policy) else "met")


def _ground_lines(privacy: Sequence[PrivacyTest], policy: Policy) -> list[PolicyLine]:
    """Whether the attack stays silent where it must: without a generator, and between two halves of the members."""
    tests = [test for test in privacy if test.name in GROUND]
    p_values = {test.name: test.p_value for test in tests if test.p_value is not None}
    if not tests:
        return []
    outcome: Outcome = "not tested"
    if p_values:
        outcome = "met" if min(p_values.values()) >= policy.significance else "not met"
    found = ", ".join(f"{name} p {p:.2g}" for name, p in p_values.items()) or tests[0].skipped or ""
    meaning = "no difference without the generator, nor between halves of the training part: else no p value holds"
    return [_line("ground", meaning, f"p at least {policy.significance:g}", found, outcome)]


def _counts_copies(test: PrivacyTest) -> bool:
    return test.name.startswith("copies")


def _count_limit(limit: int, policy: Policy) -> str:
    return f"at most {limit}; beyond, p at least {policy.significance:g} where chance gives some"


def _coverage_line(limit: float, floor: QualityScore, held_out: QualityScore) -> PolicyLine:
    meaning = "coverage of held-out films by synthetic images, as a share of that by training films"
    asked = f"at least {limit:.0%}"
    if not floor.coverage or held_out.coverage is None:
        return _line("coverage", meaning, asked, "too few films", "not tested")
    share = held_out.coverage / floor.coverage
    return _line("coverage", meaning, asked, f"{share:.0%}", "met" if share >= limit else "not met")


def _line(rule: str, meaning: str, limit: str, found: str, outcome: Outcome) -> PolicyLine:
    return PolicyLine(rule=rule, meaning=meaning, limit=limit, found=found, outcome=outcome)
