"""The robustness of classifiers as a Markdown table and as lines for a terminal."""

from radcommons.records import RobustComparison, Robustness


def table(robustness: Robustness) -> str:
    """The results as Markdown: AUC against epsilon, for each finding where there are several, and the checks."""
    result = robustness.result
    lines = [conditions(robustness), "", *_means(result)]
    findings = next(iter(result.curves.values())).findings
    if len(findings) > 1:
        lines += ["", *_by_finding(result, findings)]
    lines += ["", f"Checks of the attack at epsilon {result.epsilon:g}:", "", "| classifier | check | | numbers |"]
    lines.append("|---|---|---|---|")
    for name, checks in result.checks.items():
        lines += [f"| {name} | {c.name} | {'passed' if c.passed else 'FAILED'} | {c.verdict} |" for c in checks]
    return "\n".join([*lines, "", result.statement]) + "\n"


def conditions(robustness: Robustness) -> str:
    """What was attacked, and how, in words."""
    curve = next(iter(robustness.result.curves.values()))
    known = {name: value for name, value in curve.attack.items() if name != "norm"}
    size = "largest change of a pixel" if curve.attack["norm"] == "linf" else "root mean square change of the pixels"
    return (
        f"{curve.films:,} of {robustness.films_in_part:,} films ({curve.patients:,} patients) of the part "
        f"'{robustness.part}' of {robustness.store}, findings {', '.join(curve.findings)}"
        + (f" (left out, one class only: {', '.join(curve.left_out)})" if curve.left_out else "")
        + f". Epsilon is the {size}, grey levels of 0 to 255. Projected gradient ascent ("
        + ", ".join(f"{name} = {'default' if value is None else value}" for name, value in known.items())
        + f"), seed {robustness.seed}. 95% intervals from {robustness.bootstrap_samples:,} bootstrap samples of "
        "patients. A stronger attack may exist: no AUC here is a lower bound."
    )


def as_text(robustness: Robustness, figure: str) -> str:
    """The results for a terminal."""
    result = robustness.result
    curve = next(iter(result.curves.values()))
    lines = [f"Left out, one class only among these films: {', '.join(curve.left_out)}."] if curve.left_out else []
    for name, curve in result.curves.items():
        lines.append(f"{name}: mean AUC on {curve.films:,} films under attack (under noise of the same size)")
        lines += [f"  epsilon {p.epsilon:<5g} {p.mean_auc.text()}  ({p.noise_mean_auc:.3f})" for p in curve.points]
        lines += [f"  check '{c.name}' failed: {c.verdict}" for c in result.checks[name] if not c.passed]
    return "\n".join([*lines, result.statement, f"Figure: {figure}"])


def _means(result: RobustComparison) -> list[str]:
    names = list(result.curves)
    heads = [f"{name}, under {what}" for name in names for what in ("attack", "noise")]
    difference = f"{names[1]} minus {names[0]}, under attack" if result.differences else None
    lines = [
        "| epsilon | " + " | ".join([*heads, *filter(None, [difference])]) + " |",
        "|---|" + "---|" * (len(heads) + bool(difference)),
    ]
    for place, first in enumerate(result.curves[names[0]].points):
        points = [result.curves[name].points[place] for name in names]
        cells = [text for p in points for text in (p.mean_auc.text(), f"{p.noise_mean_auc:.3f}")]
        if difference:
            cells.append(result.differences[place].mean_auc.text("+.3f"))
        lines.append(f"| {first.epsilon:g} | " + " | ".join(cells) + " |")
    return lines


def _by_finding(result: RobustComparison, findings: tuple[str, ...]) -> list[str]:
    lines = [
        "AUC of each finding under an attack on all of them at once:",
        "",
        "| classifier | epsilon | " + " | ".join(findings) + " |",
        "|---|---|" + "---|" * len(findings),
    ]
    for name, curve in result.curves.items():
        lines += [
            f"| {name} | {p.epsilon:g} | " + " | ".join(f"{p.auc[f]:.3f}" for f in findings) + " |"
            for p in curve.points
        ]
    return lines
