"""Judges an audit's record by a policy: every rule, two verdicts, and statements that claim no more than was tested.

`judge` needs the record and the rules, nothing else, so that whoever receives ``audit.json`` can judge it again.
"""

from collections.abc import Sequence

from radcommons.policy.privacy import privacy_lines, rule_for, split_found
from radcommons.policy.quality import quality_lines
from radcommons.policy.settings import Policy
from radcommons.records import AuditResults, Judgement, PolicyLine, PrivacyTest, share_text

NO_GUARANTEE = {  # a set may come from anywhere
    "generator": "No differential privacy was used in training: there is no formal guarantee.",
    "set": "Whether differential privacy was used in training is not known here: there is no formal guarantee.",
}


def judge(results: AuditResults, policy: Policy) -> Judgement:
    """Every rule, whether privacy and quality pass, and what that means in words.

    A verdict fails if one of its rules is not met. A rule that was not tested, or a test that is inconclusive, does not
    fail it; the statement names the inconclusive tests.
    """
    privacy, quality = list(privacy_lines(results, policy)), list(quality_lines(results, policy))
    tested = any(line.outcome in ("met", "not met") for line in quality)
    return Judgement(
        privacy="failed" if _broken(privacy) else "passed",
        quality="failed" if _broken(quality) else "passed" if tested else "not tested",
        statement=_statement(results, privacy, policy),
        quality_statement=_quality_statement(quality, tested),
        lines=(*privacy, *quality),
    )


def _broken(lines: Sequence[PolicyLine]) -> list[str]:
    return [line.rule for line in lines if line.outcome == "not met"]


def _statement(results: AuditResults, lines: Sequence[PolicyLine], policy: Policy) -> str:
    rules = [(test, rule_for(test.kind, policy)) for test in results.privacy if test.is_attack]
    judged = [(test, rule.outcome(test)) for test, rule in rules if rule]
    able, leaks, blind = (
        [test for test, outcome in judged if outcome == wanted] for wanted in ("met", "not met", "inconclusive")
    )
    if leaks:
        parts = [f"A leak was found by: {_named(leaks)}."]
    else:
        parts = [
            f"No leak was found. {len(able)} of {len(able) + len(blind)} tests would have found a leak of the size "
            f"that the policy asks about: {policy.leak_size}."
        ]
        limit = results.detection_limit
        copies = "" if limit is None else share_text(limit, results.counts.get("synthetic images"), "images")
        parts.append(
            "Not even a set of copies alone would have been detected."
            if limit is None
            else f"Copies of training films would have been detected from {copies} on."
        )
    if blind:
        parts.append(f"Inconclusive, because they would have missed such a leak: {_named(blind)}.")
    if others := [rule for rule in _broken(lines) if rule not in {test.name for test in leaks}]:
        parts.append(f"Not met: {', '.join(others)}.")
    outcome, found = split_found(results)
    seen = f"{found[0].upper()}{found[1:]}."
    if outcome == "not met":
        parts.insert(0, f"{seen[:-1]}: these tests say nothing of the patients it was trained on.")
    else:
        parts.append(f"Who was in the generator's training is {found}." if outcome == "not tested" else seen)
    return " ".join([*parts, _guarantee(results)])


def _guarantee(results: AuditResults) -> str:
    if results.federation is None or results.federation.privacy is None:
        return NO_GUARANTEE[results.kind]
    return (
        f"The federation's record says {results.federation.privacy_statement}; this audit does not check it, and it "
        "gives no formal guarantee to one patient beyond that of the hospital."
    )


def _named(tests: Sequence[PrivacyTest]) -> str:
    """Each kind once, with its spaces."""
    spaces: dict[str, list[str]] = {}
    for test in tests:
        spaces.setdefault(test.kind, []).extend([test.space] if test.space else [])
    return "; ".join(f"{kind} ({', '.join(names)})" if names else kind for kind, names in spaces.items())


def _quality_statement(lines: Sequence[PolicyLine], tested: bool) -> str:
    if broken := _broken(lines):
        return f"The images do not meet the rules of quality: {', '.join(broken)}."
    return "The images meet the rules of quality that were tested." if tested else "The quality was not tested."
