"""The hub's reads, in the protocol of the Hugging Face Hub, so that its clients work unchanged.

Revisions are named by their sha; "main" is the newest. A withdrawn generator answers 410 with the reason.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import wraps
from typing import Any

from django.core.files.storage import default_storage
from django.db import OperationalError
from django.db.models import F, Q, QuerySet
from django.http import FileResponse, HttpRequest, HttpResponse, JsonResponse
from django.utils.http import parse_etags
from django.views.decorators.http import require_safe

from radcommons.hub.files import content_name
from radcommons.hub.models import Generator, Revision, RevisionFile, SigningKey
from radcommons.packages.contents import WEIGHTS

MAIN = "main"
UNREAD = ("verdict",)  # of a revision: what its description and lists do not show
MOST_LISTED = 1_000
LAST_CURSOR = 10**9
MOST_TAGS = 10  # each one joins a table
LONGEST_SEARCH = 200  # characters
RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})")
KINDS = {".png": "image/png", ".gif": "image/gif"}  # everything else is sent as bytes, which no browser runs
SORTS = {  # value of `sort`: order, best first; what a generator lacks comes last
    "createdAt": F("published").desc(),
    "lastModified": F("published").desc(),
    "downloads": F("downloads").desc(),
    "fid": F("fid").asc(nulls_last=True),
    "coverage": F("coverage").desc(nulls_last=True),
    "recall": F("recall").desc(nulls_last=True),
}


class NotHere(Exception):
    """An answer other than 200: status, the code that clients know, and a sentence."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


def protocol(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """A view that only reads, and whose NotHere becomes the answer that clients understand."""

    @require_safe
    @wraps(view)
    def answer(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            return view(request, *args, **kwargs)
        except NotHere as absent:
            response = JsonResponse({"error": absent.message}, status=absent.status)
            response["X-Error-Code"] = absent.code
            line = "".join(letter if letter.isprintable() else " " for letter in absent.message)
            response["X-Error-Message"] = line.encode("ascii", "replace").decode()  # as headers have to be
            return response

    return answer


def found(organisation: str, name: str, revision: str = MAIN) -> Revision:
    """A published revision by name, sha or "main"; raises NotHere."""
    chosen = Revision.objects.select_related("generator__organisation").defer(*UNREAD)
    published = next(iter(chosen.filter(**_named(organisation, name, revision))), None)
    if published is None:
        raise _absent(organisation, name, revision)
    return published


def files_of(organisation: str, name: str, revision: str) -> QuerySet[RevisionFile]:
    """The files of a published revision, each with the revision's `sha`; none if it is not here."""
    of_revision = {f"revision__{key}": value for key, value in _named(organisation, name, revision).items()}
    return RevisionFile.objects.filter(**of_revision).annotate(sha=F("revision__sha"))


def _named(organisation: str, name: str, revision: str) -> dict[str, Any]:
    return {
        "generator__organisation__name": organisation,
        "generator__name": name,
        "generator__withdrawn__isnull": True,
        **({"latest": True} if revision == MAIN else {"sha": revision}),
    }


def _absent(organisation: str, name: str, revision: str) -> NotHere:
    """Why a revision is not here."""
    generator = (
        Generator.objects.select_related("organisation").filter(organisation__name=organisation, name=name).first()
    )
    if generator is None:
        return NotHere(404, "RepoNotFound", f"there is no generator {organisation[:64]}/{name[:64]}")
    if generator.withdrawn is not None:
        day = generator.withdrawn.date().isoformat()
        because = _one_line(generator.withdrawn_because)
        return NotHere(410, "RepoWithdrawn", f"{generator} was withdrawn on {day}: {because}")
    return NotHere(404, "RevisionNotFound", f"{generator} has no revision {revision[:64]}")


def listed() -> QuerySet[Revision]:
    """The newest revision of every generator that is there."""
    return Revision.objects.select_related("generator__organisation").filter(
        latest=True, generator__withdrawn__isnull=True
    )


def searched(chosen: QuerySet[Revision], words: str) -> QuerySet[Revision]:
    """Those whose name, or whose organisation's, has the words; "ORG/NAME" looks in one organisation."""
    if not words:
        return chosen
    organisation, slash, name = words[:LONGEST_SEARCH].partition("/")
    if slash:
        return chosen.filter(generator__organisation__name=organisation, generator__name__icontains=name)
    return chosen.filter(
        Q(generator__name__icontains=organisation) | Q(generator__organisation__name__icontains=organisation)
    )


def rows_of(ordered: QuerySet[Revision], start: int, stop: int) -> list[Revision]:
    """A part of a list. Numbers are sorted first, and only the part's rows, which are long, are read."""
    numbers = list(ordered.values_list("pk", flat=True)[start:stop])
    rows = Revision.objects.select_related("generator__organisation").defer(*UNREAD).in_bulk(numbers)
    return [rows[number] for number in numbers if number in rows]


@protocol
def models(request: HttpRequest) -> HttpResponse:
    """`list_models`: search, filter by tags and author, order, pages by the header Link."""
    limit = _number(request, "limit", 100, at_least=1, at_most=MOST_LISTED)
    start = _number(request, "cursor", 0, at_least=0, at_most=LAST_CURSOR)
    order = SORTS.get(request.GET.get("sort", ""), SORTS["createdAt"])
    chosen = listed().order_by(order, "-id")
    if author := request.GET.get("author"):
        chosen = chosen.filter(generator__organisation__name=author)
    chosen = searched(chosen, request.GET.get("search", ""))
    tags = {tag for given in request.GET.getlist("filter") for tag in given.split(",") if tag}
    if len(tags) > MOST_TAGS:
        raise NotHere(400, "BadRequest", f"filter by at most {MOST_TAGS} tags")
    for tag in tags:
        chosen = chosen.filter(tags__tag=tag)
    page = rows_of(chosen, start, start + limit + 1)
    response = JsonResponse([described(revision, files=False) for revision in page[:limit]], safe=False)
    if len(page) > limit:
        query = request.GET.copy()
        query["cursor"] = str(start + limit)
        response["Link"] = f'<{request.build_absolute_uri(request.path)}?{query.urlencode()}>; rel="next"'
    return response


@protocol
def model(request: HttpRequest, organisation: str, name: str, revision: str = MAIN) -> HttpResponse:
    """`model_info`."""
    return JsonResponse(described(found(organisation, name, revision), files=True))


@protocol
def tree(request: HttpRequest, organisation: str, name: str, revision: str) -> HttpResponse:
    """`list_repo_tree`: every file with its size and digest."""
    files = list(files_of(organisation, name, revision).order_by("path"))
    if not files:
        found(organisation, name, revision)
    return JsonResponse(
        [
            {
                "type": "file",
                "path": file.path,
                "size": file.size,
                "oid": file.sha256[:40],
                "lfs": {"oid": file.sha256, "size": file.size, "pointerSize": 134},
            }
            for file in files
        ],
        safe=False,
    )


@protocol
def resolve(request: HttpRequest, organisation: str, name: str, revision: str, path: str) -> HttpResponse:
    """A file, whole or a range of it."""
    file = next(iter(files_of(organisation, name, revision).filter(path=path)), None)
    if file is None:
        published = found(organisation, name, revision)
        raise NotHere(404, "EntryNotFound", f"{published.generator} has no file {path[:200]}")
    response = sent(request, file)
    response["X-Repo-Commit"] = file.sha
    if request.method == "GET" and path == WEIGHTS and response.status_code == 200:
        with suppress(OperationalError):  # a busy database loses a count, not a download
            Revision.objects.filter(pk=file.revision_id).update(downloads=F("downloads") + 1)
    return response


@protocol
def key(request: HttpRequest, fingerprint: str) -> HttpResponse:
    """The public key that an organisation registered, as PEM."""
    found = SigningKey.objects.filter(fingerprint=fingerprint).first()
    if found is None:
        raise NotHere(404, "EntryNotFound", f"there is no key {fingerprint[:64]}")
    return HttpResponse(found.pem, content_type="application/x-pem-file")


def sent(request: HttpRequest, file: RevisionFile) -> HttpResponse:
    """The answer that sends a file, or the range of it that is asked for. Its digest is its ETag."""
    etag = f'"{file.sha256}"'
    always = {"ETag": etag, "Cache-Control": "no-cache", "Accept-Ranges": "bytes"}  # a withdrawn file leaves caches
    known = parse_etags(request.headers.get("If-None-Match", ""))
    if {"*", etag, f"W/{etag}"} & set(known):
        return HttpResponse(status=304, headers=always)
    first, last, status = 0, file.size - 1, 200
    wanted = RANGE.fullmatch(request.headers.get("Range", ""))
    if wanted and request.headers.get("If-Range", etag) == etag and any(wanted.groups()):
        begin, end = wanted.groups()
        first = int(begin) if begin else max(0, file.size - int(end))
        last = min(file.size - 1, int(end)) if begin and end else file.size - 1
        status = 206
        if first > last:
            return HttpResponse(status=416, headers={**always, "Content-Range": f"bytes */{file.size}"})
    length = last - first + 1
    headers = {
        **always,
        "Content-Length": str(length),
        "Content-Disposition": f'attachment; filename="{file.path.rpartition("/")[2]}"',
    }
    if status == 206:
        headers["Content-Range"] = f"bytes {first}-{last}/{file.size}"
    kind = KINDS.get(file.path[-4:], "application/octet-stream")
    if request.method == "HEAD":
        return HttpResponse(status=status, headers=headers, content_type=kind)
    try:
        content = default_storage.open(content_name(file.sha256))
    except FileNotFoundError:
        raise NotHere(410, "EntryNotFound", f"{file.path} is not here any more") from None
    content.seek(first)
    rest = content if last == file.size - 1 else _pieces(content, length)  # a file is sent by the kernel
    response = FileResponse(rest, status=status, content_type=kind)
    for name, value in headers.items():
        response[name] = value
    return response


def _number(request: HttpRequest, name: str, default: int, *, at_least: int, at_most: int) -> int:
    text = request.GET.get(name) or str(default)
    if not re.fullmatch("[0-9]{1,18}", text):
        raise NotHere(400, "BadRequest", f"{name} is a number")
    return min(at_most, max(at_least, int(text)))


def described(revision: Revision, *, files: bool) -> dict[str, Any]:
    """A revision as the Hugging Face Hub describes one."""
    reference, published = revision.generator.reference, revision.published.isoformat().replace("+00:00", "Z")
    info = {
        "_id": str(revision.pk),
        "id": reference,
        "modelId": reference,
        "author": revision.generator.organisation.name,
        "sha": revision.sha,
        "lastModified": published,
        "createdAt": revision.generator.created.isoformat().replace("+00:00", "Z"),
        "private": False,
        "gated": False,
        "disabled": False,
        "downloads": revision.downloads,
        "likes": 0,
        "library_name": "radcommons",
        "pipeline_tag": "unconditional-image-generation",
        "tags": revision.summary["tags"],
        "radcommons": {
            "key_fingerprint": revision.key_fingerprint,
            **{name: value for name, value in revision.summary.items() if name != "tags"},
        },
    }
    if files:
        info["siblings"] = [
            {"rfilename": path} for path in revision.files.order_by("path").values_list("path", flat=True)
        ]
        info["cardData"] = revision.summary["card"]
    return info


def _pieces(content: Any, length: int) -> Iterator[bytes]:
    with content:
        while length > 0 and (piece := content.read(min(length, 2**18))):
            length -= len(piece)
            yield piece


def _one_line(text: str) -> str:
    return " ".join(text.split())
