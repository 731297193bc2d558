"""The films that a source lists, before any pixel is read: candidates and refusals.

Only these objects contain original identifiers, in memory, until keyed pseudonyms replace them.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from radcommons.data.views import NOTHING_DECIDED, NOTHING_DECLARED, Decision, Declared, without_many_words

Part = Literal["train", "val", "test"]
FEWEST_FILMS = 5  # films of one patient below which no note is given
PARTS: tuple[Part, ...] = ("train", "val", "test")


@dataclass(frozen=True, slots=True)
class Candidate:
    """One image that an import may take.

    Attributes:
        row: line of the source's table (the header is line 1); without a table, the place in the sorted file list.
        path: the file to read.
        patient: the source's own patient identifier; never written anywhere.
        image: the source's own image identifier, unique within the source; never written anywhere.
        labels: one entry per finding: 1 present, 0 absent, None unknown.
        view: "PA", "AP" or None; the image's own header replaces None.
        age_years: age, or None; the image's own header replaces None.
        sex: "F", "M" or None; the image's own header replaces None.
        part: the part from an official split list, or None to split by hash.
        decision: what the table decides about view, modality and part of the body; the image's header comes second.
    """

    row: int
    path: Path
    patient: str
    image: str
    labels: tuple[int | None, ...]
    view: str | None = None
    age_years: float | None = None
    sex: str | None = None
    part: Part | None = None
    decision: Decision = NOTHING_DECIDED

    def placed(self, part: Part) -> "Candidate":
        """The same candidate in a part of the split; three times as fast as `dataclasses.replace` on NIH's rows."""
        about = (self.view, self.age_years, self.sex)
        return Candidate(self.row, self.path, self.patient, self.image, self.labels, *about, part, self.decision)


@dataclass(frozen=True, slots=True)
class Refusal:
    """A row that cannot be imported; `image` is the original identifier, written to disk as a pseudonym."""

    row: int
    image: str
    reason: str


@dataclass(frozen=True, slots=True)
class Listing:
    """All rows of a source.

    Attributes:
        source: name of the reader, e.g. "nih".
        findings: canonical names, in label order.
        candidates: images to read, in the table's order.
        refusals: rows refused before reading (lateral view, impossible label, ...).
        absent: number of rows of a public table without an image in this partial download.
        label_policy: how uncertain and blank labels were read, in one word.
        declared: words for views etc. that the user declared; also used for headers.
        notes: warnings for the user, one line each, without any identifier.
    """

    source: str
    findings: tuple[str, ...]
    candidates: list[Candidate]
    refusals: list[Refusal] = field(default_factory=list)
    absent: int = 0
    label_policy: str = "as-given"
    declared: Declared = NOTHING_DECLARED
    notes: tuple[str, ...] = ()

    def with_few_words(self) -> "Listing":
        """The same listing; if the unknown words in refusals are so many that they may be names, they are removed."""
        reasons = without_many_words([refusal.reason for refusal in self.refusals])
        refusals = [replace(r, reason=reason) for r, reason in zip(self.refusals, reasons, strict=True)]
        return replace(self, refusals=refusals)


def patient_notes(patients: Iterable[str]) -> list[str]:
    """A warning if one patient has most of the films: several people may share one identifier.

    Args:
        patients: the patient of every film, as identifier or pseudonym.
    """
    films = Counter(patients)
    (most,) = (count for _, count in films.most_common(1)) if films else (0,)
    total = films.total()
    alone = len(films) == 1 and total > 1
    if not alone and (most < FEWEST_FILMS or 2 * most <= total):
        return []
    return [
        f"one patient has {most:,} of {total:,} films; if they show several people, the patient column (PatientID) is "
        "wrong and the split by patient does not separate these people"
    ]
