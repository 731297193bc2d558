"""Claim: a federated round of a 128 x 128 generator takes at most 15% longer than the same local work without Flower.

Clients of one simulated hospital take their turns in this process (`simulation.InTurn`), with Flower's messages,
strategies and clipping but without its network. "Local" is what a client does in a round, 10 generator steps, with
networks, optimisers and films that stay in memory. What a round takes beyond it is divided into the clients' part
(networks anew, weights in and out, state to the disk) and the server's (messages, screening, mean, checkpoint).

The second table gives the bytes of one client and round each way, and how much of a round's change bf16 loses on its
way: the length of its rounding error over the length of the change. The third gives the memory that a round adds to
the server's process, in weights of one client: all replies are there at once, because Flower gives them so.

    python benchmarks/federated.py [--quick]
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from flwr.app import Context, Message
from support.measuring import print_table, save

from radcommons.data.ingest import ingest_phantoms
from radcommons.data.store import Store
from radcommons.federated import messages
from radcommons.federated.client import Site
from radcommons.federated.messages import Hello, Trained
from radcommons.federated.screening import change
from radcommons.federated.server import ALONE, _Server, federate
from radcommons.federated.settings import SimulationSettings
from radcommons.federated.simulation import InTurn, answering, divided
from radcommons.federated.task import Order, weights_of
from radcommons.gan.batches import DataSummary
from radcommons.gan.gradients import open_compute
from radcommons.gan.recipe import TrainingState, advance, upcoming
from radcommons.gan.recipes import RECIPES
from radcommons.gan.training import open_source
from radcommons.records import FindingsRecord
from radcommons.runs.log import read_log

ROUNDS, ITERATIONS = 3, 10
TRAIN: dict[str, dict[str, Any]] = {
    "quick": {"preset": "small-64", "resolution": 32, "batch_size": 4, "precision": "fp32"},
    "whole": {"preset": "small-128", "precision": "fp32"},
}
AGGREGATIONS = ("mean", "median", "krum")
MIB = 2**20


def settings_of(store: Path, size: str, clients: int, *, rounds: int, **changes: Any) -> SimulationSettings:
    """Rounds in which every client takes the same number of steps; no samples before the end."""
    train = TRAIN[size] | {"total_images": 10**9, "samples_every": 10**9, "checkpoint_every": 10**9}
    values = {"stores": [str(store)], "clients": clients, "local_iterations": ITERATIONS, "train": train, **changes}
    begun = SimulationSettings.parse(values, source="benchmark")
    with open_compute("fp32", ALONE) as compute:
        training = RECIPES[begun.train.family].training(begun.train, DataSummary(1, (0.5,)), compute)
        steps = ITERATIONS * training.critic_steps
        images = sum(batch for _, _, batch, _ in _first(begun, training, steps))
    whole = train | {"total_images": rounds * clients * images}
    return SimulationSettings.parse(values | {"train": whole}, source="benchmark")


def _first(settings: SimulationSettings, training: Any, count: int) -> list[tuple[int, int, int, int]]:
    from radcommons.gan.recipe import Position

    ahead = upcoming(training, Position(), end=settings.train.total_images)
    return [step for step, _ in zip(ahead, range(count), strict=False)]


# ---- time ----


def times(store: Store, size: str, clients: int, folder: Path, rounds: int) -> dict[str, object]:
    """Seconds of a round, of the same local work, and of what lies between; medians of the rounds after the first."""
    settings = settings_of(store.path, size, clients, rounds=rounds)
    parts = divided(settings, store)
    sites = [Site(f"client-{n:02d}", store, folder / f"client-{n}", parts[n]) for n in range(clients)]
    in_clients: list[float] = []

    def answer(message: Message, context: Context) -> Message:
        started = time.perf_counter()
        reply = sites[int(context.node_config["partition-id"])].answer(message)
        if message.metadata.message_type == messages.TRAIN:
            in_clients.append(time.perf_counter() - started)
        return reply

    federate(InTurn(answering(answer), clients), settings, folder / "server")
    log = read_log(folder / "server")[1:]
    whole = float(np.median([entry["seconds"] for entry in log]))
    clients_seconds = float(np.median(np.reshape(in_clients, (-1, clients))[1:].sum(axis=1)))
    local = local_seconds(store, settings, parts, rounds)
    return {
        "clients": clients,
        "round s": whole,
        "local s": local,
        "overhead": f"{whole / local - 1:.1%}",
        "of it clients": f"{(clients_seconds - local) / local:.1%}",
        "of it server": f"{(whole - clients_seconds) / local:.1%}",
        "MiB each way": log[0]["bytes_a_client"] / MIB,
    }


def local_seconds(store: Store, settings: SimulationSettings, parts: list[np.ndarray], rounds: int) -> float:
    """Seconds of all clients' steps of one round, one client after another, as a training alone takes them."""
    train = settings.train
    seconds = np.zeros((rounds, len(parts)))
    with open_compute("fp32", ALONE) as compute:
        for client, rows in enumerate(parts):
            source = open_source(store, train, ALONE, rows=rows)
            state = TrainingState(
                train.family, RECIPES[train.family].training(train, source.batches.summary(), compute)
            )
            count = ITERATIONS * state.training.critic_steps
            stream = source.batches.stream(iter(_first(settings, state.training, rounds * count)))
            for number in range(rounds):
                started = time.perf_counter()
                advance(state, stream, count)
                seconds[number, client] = time.perf_counter() - started
    return float(np.median(seconds[1:].sum(axis=1)))


# ---- bytes ----


def transfers(store: Store, size: str) -> list[dict[str, object]]:
    """Bytes of one client and round each way, and what bf16 loses of the changes of 1 and 10 generator steps."""
    settings = settings_of(store.path, size, 1, rounds=2)
    train = settings.train
    with open_compute("fp32", ALONE) as compute:
        source = open_source(store, train, ALONE)
        summary = source.batches.summary()
        state = TrainingState(train.family, RECIPES[train.family].training(train, summary, compute))
        findings = len(summary.label_means)
        stream = source.batches.stream(iter(_first(settings, state.training, 11 * state.training.critic_steps)))
        before = messages.to_numpy(messages.to_arrays(_copy(state, settings, findings), "fp32"))
        lost = {}
        for steps, so_far in ((1, 1), (ITERATIONS - 1, ITERATIONS)):
            advance(state, stream, steps * state.training.critic_steps)
            after = _copy(state, settings, findings)
            exact = messages.to_numpy(messages.to_arrays(after, "fp32"))
            rounded = messages.to_numpy(messages.to_arrays(after, "bf16"), "bf16")
            lost[so_far] = change(rounded, exact) / change(exact, before)
        sizes = {kind: _size(messages.to_arrays(after, kind)) for kind in ("fp32", "bf16")}  # type: ignore[arg-type]
    return [
        {"transfer": kind, "MiB": sizes[kind] / MIB}
        | {f"lost of {n} steps": f"{share:.1%}" if kind == "bf16" else "-" for n, share in lost.items()}
        for kind in sizes
    ]


def _copy(state: TrainingState, settings: SimulationSettings, findings: int) -> dict[str, dict[str, torch.Tensor]]:
    networks = weights_of(state.training.state(), settings, findings)
    return {n: {name: value.clone() for name, value in weights.items()} for n, weights in networks.items()}


def _size(arrays: Any) -> int:
    return sum(len(array.data) for array in arrays.values())


# ---- memory ----


def memory(size: str, clients: int, aggregation: str, folder: Path) -> dict[str, float]:
    """MiB that one round adds to this process at most, and of the weights; clients answer at once, without films."""
    settings = settings_of(folder, size, clients, rounds=1, aggregation=aggregation)
    findings = ("Effusion", "Nodule")

    def answer(message: Message, context: Context) -> Message:
        kind, number = message.metadata.message_type, int(context.node_config["partition-id"])
        if kind == messages.HELLO:
            side = settings.train.resolution
            content = messages.with_text(
                Hello(
                    name=f"c{number}",
                    films=1000,
                    findings=findings,
                    positives=(5, 5),
                    known=(10, 10),
                    largest_resolution=side,
                )
            )
        elif kind == messages.FINDINGS:
            asked = messages.text_of(message.content, Order).findings
            content = messages.with_text(
                FindingsRecord(findings=asked, combinations=(), smallest_cell=5, withheld_images=10)
            )
        else:
            arrays = messages.to_numpy(message.content.array_records[messages.ARRAYS])
            moved = messages.record_of(
                {name: array + np.float32(0.01 + 0.001 * number) for name, array in arrays.items()}
            )
            content = messages.with_text(Trained(images=1, numbers={}, seconds=0.0), moved)
        return Message(content, reply_to=message)

    with open_compute("fp32", ALONE) as compute:
        server = _Server(InTurn(answering(answer), clients), settings, folder / "out", None, "")
        server.begin(compute)
        weights = _size(messages.to_arrays(server.weights, "fp32")) / MIB
        Path("/proc/self/clear_refs").write_text("5")  # forget the largest size so far
        before = _peak()
        server._one_round()
        return {"added MiB": _peak() - before, "weights MiB": weights}


def _peak() -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def memory_rows(size: str, counts: tuple[int, ...]) -> list[dict[str, object]]:
    """Each in a process of its own."""
    rows: list[dict[str, object]] = []
    for aggregation in AGGREGATIONS:
        for clients in counts:
            command = [sys.executable, __file__, "--memory", size, str(clients), aggregation]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            found = json.loads(done.stdout.splitlines()[-1])
            weights = found["added MiB"] / found["weights MiB"]
            rows.append({"aggregation": aggregation, "clients": clients, **found, "in weights": weights})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="32 x 32 pixels, few clients: a minute, no claim")
    parser.add_argument("--memory", nargs=3, metavar=("SIZE", "CLIENTS", "AGGREGATION"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        if arguments.memory:
            size, clients, aggregation = arguments.memory
            print(json.dumps(memory(size, int(clients), aggregation, folder)))
            return
        size = "quick" if arguments.quick else "whole"
        side = 32 if arguments.quick else 128
        ingest_phantoms(folder / "store", patients=60 if arguments.quick else 1000, site="A", resolution=side, seed=3)
        store = Store.open(folder / "store")
        counts = (2, 4) if arguments.quick else (4, 20)
        sent, held = transfers(store, size), memory_rows(size, (5, 10) if arguments.quick else (5, 10, 20))
        rows = []
        for clients in counts:
            rows.append(times(store, size, clients, folder / str(clients), ROUNDS))
            print(rows[-1], flush=True)
    print_table("Bytes of one client and round each way", sent)
    print_table("Memory that a round adds to the server", held)
    if not arguments.quick:
        save("federated", __doc__.partition("\n")[0], rows, "flwr", transfers=sent, memory=held)
    else:
        print_table(__doc__.partition("\n")[0], rows)


if __name__ == "__main__":
    main()
