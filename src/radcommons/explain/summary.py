"""An explanation in a few lines for the terminal."""

from pathlib import Path

from radcommons.explain.chosen import title
from radcommons.records import Explanation


def as_text(explanation: Explanation, place: Path) -> str:
    """What is there now, and where to look."""
    lines = [f"{explanation.generator}, {explanation.resolution} x {explanation.resolution} pixels"]
    if explanation.morphs:
        lines.append("morphs: " + ", ".join(title(morph.findings) for morph in explanation.morphs))
    lines += [f"{title(one.findings)}: {one.statement}" for one in explanation.maps]
    unscored = {one.unscored for one in explanation.maps if one.unscored and not one.collapsed}
    lines += [f"not scored: {reason}" for reason in sorted(unscored)]
    return "\n".join([*lines, f"open {place}"])
