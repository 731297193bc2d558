"""An explanation in a few lines for the terminal."""

from collections.abc import Sequence
from pathlib import Path

from radcommons.explain.finding_sets import title, together
from radcommons.records import Correlation, Explanation


def as_text(explanation: Explanation, findings: Sequence[str], page: Path) -> str:
    """The results of the named findings together, or of each finding alone if none is named, and the page's path."""
    asked = [together(findings, explanation.findings)] if findings else [(finding,) for finding in explanation.findings]
    maps = [one for one in explanation.maps if one.findings in asked]
    lines = [f"{explanation.generator}, {explanation.resolution} x {explanation.resolution} pixels"]
    if interpolated := [title(one.findings) for one in explanation.morphs if one.findings in asked]:
        lines.append(f"label interpolations: {', '.join(interpolated)}")
    lines += [f"{title(one.findings)}: {one.statement}" for one in maps]
    unscored = {one.unscored for one in maps if one.unscored and not one.collapsed}
    lines += [f"not scored: {reason}" for reason in sorted(unscored)]
    return "\n".join([*lines, f"open {page}"])


def correlation_text(explanation: Explanation, page: Path) -> str:
    """The correlation matrix in a few lines: its diagonal, its statement, the findings left out."""
    result = explanation.correlation
    assert result is not None
    lines = [f"{explanation.generator}, scored by classifier {result.classifier}, {result.images:,} images per label"]
    for i, finding in enumerate(result.findings):
        value, low, high = (m[i][i] for m in (result.pearson, result.pearson_low, result.pearson_high))
        told = "constant" if value is None else f"{value:z.2f} ({low:z.2f} to {high:z.2f})"
        films = result.on_films.get(finding)
        own = f"; the classifier's own AUC on films: {films.auc.text('.2f')}" if films else ""
        lines.append(f"{title((finding,))}: {told}{own}")
    return "\n".join([*lines, result.statement, *left_out(result), f"open {page}"])


def left_out(result: Correlation) -> list[str]:
    """Sentences about findings that only the generator or only the classifier knows."""
    sides = (("generator", result.only_generator), ("classifier", result.only_classifier))
    named = [(side, ", ".join(title((name,)) for name in names)) for side, names in sides if names]
    return [f"only the {side} knows {names}; left out" for side, names in named]
