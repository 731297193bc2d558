"""The client's side as Flower runs it between machines: store, folder and limits are those of its own command line."""

from pathlib import Path

from flwr.app import Context, Message

from radcommons.data.store import Store
from radcommons.federated.client import Site
from radcommons.federated.messages import answering
from radcommons.federated.settings import ClientLimits


def answer(message: Message, context: Context) -> Message:
    """Answer from the store that `radcommons federate client` named."""
    node = context.node_config
    limits = ClientLimits.load(Path(str(node["limits"]))) if node["limits"] else ClientLimits()
    name = limits.name or f"client-{context.node_id % 10**6:06d}"
    return Site(name, Store.open(Path(str(node["store"]))), Path(str(node["run"])), limits=limits).answer(message)


def check(store: Path, limits: Path | None) -> None:
    """Raise what would stop every answer: the store or the limits cannot be read."""
    Store.open(store)
    if limits is not None:
        ClientLimits.load(limits)


app = answering(answer)
