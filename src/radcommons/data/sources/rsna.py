"""RSNA pneumonia challenge 2018: ``stage_2_train_labels.csv`` (one row per box) and ``stage_2_train_images/*.dcm``.

All images are from NIH ChestX-ray14, so a generator trained on NIH may have been trained on these patients: exclude
them by patient before you test one on the other. RSNA's table gives each image its own patient.
``pneumonia-challenge-dataset-mappings_2018.json`` maps images to NIH's patients; without it, two films of one person
can be in two parts.
"""

import json
from collections.abc import Sequence
from pathlib import Path

from radcommons.data.listing import Candidate, Listing, Refusal
from radcommons.data.sources.image_files import by_stem, image_folders
from radcommons.data.sources.labels import choose_findings, level
from radcommons.data.sources.tables import Wanted, one_table, read_table, tables_in
from radcommons.data.views import NOTHING_DECLARED, Declared
from radcommons.errors import TableRefused
from radcommons.findings import NO_FINDING

LABELS = "stage_2_train_labels.csv"
CLASSES = "stage_2_detailed_class_info.csv"
MAPPINGS = "pneumonia-challenge-dataset-mappings*.json"
IMAGE = Wanted("patient, which here is the image", ("patientid",))
TARGET = Wanted("pneumonia label", ("target",))
CLASS = Wanted("class", ("class",))


def list_rsna(sources: Sequence[Path], *, findings: Sequence[str] | None = None, declared: Declared = NOTHING_DECLARED
              ) -> Listing:  # fmt: skip
    """List the films of the RSNA challenge: Pneumonia = Target.

    With ``stage_2_detailed_class_info.csv``, `findings` may include "Lung Opacity" and "No Finding" (class Normal), and
    a class that contradicts the target is refused. View, age and sex come from the DICOM headers at import.
    """
    table = read_table(one_table(sources, LABELS, f"table {LABELS}"))
    image, target = table.require(IMAGE, TARGET)
    classes = _classes(sources)
    offered = ("Pneumonia", "Lung Opacity", NO_FINDING) if classes else ("Pneumonia",)
    chosen = choose_findings(findings, offered, default=("Pneumonia",), source="this RSNA folder")
    nih_patient = _nih_patients(sources)
    boxes: dict[str, tuple[int, set[str]]] = {}
    for line, name, value in zip(table.lines, table.cells(image), table.cells(target), strict=True):
        boxes.setdefault(name, (line, set()))[1].add(level(value) or "other")
    files = by_stem(image_folders(sources, "stage_2_train_images*"))
    candidates: list[Candidate] = []
    refusals: list[Refusal] = []
    absent = 0
    for name, (line, values) in boxes.items():
        paths = files.get(name)
        if paths is None:
            absent += 1
            continue
        reason = _fault(
            values, classes.get(name, set()), n_paths=len(paths), known=name in nih_patient or not nih_patient
        )
        if reason:
            refusals.append(Refusal(line, name, reason))
            continue
        labels = _labels(values == {"present"}, classes.get(name, set()), chosen)
        candidates.append(Candidate(line, Path(paths[0]), nih_patient.get(name, name), name, labels))
    return Listing("rsna", chosen, candidates, refusals, absent, declared=declared)


def _classes(sources: Sequence[Path]) -> dict[str, set[str]]:
    """Image to its classes; empty without the optional table."""
    found: dict[str, set[str]] = {}
    for path in tables_in(sources, CLASSES)[:1]:
        table = read_table(path)
        image, kind = table.require(IMAGE, CLASS)
        for name, value in zip(table.cells(image), table.cells(kind), strict=True):
            found.setdefault(name, set()).add(value.casefold())
    return found


def _nih_patients(sources: Sequence[Path]) -> dict[str, str]:
    """Image to NIH's patient number; empty without the mapping file."""
    for path in tables_in(sources, MAPPINGS)[:1]:
        try:
            rows = json.loads(path.read_text(encoding="utf-8"))
            # img_id is NIH's file, e.g. 00000001_000.png
            return {row["subset_img_id"]: str(int(row["img_id"].partition("_")[0])) for row in rows}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            raise TableRefused(f"{path.name} is not a list of subset_img_id and img_id; download it again") from None
    return {}


def _fault(targets: set[str], classes: set[str], *, n_paths: int, known: bool) -> str | None:
    if n_paths > 1:
        return f"ambiguous: {n_paths} files have the name in this row"
    if not targets <= {"absent", "present"}:
        return "mislabelled: a value other than 1 or 0 in column Target"
    if len(targets) > 1:
        return "mislabelled: the rows of this image disagree in column Target"
    if classes and (classes == {"lung opacity"}) != (targets == {"present"}):
        return "mislabelled: column class contradicts column Target"
    return None if known else "no row in the mapping to NIH's patients"


def _labels(pneumonia: bool, classes: set[str], chosen: Sequence[str]) -> tuple[int | None, ...]:
    values: dict[str, int | None] = {
        "Pneumonia": int(pneumonia),
        "Lung Opacity": int("lung opacity" in classes) if classes else None,
        NO_FINDING: int("normal" in classes) if classes else None,
    }
    return tuple(values[name] for name in chosen)
