"""The policy: each rule against what was found, and the verdict in words that claim no more than was tested."""

from collections.abc import Sequence
from typing import Literal

from radcommons.audit.settings import Policy
from radcommons.records import Control, Diversity, PolicyLine, PrivacyTest, QualityScore

NO_GUARANTEE = {  # a set may come from anywhere
    True: "No differential privacy was used in training: there is no formal guarantee.",
    False: "Whether differential privacy was used in training is not known here: there is no formal guarantee.",
}
HARDLY = 0.05  # false copies expected among all images: above, their number has to be significant
Outcome = Literal["met", "not met", "not tested"]


def finds_leak(test: PrivacyTest, policy: Policy) -> bool:
    """Whether a test, by itself, says that something leaks."""
    if test.access not in ("samples", "weights") or test.result is None:
        return False
    if test.p_value is not None and test.p_value < policy.significance:
        return True
    if test.name.startswith("copies"):
        return policy.copies is not None and _more_than(policy.copies, test)
    if test.name.startswith("membership"):
        return test.result.value > policy.membership_auc and (test.result.low or 0) > 0.5
    return False


def shares_films(test: PrivacyTest, policy: Policy) -> bool:
    """Whether training and held-out films are mixed, so that nothing else can be believed."""
    if test.name != "shared films" or test.p_value is None or policy.shared_films is None:
        return False
    return _more_than(policy.shared_films, test) or test.p_value < policy.significance


def _more_than(limit: int, test: PrivacyTest) -> bool:
    """Whether a count is above its limit where chance would hardly have given one."""
    return test.result is not None and test.result.value > limit and (test.expected or 0.0) < HARDLY


def judge(
    policy: Policy,
    *,
    is_generator: bool,
    privacy: Sequence[PrivacyTest],
    detectable_share: float | None,
    controls: Sequence[Control],
    floor: QualityScore | None,
    held_out: QualityScore | None,
    diversity: Sequence[Diversity],
) -> list[PolicyLine]:
    """Every rule with its limit, what was found, and whether it is met.

    Args:
        detectable_share: smallest share of copied images that was seen; None where not even 100% was.
        floor, held_out: training films and synthetic images, each against held-out films.
    """
    lines = [_test_line(test, policy) for test in privacy if test.access in ("samples", "weights")]
    shared = next((test for test in privacy if test.name == "shared films"), None)
    if policy.shared_films is not None and shared is not None:
        found = shared.skipped or f"{shared.result.value:.0f}"  # type: ignore[union-attr]
        outcome: Outcome = "not tested" if shared.skipped else "not met" if shares_films(shared, policy) else "met"
        meaning = "held-out films that are copies of a training film: with them, nothing is held out"
        lines.append(_line("shared films", meaning, _count_limit(policy.shared_films, policy), found, outcome))
    done = {test.name.split(",")[0] for test in privacy if test.skipped is None}
    wanted = [*policy.require, *(["membership by weights"] if policy.require_weights and is_generator else [])]
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
        meaning = "planted leaks are caught, and a clean case passes"
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
    return ("failed" if broken else "passed"), f"{found} {NO_GUARANTEE[is_generator]}"


def _test_line(test: PrivacyTest, policy: Policy) -> PolicyLine:
    limit = f"p at least {policy.significance:g}"
    if test.name.startswith("copies") and policy.copies is not None:
        limit = _count_limit(policy.copies, policy)
    if test.name.startswith("membership"):
        limit += f" and AUC at most {policy.membership_auc:g}"
    if test.result is None:
        return _line(test.name, test.question, limit, test.skipped or "", "not tested")
    found = f"{test.result.value:.3g}" + (f", p {test.p_value:.2g}" if test.p_value is not None else "")
    return _line(test.name, test.question, limit, found, "not met" if finds_leak(test, policy) else "met")


def _count_limit(limit: int, policy: Policy) -> str:
    return f"at most {limit}, or p at least {policy.significance:g} where chance gives some"


def _coverage_line(limit: float, floor: QualityScore, held_out: QualityScore) -> PolicyLine:
    meaning = "coverage of held-out films by synthetic images, as a share of that by training films"
    asked = f"at least {limit:.0%}"
    if not floor.coverage or held_out.coverage is None:
        return _line("coverage", meaning, asked, "too few films", "not tested")
    share = held_out.coverage / floor.coverage
    return _line("coverage", meaning, asked, f"{share:.0%}", "met" if share >= limit else "not met")


def _line(rule: str, meaning: str, limit: str, found: str, outcome: Outcome) -> PolicyLine:
    return PolicyLine(rule=rule, meaning=meaning, limit=limit, found=found, outcome=outcome)
