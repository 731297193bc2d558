from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from flwr.app import Context, Message

from radcommons.data.store import Store
from radcommons.federated import messages, server
from radcommons.federated.messages import Hello, Trained
from radcommons.federated.server import FederationOutcome, federate
from radcommons.federated.settings import FederatedSettings, SimulationSettings
from radcommons.federated.simulation import InTurn, answering
from radcommons.federated.task import Order
from radcommons.records import FindingsRecord
from radcommons.runs import checkpoint

FAMILIES: dict[str, dict[str, Any]] = {
    "progan": {
        "family": "progan", "total_images": 192, "images_per_phase": 32, "resolution": 16, "latent_size": 5,
        "channels": {4: 6, 8: 5, 16: 4}, "batch_size": {4: 8, 8: 8, 16: 8}, "learning_rate": {4: 0.003},
        "critic_steps": 2, "checkpoint_every": 64, "samples_every": 96, "log_every": 16,
    },
    "rgan": {
        "family": "rgan", "total_images": 96, "resolution": 16, "latent_size": 5, "channels": {4: 6, 8: 5, 16: 4},
        "noise": [16], "batch_size": 8, "checkpoint_every": 48, "samples_every": 48, "log_every": 16,
    },
}  # fmt: skip


@pytest.fixture(params=sorted(FAMILIES))
def family(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def federation(phantom_store: Store) -> Callable[..., SimulationSettings]:
    """Settings of a federation that takes a second or two; `train` changes those of the training."""

    def make(family: str = "rgan", *, train: dict[str, Any] | None = None, **changes: Any) -> SimulationSettings:
        values = {"stores": [phantom_store.path], "clients": 3, "local_iterations": 2}
        return SimulationSettings.parse({**values, "train": FAMILIES[family] | (train or {}), **changes}, source="test")

    return make


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


Weights = dict[str, np.ndarray]
STEPS = np.array([0.01, 0.02, 0.04, 0.03, 0.05, 0.06, 0.07])  # what each client adds to every weight


@dataclass
class Clients:
    """Clients without films, for a server: each adds its own step to every weight.

    Attributes:
        films: of each client; by them the mean is weighted.
        findings: that each labels.
        faults: what a client does instead, by number and type of message: a function of the message and its good reply.
        seen: type and order of each message that a client got, with its number.
    """

    settings: FederatedSettings
    films: tuple[int, ...] = (10, 20, 30)
    findings: tuple[tuple[str, ...], ...] = (("Effusion", "Nodule"),) * 7
    sides: tuple[int, ...] = (32,) * 7
    names: tuple[str, ...] = tuple(f"client-{number:02d}" for number in range(1, 8))
    steps: np.ndarray = field(default_factory=STEPS.copy)
    faults: dict[tuple[int, str], Callable[[Message, Message], Message]] = field(default_factory=dict)
    seen: list[tuple[int, str, Order | None]] = field(default_factory=list)

    def grid(self, kind: type[InTurn] = InTurn) -> InTurn:
        return kind(answering(self.answer), len(self.films))

    def federate(self, out: Path, grid: InTurn | None = None, **options: Any) -> FederationOutcome:
        return federate(grid or self.grid(), self.settings, out, **options)

    def answer(self, message: Message, context: Context) -> Message:
        number, kind = int(context.node_config["partition-id"]), message.metadata.message_type
        order = None if kind == messages.HELLO else messages.text_of(message.content, Order)
        self.seen.append((number, kind, order))
        reply = Message(self._content(number, kind, order, message), reply_to=message)
        return self.faults.get((number, kind), lambda _, good: good)(message, reply)

    def _content(self, number: int, kind: str, order: Order | None, message: Message) -> Any:
        if kind == messages.HELLO:
            films, findings = self.films[number], self.findings[number]
            counts = tuple([films // 2] * len(findings)), tuple([films] * len(findings))
            hello = Hello(
                name=self.names[number], films=films, findings=findings, positives=counts[0], known=counts[1],
                largest_resolution=self.sides[number],
            )  # fmt: skip
            return messages.with_text(hello)
        assert order is not None
        if kind == messages.FINDINGS:
            zeros = (0,) * len(order.findings)
            return messages.with_text(
                FindingsRecord(
                    findings=order.findings, combinations=((zeros, 9),), smallest_cell=5, withheld_images=number
                )
            )
        told = Trained(images=1, numbers={"loss": float(number)}, seconds=0.1)
        if kind == messages.FINISH:
            return messages.with_text(told)
        transfer = self.settings.transfer
        arrays = messages.to_numpy(message.content.array_records[messages.ARRAYS], transfer)
        weights = {name: torch.from_numpy(array + np.float32(self.steps[number])) for name, array in arrays.items()}
        return messages.with_text(told, messages.to_arrays(_networks(weights), transfer))


def _networks(weights: dict[str, torch.Tensor]) -> dict[str, dict[str, torch.Tensor]]:
    networks: dict[str, dict[str, torch.Tensor]] = {}
    for name, value in weights.items():
        network, _, key = name.partition("/")
        networks.setdefault(network, {})[key] = value
    return networks


@pytest.fixture
def clients(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Clients]:
    """Makes clients without films and their settings; the server looks for them often, and does not wait long."""
    monkeypatch.setattr(server, "POLL_SECONDS", 0.01)

    def make(films: tuple[int, ...] = (10, 20, 30), *, train: dict[str, Any] | None = None, **changes: Any) -> Clients:
        own = {key: changes.pop(key) for key in ("findings", "names", "sides", "steps") if key in changes}
        values = FAMILIES["rgan"] | {"total_images": 48 * len(films), "findings": None} | (train or {})
        asked = {"clients": len(films), "local_iterations": 2, "round_seconds": 0.2, "train": values, **changes}
        return Clients(FederatedSettings.parse(asked, source="test"), films, **own)

    return make


def weights_in(run: Path) -> Weights:
    """The weights of a run's newest checkpoint that travel."""
    loaded = checkpoint.load(run, torch.device("cpu"))
    assert loaded is not None
    networks = [name for name in ("generator", "critic") if name in loaded[0]]
    return {
        f"{n}/{key}": value.numpy() for n in networks for key, value in loaded[0][n].items() if key != "label_means"
    }


@pytest.fixture
def weights() -> Callable[[Path], Weights]:
    return weights_in
