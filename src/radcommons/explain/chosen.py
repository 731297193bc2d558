"""Which findings are looked at: sets of labels that are raised together."""

from collections.abc import Sequence

from radcommons.errors import SettingRefused
from radcommons.models.generator import Generator, LabelChoice
from radcommons.settings import require_once

Chosen = tuple[str, ...]  # findings raised together


def choose(generator: Generator, findings: Sequence[str], *, every: bool) -> list[Chosen]:
    """The named findings as one set, or every finding of the generator alone.

    Raises:
        FindingUnknown: with the nearest name.
        SettingRefused: nothing is named, or names and all of them.
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


def together(findings: Sequence[str], known: Sequence[str]) -> Chosen:
    """Findings as one set, in label order, so that the order in which they were named does not matter."""
    return tuple(finding for finding in known if finding in findings)


def title(chosen: Chosen) -> str:
    """For people: "Effusion", "Effusion + Cardiomegaly"."""
    return " + ".join(finding.replace("_", " ") for finding in chosen)


def stem(chosen: Chosen) -> str:
    """For file names: "Effusion", "Effusion+Cardiomegaly"."""
    return "+".join(finding.replace(" ", "_") for finding in chosen)
