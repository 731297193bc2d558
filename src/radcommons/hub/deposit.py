"""How a package comes in: announced, uploaded in pieces that can be resumed, submitted, and examined by the gate.

A piece is a PATCH with the header `Upload-Offset`, and HEAD says how far a file has come, as in the tus protocol 1.0.
Nothing of a deposit is public before the gate let it through.
"""

import json
import re
import secrets
import shutil
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

from django.conf import settings
from django.db import transaction
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods
from filelock import Timeout

from radcommons.hub.models import Deposit, Generator, LogEntry, Organisation, Revision, Token, slug
from radcommons.hub.publishing import withdraw_generator
from radcommons.hub.staging import in_turn, size_here, staged, staging
from radcommons.packages.contents import LARGEST, LARGEST_PICTURE, MOST_PICTURES, NEEDED, PICTURE, WEIGHTS
from radcommons.records import sha256_file

PIECE = 16 * 2**20  # bytes of one PATCH, at most
LONGEST_BODY = 2**20  # bytes of a JSON body
LONGEST_REASON = 2_000  # characters
MOST_OPEN = 20  # deposits of an organisation that are not published, refused or given up
SPARE = 2**30  # bytes of the disk that deposits leave free
DIGEST = re.compile(r"[0-9a-f]{64}")
OPEN = (Deposit.State.UPLOADING, Deposit.State.SUBMITTED, Deposit.State.EXAMINING)


class Refused(Exception):
    """An answer that says what is wrong with a request."""

    def __init__(self, status: int, *reasons: str) -> None:
        super().__init__("; ".join(reasons))
        self.status, self.reasons = status, reasons


def with_token(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """A view for programs: they show a token in the header Authorization, and have no session."""

    @csrf_exempt
    @wraps(view)
    def answer(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        scheme, _, text = request.headers.get("Authorization", "").partition(" ")
        token = Token.valid(text.strip()) if scheme.lower() == "bearer" else None
        try:
            if token is None:
                raise Refused(401, "no valid token: it is missing, wrong, expired or revoked; ask the operator for one")
            response = view(request, token, *args, **kwargs)
        except Refused as refused:
            response = JsonResponse({"errors": list(refused.reasons)}, status=refused.status)
            if refused.status == 401:
                response["WWW-Authenticate"] = "Bearer"
        except Timeout:
            response = JsonResponse({"errors": ["another request works on this deposit; try again"]}, status=409)
        response["Cache-Control"] = "no-store"
        return response

    return answer


@with_token
@require_http_methods(["POST"])
def begin(request: HttpRequest, token: Token) -> HttpResponse:
    """Announce a package: its name, and size and digest of every file. The same announcement continues."""
    asked = _json(request)
    organisation, _, name = str(asked.get("generator", "")).partition("/")
    if organisation != token.organisation.name:
        raise Refused(403, f"this token is for {token.organisation}, not for {organisation[:64] or 'nobody'}")
    if not slug.regex.match(name):
        raise Refused(400, f"the name {name[:64]!r} is not allowed: {slug.message}")
    if Generator.objects.filter(organisation=token.organisation, name=name, withdrawn__isnull=False).exists():
        raise Refused(410, f"{organisation}/{name} was withdrawn; its name is not used again")
    files = announced(asked.get("files"))
    weights = files[WEIGHTS][1]
    gone = Revision.objects.filter(weights_sha256=weights, generator__withdrawn__isnull=False).first()
    if gone is not None:
        raise Refused(410, f"these weights were withdrawn, as {gone.generator}")
    with transaction.atomic():
        Organisation.objects.select_for_update().get(pk=token.organisation.pk)  # one announcement at a time
        open_ones = list(token.organisation.deposits.filter(state__in=OPEN))
        uploading = [one for one in open_ones if one.state == Deposit.State.UPLOADING]
        found = next((one for one in uploading if one.name == name and one.files == files), None)
        if found is None:
            if len(open_ones) >= MOST_OPEN:
                raise Refused(429, f"{organisation} has {MOST_OPEN} unfinished deposits; finish them or give them up")
            if shutil.disk_usage(settings.RADCOMMONS_DATA).free < SPARE + sum(size for size, _ in files.values()):
                raise Refused(507, "the disk of the hub has too little room for this deposit; tell its operator")
            found = Deposit.objects.create(
                id=secrets.token_hex(16), organisation=token.organisation, name=name, user=token.user, files=files
            )
            LogEntry.add(token.user.get_username(), "deposit begun", found)
    return JsonResponse(described(found), status=201)


@with_token
@require_http_methods(["HEAD", "PATCH"])
def upload(request: HttpRequest, token: Token, deposit_id: str, path: str) -> HttpResponse:
    """HEAD: how many bytes of a file are here. PATCH: the next piece, from just that offset on."""
    deposit = deposit_of(token, deposit_id)
    if path not in deposit.files:
        raise Refused(404, f"{path[:100]} was not announced")
    size, _ = deposit.files[path]
    target = staged(deposit) / path
    if request.method == "PATCH":
        offset, length = (_number(request, name) for name in ("Upload-Offset", "Content-Length"))
        if length > PIECE:
            raise Refused(413, f"a piece has at most {PIECE} bytes")
        piece = request.body  # all of it, before another request has to wait
        with in_turn(deposit):
            if deposit.state != Deposit.State.UPLOADING:
                raise Refused(409, f"the deposit is {deposit.get_state_display()}; begin another")
            here = size_here(target)
            if offset != here:
                raise Refused(409, f"{here} bytes of {path} are here; go on from there")
            if offset + len(piece) > size:
                raise Refused(413, f"{path} was announced with {size} bytes")
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("ab") as file:
                file.write(piece)
    response = HttpResponse(status=204 if request.method == "PATCH" else 200)
    response["Upload-Offset"], response["Upload-Length"] = str(size_here(target)), str(size)
    return response


@with_token
@require_http_methods(["POST"])
def submit(request: HttpRequest, token: Token, deposit_id: str) -> HttpResponse:
    """Hand the deposit to the gate; refused, with every file that is not whole, if one is not."""
    from radcommons.hub.tasks import examine

    deposit = deposit_of(token, deposit_id)
    if deposit.state == Deposit.State.UPLOADING:
        with in_turn(deposit):
            if deposit.state == Deposit.State.UPLOADING:
                if faults := faults_of(deposit):
                    raise Refused(409, *faults)
                with transaction.atomic():
                    deposit.state = Deposit.State.SUBMITTED
                    deposit.save()
                    LogEntry.add(token.user.get_username(), "deposit submitted", deposit)
                    examine.enqueue(deposit.pk)
    if deposit.state == Deposit.State.ABANDONED:
        raise Refused(409, "the deposit was given up; begin another")
    return JsonResponse(described(deposit), status=202)


@with_token
@require_http_methods(["GET", "DELETE"])
def deposit(request: HttpRequest, token: Token, deposit_id: str) -> HttpResponse:
    """GET: the state and, after the gate, its verdict. DELETE: give it up."""
    found = deposit_of(token, deposit_id)
    if request.method == "DELETE" and found.state == Deposit.State.UPLOADING:
        with in_turn(found):
            if found.state == Deposit.State.UPLOADING:
                with transaction.atomic():
                    found.state = Deposit.State.ABANDONED
                    found.save()
                    LogEntry.add(token.user.get_username(), "deposit given up", found)
                shutil.rmtree(staging(found), ignore_errors=True)
    return JsonResponse(described(found))


@with_token
@require_http_methods(["POST"])
def withdraw(request: HttpRequest, token: Token, organisation: str, name: str) -> HttpResponse:
    """Take a generator away; what stays is its name, with the reason."""
    if token.scope != Token.Scope.WITHDRAW:
        raise Refused(403, "this token cannot withdraw; ask for one with the scope 'withdraw'")
    generator = Generator.objects.filter(organisation=token.organisation, name=name).first()
    if organisation != token.organisation.name or generator is None:
        raise Refused(404, f"{token.organisation} has no generator {organisation[:64]}/{name[:64]}")
    reason = " ".join(str(_json(request).get("reason") or "").split())
    if not 0 < len(reason) <= LONGEST_REASON:
        raise Refused(400, f"a withdrawal needs a reason of at most {LONGEST_REASON} characters; everybody can read it")
    if not withdraw_generator(generator, token.user.get_username(), reason):
        raise Refused(410, f"{generator} was withdrawn before")
    return JsonResponse({"generator": generator.reference, "withdrawn": True, "reason": reason})


def announced(files: Any) -> dict[str, list[Any]]:
    """Size and digest of every announced file; raises Refused with everything that is wrong."""
    if not isinstance(files, dict) or not files:
        raise Refused(400, "'files' is an object: each path with its 'size' and 'sha256'")
    if len(files) > MOST_PICTURES + len(LARGEST):
        raise Refused(400, f"{len(files)} files, at most {MOST_PICTURES + len(LARGEST)} are allowed")
    faults = [f"{name} is missing" for name in NEEDED if name not in files]
    checked: dict[str, list[Any]] = {}
    pictures = 0
    for path, about in files.items():
        is_picture = PICTURE.fullmatch(path) is not None
        pictures += is_picture
        most = LARGEST_PICTURE if is_picture else LARGEST.get(path)
        size = about.get("size") if isinstance(about, dict) else None
        digest = about.get("sha256") if isinstance(about, dict) else None
        if most is None:
            faults.append(f"{path[:100]!r} does not belong in a package")
        elif type(size) is not int or not 0 <= size <= most:
            faults.append(f"{path}: its size is not from 0 to {most} bytes")
        elif not isinstance(digest, str) or not DIGEST.fullmatch(digest):
            faults.append(f"{path}: its sha256 is not 64 hexadecimal digits")
        else:
            checked[path] = [size, digest]
    if pictures > MOST_PICTURES:
        faults.append(f"{pictures} pictures, at most {MOST_PICTURES} are allowed")
    if faults:
        raise Refused(400, *faults[:50])
    return checked


def faults_of(deposit: Deposit) -> list[str]:
    """Files that are not here in full, or whose content is not the announced one."""
    faults = []
    for path, (size, digest) in deposit.files.items():
        target = staged(deposit) / path
        here = size_here(target)
        if here != size:
            faults.append(f"{path}: {here} of {size} bytes are here")
        elif size == 0 and not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            target.touch()
        elif sha256_file(target) != digest:
            target.unlink()
            faults.append(f"{path}: its content is not what was announced; upload it again")
    return faults


def described(deposit: Deposit) -> Mapping[str, Any]:
    """A deposit for its depositor."""
    uploading = deposit.state == Deposit.State.UPLOADING
    return {
        "id": deposit.pk,
        "generator": f"{deposit.organisation.name}/{deposit.name}",
        "state": deposit.state,
        "words": deposit.get_state_display(),
        "files": {path: {"size": size, "sha256": digest} for path, (size, digest) in deposit.files.items()},
        "here": {path: size_here(staged(deposit) / path) for path in deposit.files} if uploading else None,
        "verdict": deposit.verdict,
        "revision": deposit.revision.sha if deposit.revision else None,
        "piece": PIECE,
    }


def deposit_of(token: Token, deposit_id: str) -> Deposit:
    """A deposit of the token's organisation; raises Refused, and does not say whether others have it."""
    found = Deposit.objects.select_related("organisation", "revision").filter(
        pk=deposit_id, organisation=token.organisation
    )
    deposit: Deposit | None = found.first()
    if deposit is None:
        raise Refused(404, f"{token.organisation} has no deposit {deposit_id[:32]}")
    return deposit


def _number(request: HttpRequest, header: str) -> int:
    text = request.headers.get(header, "")
    if not re.fullmatch("[0-9]{1,18}", text):
        raise Refused(400, "a piece has the headers Upload-Offset and Content-Length, each a number")
    return int(text)


def _json(request: HttpRequest) -> dict[str, Any]:
    """The object that a request holds; raises Refused also for what is no text that a database can keep."""
    if len(request.body) > LONGEST_BODY:
        raise Refused(413, f"the body has more than {LONGEST_BODY} bytes")
    try:
        found = json.loads(request.body or b"{}")
        text = json.dumps(found, ensure_ascii=False)
        text.encode()
    except (ValueError, RecursionError):  # UnicodeEncodeError, of half a surrogate pair, is a ValueError
        found, text = None, ""
    if not isinstance(found, dict):
        raise Refused(400, "the body is not a JSON object")
    if "\\u0000" in text:
        raise Refused(400, "a text has no NUL character")
    return found
