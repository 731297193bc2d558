"""The sentence at the top of a result: what the data support. It follows from the verdicts by fixed rules."""

from collections.abc import Sequence

from radcommons.experiments.compare import POWER
from radcommons.records import Comparison, Verdict

WORDS: dict[Verdict, str] = {
    "better": "raised the AUC",
    "worse": "lowered the AUC",
    "no relevant difference": "changed nothing that matters",
    "undecided": "made no difference that these data could show",
}


def enrich_sentence(
    baseline: Comparison,
    controls: Sequence[Comparison],
    reference: Comparison | None,
    pretrained: Sequence[Comparison] = (),
) -> str:
    """Does enrichment help, and do the synthetic images cause the gain?

    Args:
        baseline: the enriched arm against the real films alone.
        controls: the enriched arm against each control that has no synthetic image.
        reference: all real films against the real films of the site alone: the gain that real positives would bring.
            It is a control, not a claim, so its interval is not corrected.
        pretrained: the arm that learns from the synthetic images first, then from the films, against other arms.
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
            else "no difference was sure to be found"
        )
        parts.append(
            f"These data do not show that synthetic images help: AUC difference {_difference(baseline)}, corrected p "
            f"{baseline.p_corrected:.3f}; {found}."
        )
    if reference is not None:
        parts.append(f"As many real positives in their place: {_difference(reference)}.")
        if (reference.difference.low or 0.0) <= 0 and baseline.verdict == "undecided":
            parts.append("Even these made no certain difference, so this study cannot tell what synthetic images do.")
    if pretrained:
        clauses = [f"{WORDS[c.verdict]} against '{c.against}', {_difference(c)}" for c in pretrained]
        parts.append(f"Pre-training on synthetic images and fine-tuning on films {'; '.join(clauses)}.")
    return " ".join(parts)


def _cause(controls: Sequence[Comparison]) -> str:
    """The cause of a gain: the synthetic images only where every control without synthetic images stays below."""
    if not controls:
        return "No control was run, so the cause is unknown."
    reached = [c.against for c in controls if c.verdict != "better"]
    if not reached:
        return "Every control without synthetic images stayed below it: the synthetic images caused the gain."
    above = [c.against for c in controls if c.verdict == "worse"]
    text = "It is not shown that the synthetic images caused the gain: without any, "
    if above:
        text += f"{_listed(above)} did better"
    level = [name for name in reached if name not in above]
    if level:
        text += f"{' and ' if above else ''}{_listed(level)} cannot be told apart from it"
    return f"{text}."


def merge_sentence(merged: Sequence[Comparison]) -> str:
    """Does merging two sites' synthetic images help, finding by finding?"""
    return f"Merging ('{merged[0].arm}' against '{merged[0].against}') {_by_verdict(merged)}."


def transfer_sentence(comparisons: Sequence[Comparison]) -> str:
    """What does a classifier lose that learns from synthetic images instead of films, finding by finding?"""
    return f"Training on synthetic images instead of as many films {_by_verdict(comparisons)}."


def _by_verdict(comparisons: Sequence[Comparison]) -> str:
    groups: dict[Verdict, list[Comparison]] = {}
    for comparison in comparisons:
        groups.setdefault(comparison.verdict, []).append(comparison)
    clauses = [
        f"{WORDS[v]} for {'; '.join(f'{c.finding} {_difference(c)}' for c in groups[v])}" for v in WORDS if v in groups
    ]
    return ", ".join(clauses)


def _difference(comparison: Comparison) -> str:
    return comparison.difference.text("+.3f")


def _listed(names: Sequence[str]) -> str:
    quoted = [f"'{name}'" for name in names]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} and {quoted[-1]}"
