"""What a source says it has, before a pixel is read: candidates and refusals.

Original identifiers live in these objects only, in memory, on the way to their keyed pseudonyms.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from radcommons.data.views import NOTHING_DECLARED, NOTHING_SETTLED, Declared, Verdict, without_many_words

Part = Literal["train", "val", "test"]
FEWEST_FILMS = 5  # of one patient among others, before they are remarkable
PARTS: tuple[Part, ...] = ("train", "val", "test")


@dataclass(frozen=True, slots=True)
class Candidate:
    """One image that an import may take.

    Attributes:
        row: line of the source's table (the header is line 1), or place in the sorted file list where
            a source has no table.
        path: the file to read.
        patient: the source's own patient identifier; never written anywhere.
        image: the source's own image identifier, unique within the source; never written anywhere.
        labels: one entry a finding: 1 present, 0 absent, None unknown.
        view: "PA", "AP" or None; the image's own header fills a None.
        age_years: age, or None; the image's own header fills a None.
        sex: "F", "M" or None; the image's own header fills a None.
        part: the part that an official split list gives, or None to split by hash.
        verdict: what the listing knows of view, modality and part of the body; the image's header is judged after it.
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
    verdict: Verdict = NOTHING_SETTLED

    def placed(self, part: Part) -> "Candidate":
        """The same in a part of the split; three times as quick as `dataclasses.replace`, which NIH's rows notice."""
        about = (self.view, self.age_years, self.sex)
        return Candidate(self.row, self.path, self.patient, self.image, self.labels, *about, part, self.verdict)


@dataclass(frozen=True, slots=True)
class Refusal:
    """A row that cannot be imported; `image` is the original identifier and is written as a pseudonym."""

    row: int
    image: str
    reason: str


@dataclass(frozen=True, slots=True)
class Listing:
    """Everything a source offers.

    Attributes:
        source: name of the reader, e.g. "nih".
        findings: canonical names, in label order.
        candidates: images to read, in the table's order.
        refusals: rows refused before reading (lateral view, impossible label, ...).
        absent: rows of a public table whose image is not in this partial download; counted, not listed.
        label_policy: how uncertain and blank labels were read, in one word.
        declared: the words for views and the like that the user declared; headers are read with them too.
        notes: what whoever imports has to know, one line each, without any identifier.
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
        """The same without the unknown words of a refusal where they are so many that they may be names."""
        reasons = without_many_words([refusal.reason for refusal in self.refusals])
        refusals = [replace(r, reason=reason) for r, reason in zip(self.refusals, reasons, strict=True)]
        return replace(self, refusals=refusals)


def patient_notes(patients: Iterable[str]) -> list[str]:
    """A note where one patient has most of the films: several people may have one identifier.

    Args:
        patients: the patient of every film, identifier or pseudonym.
    """
    films = Counter(patients)
    (most,) = (count for _, count in films.most_common(1)) if films else (0,)
    total = films.total()
    alone = len(films) == 1 and total > 1
    if not alone and (most < FEWEST_FILMS or 2 * most <= total):
        return []
    return [
        f"one patient has {most:,} of {total:,} films; if they are of several people, their identifier is not in the "
        "patient column (PatientID) and the split by patient does not keep them apart"
    ]
