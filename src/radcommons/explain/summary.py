"""An explanation in a few lines for the terminal."""

from collections.abc import Sequence
from pathlib import Path

from radcommons.explain.chosen import title
from radcommons.records import Explanation


def as_text(explanation: Explanation, findings: Sequence[str], place: Path) -> str:
    """What is there of some findings together, or of each alone where none is named, and where to look."""
    asked = [tuple(dict.fromkeys(findings))] if findings else [(finding,) for finding in explanation.findings]
    maps = [one for one in explanation.maps if one.findings in asked]
    lines = [f"{explanation.generator}, {explanation.resolution} x {explanation.resolution} pixels"]
    if morphs := [title(morph.findings) for morph in explanation.morphs if morph.findings in asked]:
        lines.append(f"morphs: {', '.join(morphs)}")
    lines += [f"{title(one.findings)}: {one.statement}" for one in maps]
    unscored = {one.unscored for one in maps if one.unscored and not one.collapsed}
    lines += [f"not scored: {reason}" for reason in sorted(unscored)]
    return "\n".join([*lines, f"open {place}"])
