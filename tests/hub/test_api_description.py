"""The interface answers as described, whatever it is asked: no other status, no other form, no fault of its own."""

import re
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from schemathesis.transport.serialization import serialize_binary

from radcommons.hub.api_description import DESCRIPTION

# One database is enough: PostgreSQL, where it is installed, as it takes less.
pytestmark = pytest.mark.parametrize(
    "database", ["PostgreSQL" if any(Path("/usr/lib/postgresql").glob("1[5-9]/bin")) else "SQLite"], indirect=True
)
EXAMPLES = 6  # of each kind of question, without and with a token
PIECE = "application/offset+octet-stream"
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
OPERATIONS = [f"{method.upper()} {path}" for path, methods in DESCRIPTION["paths"].items() for method in methods]


@schemathesis.serializer(PIECE)
def bytes_of(context: Any, value: Any) -> bytes:
    return serialize_binary(value)


def answer(environment: dict[str, Any], start_response: Any) -> list[bytes]:
    """The hub; what it sends is read to its end and closed, as a server does."""
    from django.core.wsgi import get_wsgi_application

    with closing(get_wsgi_application()(environment, start_response)) as pieces:
        return [b"".join(pieces)]


@pytest.fixture
def known(browser: Any, anna: Any, published: Any, announce: Any, packaged: Path) -> dict[str, Any]:
    """What the hub has, by the names of parameters; "body" is an announcement that it accepts."""
    sha = published(packaged, anna, "chest").sha
    announced = announce(packaged, "clinic-a/new")
    begun = browser.post("/api/deposits", announced, content_type="application/json", headers=anna.headers())
    key = browser.get("/api/models/clinic-a/chest").json()["radcommons"]["key_fingerprint"]
    names = {"organisation": "clinic-a", "name": "chest", "revision": sha, "path": "config.json", "fingerprint": key}
    return {**names, "deposit": begun.json()["id"], "body": announced}


@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_answer_is_one_that_is_described(browser: Any, anna: Any, known: dict[str, Any], operation: str) -> None:
    schema = schemathesis.openapi.from_dict(browser.get("/api/openapi.json").json(), config=schemathesis.Config())
    schema.app = answer
    method, path = operation.split(" ")
    found = schema[path][method]
    valid, invalid = GenerationMode.POSITIVE, GenerationMode.NEGATIVE
    here = {name: known[name] for name in re.findall(r"{(\w+)}", path)}
    all_but_one = [{name: here[name] for name in here if name != left_out} for left_out in here]
    asked = [found.as_strategy(valid, path_parameters=here), found.as_strategy(invalid)]
    asked += [found.as_strategy(valid, path_parameters=some) for some in all_but_one]
    if method == "PATCH":
        asked.append(found.as_strategy(valid, path_parameters=here, headers={"Upload-Offset": "0"}))
    if path == "/api/deposits":
        asked.append(found.as_strategy(valid, body=known["body"], media_type="application/json"))
    for headers in ({}, anna.headers(scope="withdraw")):
        for cases in asked:
            holds_for(cases, headers)()


def holds_for(cases: Any, headers: dict[str, str]) -> Callable[[], None]:
    @settings(
        max_examples=EXAMPLES, derandomize=True, database=None, deadline=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(case=cases)
    def holds(case: Any) -> None:
        case.call_and_validate(headers=headers, checks=CHECKS)

    return holds
