"""Which interfaces of a SuperLink other machines reach."""

import asyncio

import httpx
import pytest

pytest.importorskip("flwr", reason="needs the extra 'federated'")

from flwr.superlink.routers.control import router as control
from flwr.superlink.routers.fleet.router import router as fleet
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from radcommons.federated.deployment.superlink import FOR_CLIENTS, ClientsOnly

EVERYTHING = Starlette(
    routes=[Route("/{path:path}", lambda request: PlainTextResponse("done"), methods=["GET", "POST"])],
    middleware=[Middleware(ClientsOnly)],
)
NOT_FOR_CLIENTS = [
    "/v1/control/start-run",
    "/v1/runtime/acquire-task",
    "/docs",
    "/v1/fleet",
    "//v1/fleet/pull-messages",
]


def status(path: str, client: str) -> int:
    async def ask() -> int:
        transport = httpx.ASGITransport(EVERYTHING, client=(client, 50_000))
        async with httpx.AsyncClient(transport=transport, base_url="https://server") as asking:
            return (await asking.post(path)).status_code

    return asyncio.run(ask())


@pytest.mark.parametrize("address", ["10.0.0.8", "::ffff:10.0.0.8", "2001:db8::8", "of-a-proxy"])
def test_other_machines_reach_the_interface_for_clients_only(address: str) -> None:
    assert status("/v1/fleet/pull-messages", address) == 200
    assert {status(path, address) for path in NOT_FOR_CLIENTS} == {403}


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.0.1", "::1", "::ffff:127.0.0.1"])
def test_this_machine_reaches_all(address: str) -> None:
    assert {status(path, address) for path in NOT_FOR_CLIENTS} == {200}


def test_the_paths_are_still_those_of_flower() -> None:
    assert f"{fleet.prefix}/" == FOR_CLIENTS
    assert not control.prefix.startswith(fleet.prefix)
