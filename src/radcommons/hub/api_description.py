"""The hub's programming interface, described as OpenAPI 3.1: what `radcommons hub` and other clients call."""

from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.http import require_safe

from radcommons import __version__
from radcommons.hub.deposit import LONGEST_REASON, PIECE
from radcommons.hub.models import Deposit, slug

NAME = {"type": "string", "pattern": slug.regex.pattern.replace("\\Z", "$").replace("(?:", "("), "maxLength": 64}
SHA256 = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
BYTES = {"type": "integer", "minimum": 0}
STRING: dict[str, Any] = {"type": "string"}


@require_safe
def openapi(request: HttpRequest) -> HttpResponse:
    """The description."""
    return JsonResponse(DESCRIPTION)


def _parameter(name: str, kind: dict[str, Any], *, where: str = "path", words: str = "") -> dict[str, Any]:
    return {"name": name, "in": where, "required": where in ("path", "header"), "schema": kind, "description": words}


def _json(sentence: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": sentence, "content": {"application/json": {"schema": schema}}}


def _answers(answers: dict[int, dict[str, Any]], *failures: int) -> dict[str, Any]:
    """The answers of an operation; every failure says in words what is wrong."""
    failure = {"$ref": "#/components/schemas/Failure"}
    bad = {number: _json(FAILURES[number], failure) for number in (*failures, 400, 503)}
    return {"responses": {str(status): answer for status, answer in (bad | answers).items()}}


FAILURES = {
    400: "the request is wrong; the answer names every mistake",
    401: "the token is missing, wrong, expired or revoked",
    403: "the token is for another organisation, or may not do this",
    404: "there is no such thing",
    409: "not in this state; the answer says what to do",
    410: "withdrawn; the answer says why",
    413: "too long",
    429: "too many unfinished deposits",
    503: "the database does not answer; try again",
    507: "the disk is full",
}
GENERATOR = [_parameter("organisation", NAME), _parameter("name", NAME)]
REVISION = _parameter("revision", STRING, words='40 hexadecimal digits, or "main"')
DEPOSIT = _parameter("deposit", {"type": "string", "pattern": "^[0-9a-f]{32}$"})
PATH = _parameter("path", STRING, words="of a file in the package")
MODEL = {"$ref": "#/components/schemas/Generator"}
ABOUT_DEPOSIT = {"$ref": "#/components/schemas/Deposit"}
FILE = {
    "description": "the file, or the range of it",
    "content": {"application/octet-stream": {}, "image/png": {}, "image/gif": {}},
}
NO_CONTENT = {"description": "nothing to send"}
TOKEN: dict[str, Any] = {"security": [{"token": []}]}

DESCRIPTION: dict[str, Any] = {
    "openapi": "3.1.0",
    "info": {
        "title": "RadCommons hub",
        "version": __version__,
        "description": "Reads follow the protocol of the Hugging Face Hub; deposits are the hub's own.",
    },
    "paths": {
        "/api/models": {
            "get": {
                "summary": "List generators; the header Link names the next page.",
                "parameters": [
                    _parameter(name, kind, where="query", words=words)
                    for name, kind, words in (
                        ("search", STRING, "part of a name, or ORG/PART"),
                        ("author", STRING, "an organisation"),
                        ("filter", STRING, "tags that it must have, with commas between them"),
                        ("sort", STRING, "createdAt, downloads, fid, coverage or recall"),
                        ("limit", {"type": "integer", "minimum": 1}, "generators on a page"),
                        ("cursor", {"type": "integer", "minimum": 0}, "where the page begins"),
                    )
                ],
                **_answers({200: _json("generators", {"type": "array", "items": MODEL})}),
            }
        },
        "/api/models/{organisation}/{name}": {
            "get": {
                "summary": "The newest revision of a generator.",
                "parameters": GENERATOR,
                **_answers({200: _json("a generator", MODEL)}, 404, 410),
            }
        },
        "/api/models/{organisation}/{name}/revision/{revision}": {
            "get": {
                "summary": "A revision of a generator.",
                "parameters": [*GENERATOR, REVISION],
                **_answers({200: _json("a generator", MODEL)}, 404, 410),
            }
        },
        "/api/models/{organisation}/{name}/tree/{revision}": {
            "get": {
                "summary": "Files of a revision, with size and digest.",
                "parameters": [*GENERATOR, REVISION],
                **_answers({200: _json("files", {"type": "array", "items": {"type": "object"}})}, 404, 410),
            }
        },
        "/{organisation}/{name}/resolve/{revision}/{path}": {
            "get": {
                "summary": "A file; Range and If-None-Match are understood.",
                "parameters": [*GENERATOR, REVISION, PATH],
                **_answers({200: FILE, 206: FILE, 304: NO_CONTENT, 416: NO_CONTENT}, 404, 410),
            }
        },
        "/api/keys/{fingerprint}": {
            "get": {
                "summary": "The public key of an organisation.",
                "parameters": [_parameter("fingerprint", SHA256)],
                **_answers({200: {"description": "PEM", "content": {"application/x-pem-file": {}}}}, 404),
            }
        },
        "/api/deposits": {
            "post": {
                "summary": "Announce a package; the same announcement continues an unfinished one.",
                "requestBody": {
                    "required": True,
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Announcement"}}},
                },
                **_answers({201: _json("the deposit", ABOUT_DEPOSIT)}, 401, 403, 410, 413, 429, 507),
                **TOKEN,
            }
        },
        "/api/deposits/{deposit}": {
            "get": {
                "summary": "State of a deposit and, after the gate, its verdict.",
                "parameters": [DEPOSIT],
                **_answers({200: _json("the deposit", ABOUT_DEPOSIT)}, 401, 404),
                **TOKEN,
            },
            "delete": {
                "summary": "Give an unfinished deposit up.",
                "parameters": [DEPOSIT],
                **_answers({200: _json("the deposit", ABOUT_DEPOSIT)}, 401, 404, 409),
                **TOKEN,
            },
        },
        "/api/deposits/{deposit}/files/{path}": {
            "patch": {
                "summary": "The next piece of a file.",
                "parameters": [
                    DEPOSIT,
                    PATH,
                    _parameter("Upload-Offset", BYTES, where="header", words="bytes that are here already"),
                ],
                "requestBody": {
                    "required": True,
                    "description": f"at most {PIECE} bytes",
                    "content": {"application/offset+octet-stream": {"schema": {"type": "string", "format": "binary"}}},
                },
                **_answers(
                    {204: {"description": "taken; Upload-Offset says how many bytes are here"}}, 401, 404, 409, 413, 507
                ),
                **TOKEN,
            },
        },
        "/api/deposits/{deposit}/submit": {
            "post": {
                "summary": "Hand the deposit to the gate.",
                "parameters": [DEPOSIT],
                **_answers({202: _json("the deposit", ABOUT_DEPOSIT)}, 401, 404, 409),
                **TOKEN,
            }
        },
        "/api/generators/{organisation}/{name}/withdraw": {
            "post": {
                "summary": "Take a generator away for good.",
                "parameters": GENERATOR,
                "requestBody": {
                    "required": True,
                    "content": {
                        "application/json": {
                            "schema": {
                                "type": "object",
                                "properties": {
                                    "reason": {"type": "string", "minLength": 1, "maxLength": LONGEST_REASON}
                                },
                                "required": ["reason"],
                            }
                        }
                    },
                },
                **_answers({200: _json("what was withdrawn", {"type": "object"})}, 401, 403, 404, 410, 413),
                **TOKEN,
            }
        },
    },
    "components": {
        "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        "schemas": {
            "Failure": {
                "type": "object",
                "properties": {"error": STRING, "errors": {"type": "array", "items": STRING}},
            },
            "Generator": {
                "type": "object",
                "properties": {
                    "id": STRING,
                    "sha": {"type": "string", "pattern": "^[0-9a-f]{40}$"},
                    "tags": {"type": "array", "items": STRING},
                    "downloads": BYTES,
                    "radcommons": {"type": "object"},
                },
                "required": ["id", "sha", "tags", "downloads", "radcommons"],
            },
            "Announcement": {
                "type": "object",
                "properties": {
                    "generator": {"type": "string", "description": "ORG/NAME"},
                    "files": {
                        "type": "object",
                        "additionalProperties": {
                            "type": "object",
                            "properties": {"size": BYTES, "sha256": SHA256},
                            "required": ["size", "sha256"],
                        },
                    },
                },
                "required": ["generator", "files"],
            },
            "Deposit": {
                "type": "object",
                "properties": {
                    "id": STRING,
                    "generator": STRING,
                    "state": {"enum": list(Deposit.State.values)},
                    "words": STRING,
                    "files": {"type": "object"},
                    "here": {"type": ["object", "null"], "description": "bytes that are here, while it is uploaded"},
                    "verdict": {"type": ["object", "null"]},
                    "revision": {"type": ["string", "null"]},
                    "piece": {"type": "integer", "description": "the longest piece, bytes"},
                },
                "required": ["id", "generator", "state", "files", "here", "verdict", "revision", "piece"],
            },
        },
    },
}
