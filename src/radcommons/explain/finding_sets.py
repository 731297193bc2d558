"""Which findings a command explains: sets of findings whose labels rise together."""

from collections.abc import Sequence

from radcommons.errors import SettingRefused
from radcommons.models.generator import Generator, LabelChoice
from radcommons.settings import require_once

FindingSet = tuple[str, ...]  # findings whose labels rise together


def choose(generator: Generator, findings: Sequence[str], *, every: bool) -> list[FindingSet]:
    """The named findings as one set, or one set for every finding of the generator.

    Raises:
        FindingUnknown: the message gives the nearest name.
        SettingRefused: no finding is named, or findings are named together with `every`.
    """
    if every and findings:
        raise SettingRefused("--all and --finding exclude each other; drop one")
    known = generator.findings
    if every:
        if not known:
            raise SettingRefused(f"{generator.name} knows no finding; there is nothing to explain")
        return [(finding,) for finding in known]
    if not findings:
        raise SettingRefused(f"no finding is named; pass --finding NAME or --all; known are {', '.join(known)}")
    require_once("--finding", findings)
    LabelChoice(dict.fromkeys(findings, 1.0)).check(known)
    return [together(findings, known)]


def together(findings: Sequence[str], known: Sequence[str]) -> FindingSet:
    """Findings as one set in label order, whatever order the user named them in."""
    return tuple(finding for finding in known if finding in findings)


def title(chosen: FindingSet) -> str:
    """For people: "Effusion", "Effusion + Cardiomegaly"."""
    return " + ".join(finding.replace("_", " ") for finding in chosen)


def stem(chosen: FindingSet) -> str:
    """For file names: "Effusion", "Effusion+Cardiomegaly"."""
    return "+".join(finding.replace(" ", "_") for finding in chosen)
