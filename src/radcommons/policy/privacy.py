"""The rules of privacy: one for each kind of test, and those about the audit itself."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import assert_never

from radcommons.policy.settings import Policy
from radcommons.records import AuditResults, Outcome, PolicyLine, PrivacyTest, PrivacyTestKind, p_text, share_text

HARDLY = 0.05  # near-duplicates expected by chance: above, their number has to be significant
NO_NEGATIVE_CONTROL = "no negative control was run: too few validation films"


@dataclass(frozen=True)
class Rule:
    """When a test of one kind is positive, and how large a leak it must be able to detect.

    Attributes:
        detection_limit: a test whose own limit is above it is inconclusive.
        most: highest number of near-duplicates; None for tests that count none.
        highest_auc: of membership inference, where the interval excludes a guess; None for other tests.
    """

    significance: float
    detection_limit: float
    most: int | None = None
    highest_auc: float | None = None

    @property
    def limit(self) -> str:
        """In words."""
        if self.most is not None:
            return f"at most {self.most}; more only if chance explains them (p at least {self.significance:g})"
        auc = "" if self.highest_auc is None else f" and AUC at most {self.highest_auc:g}"
        return f"p at least {self.significance:g}{auc}"

    def is_positive(self, test: PrivacyTest) -> bool:
        """Whether the test, by itself, found what it looks for."""
        if test.result is None:
            return False
        significant = test.p_value is not None and test.p_value < self.significance
        if self.most is not None:
            return test.result.value > self.most and (significant or (test.expected or 0.0) < HARDLY)
        strong = self.highest_auc is not None and test.result.value > self.highest_auc
        return significant or (strong and (test.result.low or 0) > 0.5)

    def outcome(self, test: PrivacyTest) -> Outcome:
        """Of a test of this kind."""
        if test.result is None:
            return "not tested"
        if self.is_positive(test):
            return "not met"
        able = test.detection_limit is not None and test.detection_limit <= self.detection_limit
        return "met" if able else "inconclusive"


def rule_for(kind: PrivacyTestKind, policy: Policy) -> Rule | None:
    """The rule for tests of a kind; None if the policy does not judge them."""
    match kind:
        case "near-duplicates":
            return _count(policy.near_duplicates, policy)
        case "train-test duplicates":
            return _count(policy.train_test_duplicates, policy)
        case "data copying" | "data copying by finding" | "distance to closest record" | "re-identification":
            return Rule(policy.significance, policy.test_detection_limit)
        case "membership inference: black-box" | "membership inference: white-box":
            return Rule(policy.significance, policy.membership_auc, highest_auc=policy.membership_auc)
        case "sanity check: no generator" | "sanity check: halves of the training part":
            return Rule(policy.significance, policy.membership_auc) if policy.sanity_checks else None
        case "membership inference: through the critic":
            return None  # the critic never leaves the hospital; the test shows why
    assert_never(kind)


def is_positive(test: PrivacyTest, policy: Policy) -> bool:
    """Whether a test, by itself, found what it looks for: a leak, or a fault of the split."""
    rule = rule_for(test.kind, policy)
    return rule is not None and rule.is_positive(test)


def privacy_lines(results: AuditResults, policy: Policy) -> Iterator[PolicyLine]:
    """Every rule of privacy with its limit, what was found, and whether it is met."""
    outcomes: dict[PrivacyTestKind, set[Outcome]] = {}
    for test in results.privacy:
        if rule := rule_for(test.kind, policy):
            outcome = rule.outcome(test)
            outcomes.setdefault(test.kind, set()).add(outcome)
            yield _line(test.name, test.question, rule.limit, _found(test, rule, outcome), outcome)
    if policy.patient_level_split:
        outcome, found = split_found(results)
        meaning = "the generator has seen the patients in training and no other; otherwise the tests are invalid"
        yield _line("patient-level split", meaning, "all in training, none held out", found, outcome)
    yield _required_line(results, outcomes, policy)
    if policy.detection_limit is not None:
        limit = results.detection_limit
        met = limit is not None and limit <= policy.detection_limit
        meaning = "smallest share of copied images among the synthetic ones that the tests would have detected"
        found = "none" if limit is None else share_text(limit, results.counts.get("synthetic images"), "images")
        wanted = f"at most {policy.detection_limit:.0%}"
        yield _line("detection limit", meaning, wanted, found, "met" if met else "not met")
    if policy.controls and results.controls:
        bad = [control.name for control in results.controls if not control.behaved]
        found = f"wrong answer: {', '.join(bad)}" if bad else f"all {len(results.controls)} gave the known answer"
        negative = any(not control.must_be_caught for control in results.controls)
        meaning = "positive controls are caught, " + ("the negative one passes" if negative else NO_NEGATIVE_CONTROL)
        yield _line("controls", meaning, "all", found, "not met" if bad else "met")


def split_found(results: AuditResults) -> tuple[Outcome, str]:
    """Has the generator seen all patients in training and no other? Its list is asked before its checkpoint."""
    seen, counts = results.patients, results.counts
    unknown = "the report is of an earlier version" if seen is None else seen.incomparable
    if seen is not None and (seen.held_out or seen.for_reference):
        groups = {"held-out": (seen.held_out, "held out"), "validation": (seen.for_reference, "for reference")}
        found = [_seen(n, counts[f"patients {part}"], words) for words, (n, part) in groups.items() if n]
        return "not met", "; ".join(found)
    if seen is not None and unknown is None:
        members = counts["patients in training"]
        if seen.in_training < members:
            return "not met", _seen(seen.in_training, members, "supposed training")
        others = (
            f"{counts['patients held out']:,} held-out and {counts['patients for reference']:,} validation patients"
        )
        return "met", f"this generator was trained on all {members:,} patients in training and on none of the {others}"
    if results.trained_on_store is None:
        return "not tested", f"not known: {unknown}"
    named = "this store" if results.trained_on_store else "another store"
    return "met" if results.trained_on_store else "not met", f"its checkpoint names {named} as its training data"


def _seen(count: int, of: int, what: str) -> str:
    were = "was" if count <= 1 else "were"
    return f"{f'{count:,}' if count else 'none'} of {of:,} {what} patients {were} in this generator's training"


def _required_line(results: AuditResults, outcomes: dict[PrivacyTestKind, set[Outcome]], policy: Policy) -> PolicyLine:
    """Tests that must have been done; "inconclusive" if one of them could not in any space."""
    wanted: list[PrivacyTestKind] = list(policy.require)
    if policy.require_weights and results.kind == "generator":
        wanted.append("membership inference: white-box")
    if policy.train_test_duplicates is not None:
        wanted.append("train-test duplicates")
    done = {test.kind for test in results.privacy if test.result is not None}
    missing = [kind for kind in wanted if kind not in done]
    blind = [kind for kind in wanted if kind in outcomes and outcomes[kind] <= {"not tested", "inconclusive"}]
    found = "all done"
    outcome: Outcome = "met"
    if missing:
        found, outcome = f"not done: {', '.join(missing)}", "not met"
    elif blind:
        found, outcome = f"inconclusive: {', '.join(blind)}", "inconclusive"
    meaning = "each must have been made; each has lines of its own on what it could detect"
    return _line("required tests", meaning, ", ".join(wanted), found, outcome)


def _count(most: int | None, policy: Policy) -> Rule | None:
    return None if most is None else Rule(policy.significance, policy.test_detection_limit, most=most)


def _found(test: PrivacyTest, rule: Rule, outcome: Outcome) -> str:
    if test.result is None:
        return test.skipped or ""
    found = test.found if test.p_value is None else f"{test.found}, {p_text(test.p_value, rule.significance)}"
    if outcome != "inconclusive":
        return found
    asked = (
        f"an AUC of {rule.detection_limit:g} or more"
        if test.measures_auc
        else f"copies from {rule.detection_limit:.0%} on"
    )
    return f"{found}; would have detected: {test.detectable}; the policy asks for {asked}"


def _line(rule: str, meaning: str, limit: str, found: str, outcome: Outcome) -> PolicyLine:
    return PolicyLine(rule=rule, verdict="privacy", meaning=meaning, limit=limit, found=found, outcome=outcome)
