"""What a reader sees next, and until when: order, deadline and clock are the server's.

An image passes through: *due* (it may be looked at), *sent*, *shown* (its clock runs), *answered*. The next image of a
block is sent while the one before is shown, and is due when that one is answered.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core import signing
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.utils import timezone

from radcommons.study.begun import close, has_begun
from radcommons.study.design import IMAGES_RECORD, Study, StudyImage
from radcommons.study.models import TIMED_OUT, Reader, Showing, Trial

IMAGE = "radcommons.study.image"
SHOWN_WITHIN = timedelta(seconds=10)  # an image's clock starts so long after it was sent, whatever the page reports
LONGEST_COMMENT = 2000
ANSWERS = "real", "synthetic"


Place = tuple[Path, int, int]


def _place() -> Place:
    """The study's folder and what tells a changed record of its images from the one before."""
    folder: Path = settings.RADCOMMONS_DATA.parent
    record = (folder / IMAGES_RECORD).stat()
    return folder, record.st_mtime_ns, record.st_ino


@lru_cache(4)
def _opened(place: Place) -> Study:
    return Study.open(place[0])


def the_study() -> Study:
    """The study that this server carries out, as its folder has it now."""
    return _opened(_place())


@lru_cache(256)
def _order(place: Place, reader: int) -> tuple[StudyImage, ...]:
    return tuple(_opened(place).order(reader))


def order_of(reader: int) -> tuple[StudyImage, ...]:
    """What a reader sees, in order."""
    return _order(_place(), reader)


class Refused(Exception):
    """What a page asked for is not to be had; the message says why."""


class Reading:
    """One reader's way through the study, in one transaction that holds the reader's row."""

    def __init__(self, reader: Reader) -> None:
        self.reader = reader
        self.study = the_study()
        self.order = order_of(reader.pk)
        self.now = timezone.now()
        self.paused = Trial.objects.filter(paused=True).exists()
        self.position = reader.showings.filter(answered__isnull=False).count()  # of the first without an answer
        self._rows: dict[int, Showing] = {}
        self._count_timed_out()

    # ---- what the page asks for ----

    def step(self, wanted: int | None = None) -> dict[str, Any]:
        """What the page does now; `wanted` is a position to go back to."""
        asked = self._unasked()
        if asked is not None:
            return self._view("ask", asked.position, questions=self._questions(asked), answer=asked.answer)
        if wanted is not None and self._may_change(wanted):
            return self._show(wanted)
        if self.position == len(self.order) and (self.reader.finished or not self.study.settings.back):
            self._finish()
            return {"do": "end"}
        row = self._row(self.position)
        if row is not None and row.due is not None:
            return self._show(self.position)
        if self.paused:
            return {"do": "paused"}
        if row is None or self._stops_at(self.position):
            return self._stop()
        row.due = self.now
        row.save()
        return self._show(self.position)

    def go(self) -> dict[str, Any]:
        """Go on after a stop."""
        row = self._row(self.position)
        if not self.paused and self._unasked() is None:
            if row is None:
                self._finish()
            elif row.due is None:
                self._close()
                row.due = self.now
                row.save()
        return self.step()

    def shown(self, position: int, scale: float | None) -> dict[str, Any]:
        """The page has painted an image: its clock runs. Returns the time left, and which image to fetch ahead."""
        row = self._row(position)
        if position != self.position and not self._may_change(position):
            raise Refused("this image is not to be shown now")
        if row is None or row.sent is None or row.due is None:
            raise Refused("this image was not sent")
        if row.shown is None:
            row.shown = self._started(row) or self.now
        row.scale = scale
        row.save()
        return {"left": self._left(row), "next": self._address(position + 1) if self._ahead(position + 1) else None}

    def answer(self, position: int, answer: str) -> dict[str, Any]:
        """Keep an answer, once, unless the design lets readers change it."""
        row = self._row(position)
        if answer not in ANSWERS or row is None:
            raise Refused("an answer is 'real' or 'synthetic'")
        if position != self.position and not self._may_change(position):
            late = row.answer == TIMED_OUT
            raise Refused("the time for this image was over" if late else "this image is not to be answered now")
        if row.shown is None:
            raise Refused("this image was not shown yet")
        row.answer, row.answered, row.details = answer, self.now, None
        if not self._questions(row):
            row.details = {}
        row.save()
        self.position = max(self.position, position + 1)
        return self.step(position + 1)

    def details(self, position: int, given: dict[str, str]) -> dict[str, Any]:
        """Keep what the reader was asked after an answer."""
        row = self._unasked()
        if row is None or row.position != position:
            raise Refused("nothing is asked about this image")
        row.details = _details(self._questions(row), given, self._side(position))
        row.save()
        return self.step(position + 1)

    def image(self, position: int) -> Path:
        """The file of an image that may be sent now."""
        row, asked = self._row(position), self._unasked()
        current = row is not None and position == self.position and row.due is not None
        asks = asked is not None and asked.position == position
        if row is None or not (current or asks or self._ahead(position) or self._may_change(position)):
            raise Refused("this image is not to be shown now")
        if row.sent is None:
            row.sent = self.now
            row.save()
        return self.study.path(self.order[position])

    def _close(self) -> None:
        """Before the first reader's first image: from now on the study stays as it is, and the database knows it."""
        if not has_begun(self.study.folder):
            close(self.study.folder)
            Trial.hold(self.study)

    # ---- the clock ----

    def _count_timed_out(self) -> None:
        """Close images whose time is over."""
        seconds = self.study.settings.seconds
        while seconds is not None and (row := self._row(self.position)) is not None:
            started = self._started(row)
            if started is None or self.now < started + timedelta(seconds=seconds):
                return
            row.shown, row.answered = started, started + timedelta(seconds=seconds)
            row.answer, row.details = TIMED_OUT, {}
            row.save()
            self.position += 1
            ahead = self._row(self.position)
            if ahead is not None and ahead.sent is not None and not self.paused:
                ahead.due = row.answered  # it lies in the browser: its clock cannot wait for the reader to come back
                ahead.save()

    def _started(self, row: Showing) -> datetime | None:
        """When the clock of an image began; None if it has not."""
        if row.shown is not None or row.sent is None or row.due is None:
            return row.shown
        latest: datetime = max(row.sent, row.due) + SHOWN_WITHIN
        return latest if latest <= self.now else None

    def _left(self, row: Showing) -> float | None:
        """Seconds; None without a limit."""
        seconds, started = self.study.settings.seconds, self._started(row)
        if seconds is None or started is None:
            return seconds
        return max(0.0, seconds - (self.now - started).total_seconds())

    # ---- the order ----

    def _row(self, position: int) -> Showing | None:
        """What is known of a place in the order; None outside of it."""
        if not 0 <= position < len(self.order):
            return None
        if position not in self._rows:
            found = self.reader.showings.filter(position=position).first()
            made = Showing(reader=self.reader, position=position, image=self.order[position].name)
            self._rows[position] = found or made
        return self._rows[position]

    def _part(self, position: int) -> tuple[bool, int]:
        return self.order[position].practice, self.order[position].block

    def _stops_at(self, position: int) -> bool:
        """Whether the reader says when to go on: at the beginning, after practice images and between blocks."""
        before = position - 1
        return position == 0 or self.order[before].practice or self._part(before) != self._part(position)

    def _ahead(self, position: int) -> bool:
        """Whether an image may be sent before it is due: the one before is shown, and nothing comes between."""
        before, row = self._row(self.position), self._row(position)
        return (
            position == self.position + 1
            and before is not None
            and before.shown is not None
            and row is not None
            and not (self.paused or self._stops_at(position) or self._asks())
        )

    def _may_change(self, position: int) -> bool:
        """Whether the design lets the reader go back there: within the block, until the next one begins."""
        if not self.study.settings.back or not 0 <= position < self.position or self.order[position].practice:
            return False
        row = self._row(self.position)
        if row is not None and row.due is not None and self._stops_at(self.position):
            return False
        return self.reader.finished is None and self._part(position) == self._part(self.position - 1)

    def _asks(self) -> bool:
        design = self.study.settings
        return design.confidence or design.spot or design.comment

    def _questions(self, row: Showing) -> list[str]:
        design = self.study.settings
        asked = {
            "confidence": design.confidence,
            "spot": design.spot and row.answer == "synthetic",
            "comment": design.comment,
        }
        return [name for name, wanted in asked.items() if wanted]

    def _unasked(self) -> Showing | None:
        """The answer about which the reader has not been asked yet."""
        if not self._asks():
            return None
        found = self.reader.showings.filter(answer__in=ANSWERS, details__isnull=True).first()
        if found is not None:
            self._rows[found.position] = found
        return found

    def _finish(self) -> None:
        if self.position == len(self.order) and self.reader.finished is None:
            self.reader.finished = self.now
            self.reader.save(update_fields=["finished"])

    # ---- what the page is told ----

    def _stop(self) -> dict[str, Any]:
        before = self._row(self.position - 1)
        told: dict[str, Any] = {}
        if before is not None and self.order[before.position].practice:
            told = {"truth": self.order[before.position].truth, "answer": before.answer}
        left = len({self._part(p) for p in range(self.position, len(self.order))} - {(True, 0)})
        return {
            "do": "stop",
            "first": self.position == 0,
            "practice": self.position < len(self.order) and self.order[self.position].practice,
            "blocks": left,
            "back": self.position - 1 if self._may_change(self.position - 1) else None,
            **told,
        }

    def _show(self, position: int) -> dict[str, Any]:
        row = self._row(position)
        assert row is not None
        back = position - 1 if self._may_change(position - 1) else None
        return self._view("show", position, left=self._left(row), answer=row.answer, back=back)

    def _view(self, do: str, position: int, **more: Any) -> dict[str, Any]:
        image = self.order[position]
        alike = [p for p, other in enumerate(self.order) if other.practice == image.practice]
        before = self._row(position - 1)
        return {
            "do": do,
            "position": position,
            "image": self._address(position),
            "practice": image.practice,
            "number": position - alike[0] + 1,
            "of": len(alike),
            "late": before is not None and before.answer == TIMED_OUT,
            **more,
        }

    def _side(self, position: int) -> int:
        return self.study.settings.block[self.order[position].block].resolution

    def _address(self, position: int) -> str:
        token = signing.Signer(salt=IMAGE).sign_object([self.reader.pk, position, self.reader.seat])
        return f"/image/{token}"


def held(**which: Any) -> Reader:
    """A reader whose row nobody else changes until the transaction is over; PermissionDenied if there is none."""
    reader = Reader.objects.select_for_update().filter(**which).first()
    if reader is None:
        raise PermissionDenied
    return reader


@contextmanager
def reading(**which: Any) -> Iterator[Reading]:
    """A reader's way, held until the end of the block; what was refused inside it changes nothing but the clock.

    Args:
        which: the reader's fields, which must have these values once nobody else holds the reader's row.
    Raises:
        PermissionDenied: there is no such reader, or not any more.
        Refused: after the transaction is over, so that images that timed out stay so.
    """
    refused = None
    with transaction.atomic():
        try:
            yield Reading(held(**which))
        except Refused as error:
            refused = error
    if refused is not None:
        raise refused


def _details(questions: list[str], given: dict[str, str], side: int) -> dict[str, Any]:
    """What was answered to the questions, checked."""
    found: dict[str, Any] = {}
    if "confidence" in questions:
        if given.get("confidence") not in {"1", "2", "3", "4", "5"}:
            raise Refused("say how sure you are, from 1 to 5")
        found["confidence"] = int(given["confidence"])
    x, y = given.get("x", ""), given.get("y", "")
    if "spot" in questions and x and y:
        if not all(n.isascii() and n.isdecimal() and len(n) < 6 and int(n) < side for n in (x, y)):
            raise Refused("the mark is outside of the image")
        found["spot"] = [int(x), int(y)]
    if "comment" in questions and (words := given.get("comment", "").replace("\0", " ").strip()):
        found["comment"] = words[:LONGEST_COMMENT]
    return found
