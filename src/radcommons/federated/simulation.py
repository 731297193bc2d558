"""A federation on one machine: Flower's messages without its network, or its simulation on Ray."""

import logging
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

import numpy as np
from flwr.app import Context, Error, Message, RecordDict
from flwr.clientapp import ClientApp
from flwr.common.constant import SUPERLINK_NODE_ID
from flwr.serverapp import Grid, ServerApp
from flwr.supercore.task_identity import TaskIdentity

from radcommons.data.store import Store
from radcommons.data.training_patients import patients_record
from radcommons.errors import SettingRefused
from radcommons.federated.client import Site
from radcommons.federated.messages import answering
from radcommons.federated.partition import divide
from radcommons.federated.server import FederationOutcome, federate
from radcommons.federated.settings import SimulationSettings
from radcommons.progress import Track, silent
from radcommons.records import PatientsRecord
from radcommons.seeds import numpy_stream

logger = logging.getLogger(__name__)

CLIENTS = "clients"  # subfolder
Engine = Literal["in-turn", "ray"]
CRASHED = 1  # Flower's code for an app that raised


class InTurn(Grid):
    """Clients in this process, one after another, each with all cores."""

    def __init__(self, app: ClientApp, clients: int) -> None:
        self._app = app
        # as Flower's own simulation does: messages name their sender
        TaskIdentity.task_id, TaskIdentity.run_id, TaskIdentity.node_id = 1, 1, SUPERLINK_NODE_ID
        self._contexts = {
            number + 1: Context(1, number + 1, {"partition-id": number, "num-partitions": clients}, RecordDict(), {})
            for number in range(clients)
        }
        self._replies: dict[str, Message] = {}

    def set_run(self, run: Any) -> None:
        """There is one run."""

    @property
    def run(self) -> Any:
        """There is one run."""
        return None

    def create_message(
        self, content: RecordDict, message_type: str, dst_node_id: int, group_id: str, ttl: float | None = None
    ) -> Message:
        """A message."""
        return Message(content, dst_node_id, message_type, group_id=group_id, ttl=ttl)

    def get_node_ids(self) -> list[int]:
        """All of them."""
        return list(self._contexts)

    def push_messages(self, messages: Iterable[Message]) -> list[str]:
        """Let each client answer."""
        sent = []
        for message in messages:
            message.metadata.__dict__["_message_id"] = str(uuid4())  # as Flower's grids do
            try:
                reply = self._app(message, self._contexts[message.metadata.dst_node_id])
            except Exception:
                logger.exception("a client failed")
                reply = Message(Error(CRASHED, "the client failed"), reply_to=message)
            self._replies[message.metadata.message_id] = reply
            sent.append(message.metadata.message_id)
        return sent

    def pull_messages(self, message_ids: Iterable[str]) -> list[Message]:
        """The answers."""
        return [self._replies.pop(name) for name in message_ids]

    def send_and_receive(self, messages: Iterable[Message], *, timeout: float | None = None) -> list[Message]:
        """The answers; there is no time limit here."""
        return self.pull_messages(self.push_messages(messages))


def simulate(
    settings: SimulationSettings,
    out: Path,
    *,
    parts: Sequence[np.ndarray] | None = None,
    engine: Engine = "in-turn",
    track: Track = silent,
    should_stop: Callable[[], bool] = lambda: False,
    watch: Callable[[Path], None] = lambda page: None,
) -> FederationOutcome:
    """Train a generator as several hospitals would.

    Args:
        out: folder of the run; what clients keep lies in ``clients/``.
        parts: rows of one store's films for each client; by default as the settings divide it.
        engine: "in-turn": this process alone; "ray": Flower's simulation, with several clients at once.
        watch: is given the page on which people see how the training goes, once it is there.
    """
    logging.getLogger("flwr").setLevel(logging.WARNING)
    stores = [Store.open(path) for path in settings.stores]
    rows: Sequence[np.ndarray | None] = [None] * len(stores)
    if len(stores) == 1:
        rows = divided(settings, stores[0]) if parts is None else parts
    names = [f"client-{number + 1:02d}" for number in range(settings.clients)]
    places = [(settings.stores[0 if len(stores) == 1 else n].resolve(), rows[n]) for n in range(settings.clients)]
    app = client_app_of(
        [(name, *place, (out / CLIENTS / name).resolve()) for name, place in zip(names, places, strict=True)]
    )
    patients: PatientsRecord | None = None
    manifest = ""
    if len(stores) == 1:
        patients = patients_record(stores[0], stores[0].rows("train"))
        manifest = stores[0].record.manifest_sha256

    def serve(grid: Grid) -> FederationOutcome:
        return federate(
            grid, settings, out, patients=patients, manifest=manifest, track=track, should_stop=should_stop, watch=watch
        )

    return serve(InTurn(app, settings.clients)) if engine == "in-turn" else _on_ray(app, settings.clients, serve)


def divided(settings: SimulationSettings, store: Store) -> list[np.ndarray]:
    """Rows of one store's training part for each client; raises SettingRefused if there are too few patients."""
    rows = store.rows("train")
    patients = store.manifest["patient"].to_numpy()[rows]
    rng = numpy_stream(settings.train.seed, "division")
    try:
        parts = divide(patients, store.labels(rows), settings.clients, settings.division, settings.concentration, rng)
    except ValueError as error:
        raise SettingRefused(f"{store.path}: {error}; lower 'clients'") from None
    return [rows[part] for part in parts]


def client_app_of(places: list[tuple[str, Path, np.ndarray | None, Path]]) -> ClientApp:
    """The clients of a simulation; Flower says which of them is asked."""

    def answer(message: Message, context: Context) -> Message:
        name, store, rows, folder = places[int(context.node_config["partition-id"])]
        return Site(name, Store.open(store), folder, rows).answer(message)

    return answering(answer)


def _on_ray(app: ClientApp, clients: int, serve: Callable[[Grid], FederationOutcome]) -> FederationOutcome:
    from flwr.simulation import run_simulation

    results: list[FederationOutcome] = []
    server = ServerApp()

    @server.main()
    def main(grid: Grid, context: Context) -> None:
        results.append(serve(grid))

    run_simulation(server, app, clients, backend_config={"client_resources": {"num_cpus": 1, "num_gpus": 0.0}})
    return results[0]
