"""What a site answers when a request cannot be served: JSON for programs, a page for people, never a traceback."""

import errno
import sys
from collections.abc import Callable

from django.conf import settings
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse, UnreadablePostError
from django.template.loader import render_to_string
from django.views.defaults import page_not_found

from radcommons.errors import DiskFull

FOR_PROGRAMS = ("/api/",)
OF_PROGRAMS = "/resolve/"  # files, in Hugging Face's protocol
NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
SECONDS_UNTIL_AGAIN = "5"


class Faults:
    """Middleware: refuses what no database takes, and answers for a database that is away and a disk that is full."""

    def __init__(self, answer: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.answer = answer

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """A NUL character, of which PostgreSQL stores none, is in no name."""
        if "\0" in request.path or "%00" in request.META.get("QUERY_STRING", ""):
            return said(request, 400, "a name has no NUL character")
        return self.answer(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponseBase | None:
        """The answer to what went wrong in a view, if it is none of the program's own mistakes."""
        return _answer_to(request, error)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    """Django's handler404."""
    if _is_program(request):
        response = said(request, 404, "there is nothing at this address")
        response["X-Error-Code"] = "EntryNotFound"
        return response
    return page_not_found(request, exception)


def server_error(request: HttpRequest) -> HttpResponseBase:
    """Django's handler500: also for what goes wrong outside of views, as in sessions."""
    error = sys.exc_info()[1]
    answer = _answer_to(request, error) if isinstance(error, Exception) else None
    return answer or said(request, 500, "the server made a mistake; its operator finds the reason in the log")


def said(request: HttpRequest, status: int, sentence: str) -> HttpResponse:
    """A status with one sentence."""
    if _is_program(request):
        return JsonResponse({"error": sentence, "errors": [sentence]}, status=status)
    sentence = f"{sentence[0].upper()}{sentence[1:]}."
    page = {"sentence": sentence, "status": status, "site_name": settings.SITE_NAME}
    return HttpResponse(render_to_string("web/fault.html", page), status=status)  # without the request: no database


def _answer_to(request: HttpRequest, error: Exception) -> HttpResponse | None:
    if isinstance(error, OperationalError | InterfaceError):
        response = said(request, 503, "the database does not answer; try again in a moment")
        response["Retry-After"] = SECONDS_UNTIL_AGAIN
        return response
    if isinstance(error, DiskFull) or (isinstance(error, OSError) and error.errno in NO_ROOM):
        return said(request, 507, "the disk of the server is full; nothing was lost, tell the operator")
    if isinstance(error, UnreadablePostError):
        return said(request, 400, "the request broke off")
    return None


def _is_program(request: HttpRequest) -> bool:
    return request.path.startswith(FOR_PROGRAMS) or OF_PROGRAMS in request.path
