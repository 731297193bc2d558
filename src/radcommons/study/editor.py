"""The coordinator's pages of images: what is covered on each pair, and how it is changed until readers have begun."""

from typing import Any

import cv2
from django.contrib import messages
from django.core.paginator import Paginator
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_safe

from radcommons.errors import StudyRefused
from radcommons.study.begun import has_begun
from radcommons.study.coordinators import coordinator
from radcommons.study.design import Study
from radcommons.study.letters import Box
from radcommons.study.making import original_pixels, set_boxes
from radcommons.study.models import LogEntry, Trial
from radcommons.study.reading import the_study

A_PAGE = 60  # pairs
SMALL = 200  # pixels of a picture in the list
SPARE_ROWS = 2  # to add boxes without JavaScript
MOST_BOXES = 100
Row = list[str]  # left, top, right, bottom as they were written


@coordinator
@require_safe
def images(request: HttpRequest) -> HttpResponse:
    """All pairs, small, with what is covered."""
    study = the_study()
    numbered = [_shown(study, number) for number in range(1, len(study.pairs()) + 1)]
    page = Paginator(numbered, A_PAGE).get_page(request.GET.get("page"))
    return render(request, "study/images.html", {"page": page, "closed": has_begun(study.folder)})


@coordinator
@require_http_methods(["GET", "HEAD", "POST"])
def pair(request: HttpRequest, number: int) -> HttpResponse:
    """The images of a pair, and what is covered on both; a POST replaces the boxes."""
    study = the_study()
    if not 1 <= number <= len(study.pairs()):
        raise Http404
    words: dict[str, Any] = {"pairs": len(study.pairs()), "fields": Box._fields, "most": MOST_BOXES}
    rows, status = [[str(edge) for edge in box] for box in study.pairs()[number - 1][0].boxes], 200
    if request.method == "POST":
        rows = _rows(request.POST)
        try:
            _save(request.user.get_username(), number, [_box(row, n) for n, row in enumerate(rows, 1)])
        except StudyRefused as error:
            words["fault"], status = str(error), 400
        else:
            following = number + 1 if request.POST.get("then") == "next" and number < len(study.pairs()) else number
            messages.success(request, f"Pair {number} is saved.")
            return redirect("pair", following)
    words |= {"pair": _shown(study, number), "closed": has_begun(study.folder), "rows": rows}
    words["spare"] = [[""] * len(Box._fields)] * SPARE_ROWS
    return render(request, "study/pair.html", words, status=status)


@coordinator
@require_safe
def picture(request: HttpRequest, name: str, *, small: bool = False) -> HttpResponse:
    """An image before anything was covered; readers have no way to it."""
    study = the_study()
    image = next((image for image in study.images if image.name == name), None)
    if image is None:
        raise Http404
    pixels = original_pixels(study, image)
    if small and len(pixels) > SMALL:
        pixels = cv2.resize(pixels, (SMALL, SMALL), interpolation=cv2.INTER_AREA)
    _, content = cv2.imencode(".png", pixels)
    return HttpResponse(content.tobytes(), content_type="image/png")


def _shown(study: Study, number: int) -> dict[str, Any]:
    """What the pages say of a pair: nothing that differs between its images but their names."""
    found = study.pairs()[number - 1]
    side = study.settings.block[found[0].block].resolution
    boxes = [
        {"left": left, "top": top, "width": right - left, "height": bottom - top}
        for left, top, right, bottom in found[0].boxes
    ]
    names = [image.name for image in found]
    return {"number": number, "names": names, "boxes": boxes, "side": side, "practice": found[0].practice}


def _save(who: str, number: int, boxes: list[Box]) -> None:
    """Change what is covered on a pair; the log has it, or nothing was changed."""
    with transaction.atomic():
        study = the_study()
        before = study.pairs()[number - 1][0].boxes
        if has_begun(study.folder):
            raise StudyRefused("readers have begun, so nothing is changed any more")
        if before == tuple(boxes):
            return
        Trial.hold(study)
        names = [image.name[:8] for image in set_boxes(study.folder, number - 1, boxes)]
        Trial.objects.update(digest=study.digest)
        LogEntry.add(who, "boxes changed", f"pair {number}", images=names, before=before, after=boxes)


def _rows(post: Any) -> list[Row]:
    """What was written for each box; rows that are empty are none."""
    columns = [[text.strip() for text in post.getlist(name)] for name in Box._fields]
    return [list(row) for row in zip(*columns, strict=False) if any(row)][: MOST_BOXES + 1]


def _box(row: Row, number: int) -> Box:
    if number > MOST_BOXES:
        raise StudyRefused(f"a pair has at most {MOST_BOXES} boxes")
    if not all(text.isascii() and text.isdecimal() and len(text) < 6 for text in row):
        raise StudyRefused(f"box {number}: write four whole numbers")
    return Box(*map(int, row))
