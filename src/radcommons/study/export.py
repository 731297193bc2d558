"""The answers as files: CSV for 'radcommons study analyse', JSON with all that is kept, iMRMC for its R package."""

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date
from typing import Any

from radcommons.study.design import StudyImage
from radcommons.study.models import TIMED_OUT, Reader, Showing
from radcommons.study.reading import order_of, reading, the_study

COLUMNS = "reader", "group", "block", "position", "image", "truth", "answer", "confidence", "seconds"
TRUTH = "truth"  # iMRMC's name of the reader and of the modality in rows that hold the truth


def as_csv() -> str:
    """One line for each answer; block is the side of its images in pixels, position counts from 1 within the block."""
    return _table(COLUMNS, ([_cell(line[name]) for name in COLUMNS] for line in _lines() if not line["practice"]))


def as_json() -> str:
    """Everything: readers, displays, practice images, times, comments."""
    readers = [
        {
            "reader": reader.name,
            "group": reader.group,
            "consented": _time(reader.consented),
            "finished": _time(reader.finished),
            "revoked": _time(reader.revoked),
            "displays": reader.displays,
        }
        for reader in _readers()
    ]
    design = the_study().settings.model_dump(mode="json", exclude={"store", "synthetic"})
    return json.dumps({"study": design, "readers": readers, "answers": list(_lines())}, indent=1, ensure_ascii=False)


def as_imrmc() -> str:
    """Long format of the R package iMRMC: readerID, caseID, modalityID, score; synthetic is the positive class.

    A score is the confidence, 1 to 5, with a minus for an answer 'real'; 1 and -1 without one. An answer that timed out
    is 0. Each block is a modality.
    """
    images = [image for image in the_study().images if not image.practice]
    truth = ((TRUTH, image.name, TRUTH, int(image.truth == "synthetic")) for image in images)
    scores = ((line["reader"], line["image"], line["block"], _score(line)) for line in _lines() if not line["practice"])
    return _table(("readerID", "caseID", "modalityID", "score"), [*truth, *scores])


def last_answer() -> date | None:
    """Day of the last answer to an image that was not for practice, UTC; None if there is none."""
    times = [line["answered"] for line in _lines() if not line["practice"]]
    return date.fromisoformat(max(times)[:10]) if times else None


FORMATS: dict[str, tuple[Callable[[], str], str]] = {
    "answers.csv": (as_csv, "text/csv; charset=utf-8"),
    "answers.json": (as_json, "application/json"),
    "imrmc.csv": (as_imrmc, "text/csv; charset=utf-8"),
}


def _readers() -> list[Reader]:
    """All readers, after images whose time is over were closed."""
    found = list(Reader.objects.order_by("pk"))
    for reader in found:
        with reading(pk=reader.pk):
            pass
    return found


def _lines() -> Iterator[dict[str, Any]]:
    for reader in _readers():
        order = order_of(reader.pk)
        firsts: dict[tuple[bool, int], int] = {}
        for position, image in enumerate(order):
            firsts.setdefault((image.practice, image.block), position)
        for row in reader.showings.filter(answered__isnull=False).order_by("position"):
            image = order[row.position]
            yield _line(reader, row, image, row.position - firsts[image.practice, image.block] + 1)


def _line(reader: Reader, row: Showing, image: StudyImage, position: int) -> dict[str, Any]:
    details = row.details or {}
    assert row.answered is not None and row.shown is not None
    return {
        "reader": reader.name,
        "group": reader.group,
        "block": str(the_study().settings.block[image.block].resolution),
        "position": position,
        "image": image.name,
        "truth": image.truth,
        "answer": row.answer,
        "confidence": details.get("confidence"),
        "seconds": round((row.answered - row.shown).total_seconds(), 3),
        "practice": image.practice,
        "spot": details.get("spot"),
        "comment": details.get("comment"),
        "scale": row.scale,
        "sent": _time(row.sent),
        "shown": _time(row.shown),
        "answered": _time(row.answered),
    }


def _score(line: dict[str, Any]) -> int:
    if line["answer"] == TIMED_OUT:
        return 0
    return (line["confidence"] or 1) * (1 if line["answer"] == "synthetic" else -1)


def _table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return text.getvalue()


def _cell(value: object) -> object:
    return "" if value is None else value


def _time(value: Any) -> str | None:
    return None if value is None else value.isoformat(timespec="milliseconds")
