"""The reader's pages: invitation, consent, display check, images; a reader needs no password."""

import secrets
from collections.abc import Callable
from math import isfinite
from typing import Any

from django.core import signing
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from radcommons.study.models import LINK, TIMED_OUT, LogEntry, Reader, new_key
from radcommons.study.reading import IMAGE, Reading, Refused, held, reading, the_study

ROWS = "dark", "middle", "light"  # of the display check
FIELDS = 4  # in each row; one holds a square that is a little lighter
REPORTED = "width", "height", "screen_width", "screen_height", "pixel_ratio", "colour_depth", "monitor", "agent"
LONGEST_REPORT = 200
TAKEN = "This study is open on another page or device, which has taken over. Close this page."


@never_cache
@require_safe
def invitation(request: HttpRequest, token: str) -> HttpResponse:
    """The link that a reader gets."""
    try:
        number, key = signing.Signer(salt=LINK).unsign_object(token)
    except (signing.BadSignature, ValueError, TypeError):
        raise PermissionDenied from None
    request.session.flush()
    request.session["reader"] = [number, key]
    reader_of(request)
    return redirect("read")


@never_cache
@require_safe
@transaction.atomic
def read(request: HttpRequest) -> HttpResponse:
    """The page on which a reader is: consent, display check, images, end."""
    reader, study = held(**_invited(request)), the_study()
    words: dict[str, Any] = {"reader": reader, "design": study.settings}
    if reader.consented is None:
        return render(request, "study/consent.html", words)
    if reader.finished is not None:
        return render(request, "study/end.html", words | {"result": _result(reader)})
    if not request.session.get("checked"):
        hidden = request.session["hidden"] = [secrets.randbelow(FIELDS) for _ in ROWS]
        rows = [(row, [(n + 1, n == place) for n in range(FIELDS)]) for row, place in zip(ROWS, hidden, strict=True)]
        return render(request, "study/display.html", words | {"rows": rows, "tries": request.session.get("tries", 0)})
    if reader.seat:
        LogEntry.add(reader.name, "opened again", reader.name)
    reader.seat = new_key()
    reader.save(update_fields=["seat"])
    return render(request, "study/read.html", words)


@require_POST
@transaction.atomic
def consent(request: HttpRequest) -> HttpResponse:
    """The reader agrees."""
    reader = held(**_invited(request))
    if request.POST.get("agree") and reader.consented is None:
        reader.consented = timezone.now()
        reader.save(update_fields=["consented"])
        LogEntry.add(reader.name, "consented", reader.name)
    return redirect("read")


@require_POST
@transaction.atomic
def display(request: HttpRequest) -> HttpResponse:
    """The display check: the grey steps that the reader saw, and what the page reports of the display."""
    reader, hidden = held(**_invited(request)), request.session.get("hidden")
    if hidden is None or reader.consented is None:
        return redirect("read")
    seen = [request.POST.get(row) == str(place + 1) for row, place in zip(ROWS, hidden, strict=True)]
    tries = request.session["tries"] = request.session.get("tries", 0) + 1
    del request.session["hidden"]
    if all(seen):
        told = {name: request.POST.get(name, "").replace("\0", " ")[:LONGEST_REPORT] for name in REPORTED}
        reader.displays = [*reader.displays, {**told, "tries": tries, "at": timezone.now().isoformat()}]
        reader.save(update_fields=["displays"])
        request.session["checked"] = True
        LogEntry.add(reader.name, "display checked", reader.name, tries=tries)
    return redirect("read")


@never_cache
@require_POST
def act(request: HttpRequest, what: str) -> JsonResponse:
    """One step of the page of images; the answer says what it does next."""
    _ready(request)
    if what not in STEPS:
        raise Http404
    try:
        with reading(**_invited(request)) as way:
            if not way.reader.seat or way.reader.seat != request.POST.get("seat"):
                return JsonResponse({"do": "taken", "why": TAKEN}, status=409)
            return JsonResponse(STEPS[what](way, request.POST))
    except Refused as error:
        return JsonResponse({"do": "refused", "why": str(error)}, status=409)


@require_safe
def image(request: HttpRequest, token: str) -> HttpResponse:
    """An image: the same headers for all, and nothing that says which it is."""
    reader = _ready(request)
    try:
        number, position, seat = signing.Signer(salt=IMAGE).unsign_object(token)
        with reading(**_invited(request)) as way:
            if (number, seat) != (reader.pk, way.reader.seat):
                raise Http404
            path = way.image(position)
    except (signing.BadSignature, Refused):
        raise Http404 from None
    return HttpResponse(path.read_bytes(), content_type="image/png", headers={"Cache-Control": "no-store"})


def reader_of(request: HttpRequest) -> Reader:
    """The reader of this browser, while the invitation holds."""
    reader = Reader.objects.filter(**_invited(request)).first()
    if reader is None:
        raise PermissionDenied
    return reader


def _invited(request: HttpRequest) -> dict[str, Any]:
    """Which reader it is; the coordinator may end an invitation at any moment."""
    number, key = request.session.get("reader", (0, ""))
    return {"pk": number, "key": key, "revoked": None}


def _ready(request: HttpRequest) -> Reader:
    """The reader, who has agreed and checked the display."""
    reader = reader_of(request)
    if reader.consented is None or not request.session.get("checked"):
        raise PermissionDenied
    return reader


def _position(post: Any) -> int:
    text = post.get("position", "")
    if not (text.isascii() and text.isdecimal() and len(text) < 7):
        raise Refused("a position is a number")
    return int(text)


def _scale(post: Any) -> float | None:
    try:
        scale = float(post.get("scale", ""))
    except ValueError:
        return None
    return scale if isfinite(scale) else None


def _step(way: Reading, post: Any) -> dict[str, Any]:
    return way.step(_position(post) if post.get("position") else None)


STEPS: dict[str, Callable[[Reading, Any], dict[str, Any]]] = {
    "state": _step,
    "go": lambda way, post: way.go(),
    "shown": lambda way, post: way.shown(_position(post), _scale(post)),
    "answer": lambda way, post: way.answer(_position(post), post.get("answer", "")),
    "details": lambda way, post: way.details(_position(post), post),
}


def _result(reader: Reader) -> dict[str, int] | None:
    """The reader's own result, if the design tells it."""
    study = the_study()
    if not study.settings.show_result:
        return None
    truth = {image.name: image.truth for image in study.images if not image.practice}
    answers = [(truth[image], said) for image, said in reader.showings.values_list("image", "answer") if image in truth]
    return {
        "right": sum(real == said for real, said in answers),
        "of": len(answers),
        "late": sum(said == TIMED_OUT for _, said in answers),
    }
