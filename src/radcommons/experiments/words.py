"""What the data support, in words that follow from the verdicts alone."""

from collections.abc import Sequence

from radcommons.experiments.compare import POWER
from radcommons.records import Comparison, Verdict


def enrich_sentence(baseline: Comparison, controls: Sequence[Comparison], oracle: Comparison | None) -> str:
    """Does enrichment help, and is it the synthetic images that do?

    Args:
        baseline: the enriched arm against the local films alone.
        controls: the enriched arm against each control that has no synthetic image.
        oracle: films alone with as many real positives, against the local films alone: what helps if anything does. It
            is a control and no claim, so its interval is taken as it is, not corrected.
    """
    parts = []
    if baseline.verdict == "better":
        parts.append(f"Replacing films by synthetic images raised the AUC by {_difference(baseline)}.")
        parts.append(_cause(controls))
    elif baseline.verdict == "worse":
        parts.append(f"Replacing films by synthetic images lowered the AUC by {_difference(baseline)}.")
    elif baseline.verdict == "no relevant difference":
        parts.append(
            f"Replacing films by synthetic images changed nothing that matters: AUC difference {_difference(baseline)}."
        )
    else:
        found = (
            f"a difference of {baseline.detectable:.3f} would have been found with a power of {POWER:.0%}"
            if baseline.detectable < 1
            else "no difference would have been found for sure"
        )
        parts.append(
            f"These data do not show that synthetic images help: AUC difference {_difference(baseline)}, corrected p "
            f"{baseline.p_corrected:.3f}; {found}."
        )
    if oracle is not None:
        parts.append(f"As many real positives in their place: {_difference(oracle)}.")
        if (oracle.difference.low or 0.0) <= 0 and baseline.verdict == "undecided":
            parts.append("Not even these made a certain difference: what synthetic images do, this study cannot tell.")
    return " ".join(parts)


def _cause(controls: Sequence[Comparison]) -> str:
    """What a gain is due to: the synthetic images only where every control without any stays below."""
    if not controls:
        return "No control was run, so the cause is not known."
    reached = [c.against for c in controls if c.verdict != "better"]
    if not reached:
        return "Every control without synthetic images stayed below it: the synthetic images did it."
    above = [c.against for c in controls if c.verdict == "worse"]
    text = "It is not shown that the synthetic images did it: without any, "
    if above:
        text += f"{_listed(above)} did better"
    level = [name for name in reached if name not in above]
    if level:
        text += f"{' and ' if above else ''}{_listed(level)} cannot be told from it"
    return f"{text}."


def merge_sentence(merged: Sequence[Comparison]) -> str:
    """Does merging two sites' synthetic images help, finding by finding?"""
    groups: dict[Verdict, list[Comparison]] = {}
    for comparison in merged:
        groups.setdefault(comparison.verdict, []).append(comparison)
    words: dict[Verdict, str] = {
        "better": "raised the AUC for",
        "worse": "lowered the AUC for",
        "no relevant difference": "changed nothing that matters for",
        "undecided": "made no difference that these data could show for",
    }
    clauses = [
        f"{words[v]} {'; '.join(f'{c.finding} {_difference(c)}' for c in groups[v])}" for v in words if v in groups
    ]
    return f"Merging ('{merged[0].arm}' against '{merged[0].against}') {', '.join(clauses)}."


def _difference(comparison: Comparison) -> str:
    return comparison.difference.text("+.3f")


def _listed(names: Sequence[str]) -> str:
    quoted = [f"'{name}'" for name in names]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} and {quoted[-1]}"
