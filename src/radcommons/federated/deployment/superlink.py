"""Flower's SuperLink, of which other machines reach only what clients need; a program of its own.

One port of a SuperLink serves three interfaces. Clients are authenticated in theirs; the other two, by which runs are
started, clients registered and the server's own tasks fetched, ask nobody who they are.
"""

import ipaddress

from flwr.supercore import sql_mixin
from flwr.superlink import extensions
from flwr.superlink.cli.flower_superlink import flower_superlink
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

FOR_CLIENTS = "/v1/fleet/"
BUSY_MILLISECONDS = (
    "60000"  # a thread waits so long for the database; after Flower's 5 s a busy machine ends the training
)


class ClientsOnly:
    """Answers other machines only where the path is one for clients."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer 403."""
        if scope["type"] == "lifespan" or scope["path"].startswith(FOR_CLIENTS) or _same_machine(scope):
            await self.app(scope, receive, send)
        else:
            await PlainTextResponse("only for clients of the federation", 403)(scope, receive, send)


def _same_machine(scope: Scope) -> bool:
    try:
        address = ipaddress.ip_address(scope["client"][0])
    except (TypeError, ValueError):  # no address, or one that a proxy made up
        return False
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback


def main() -> None:
    """Run the SuperLink with the arguments of flower-superlink."""
    extensions.get_middleware = lambda: (Middleware(ClientsOnly),)
    sql_mixin.SQLITE_PRAGMAS = (*sql_mixin.SQLITE_PRAGMAS, ("busy_timeout", BUSY_MILLISECONDS))  # type: ignore[attr-defined, assignment]
    flower_superlink()


if __name__ == "__main__":
    main()
