"""A federation of integers: each client adds its own number to the server's, and the server takes the mean."""

import json
import os
import time
from pathlib import Path

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, Context, Message, MessageType, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid, ServerApp

client = ClientApp()


@client.train()
def train(message: Message, context: Context) -> Message:
    store, run = Path(context.node_config["store"]), Path(context.node_config["run"])
    number = json.loads((store / "number.json").read_text())
    config = message.content["config"]
    time.sleep(number.get("seconds", 0.0))
    values = message.content["model"].to_numpy_ndarrays()[0] + number["add"]
    with (run / "rounds.txt").open("a") as log:
        log.write(f"{config['round']}\n")
    if config.get("last"):
        (run / "federation.json").write_text("{}")
    reply = {"model": ArrayRecord({"x": Array(values)}), "config": ConfigRecord({"name": str(store.name)})}
    return Message(RecordDict(reply), reply_to=message)


other_client = ClientApp()
server = ServerApp()


def check(*paths: object) -> None:
    """The toy takes any settings and any store."""


@server.main()
def main(grid: Grid, context: Context) -> None:
    config = json.loads(Path(os.environ["RADCOMMONS_FEDERATION_CONFIG"]).read_text())
    out = Path(os.environ["RADCOMMONS_FEDERATION_OUT"])
    checkpoint = out / "checkpoint.json"
    state = json.loads(checkpoint.read_text()) if checkpoint.exists() else {"round": 0, "x": 0}
    while len(list(grid.get_node_ids())) < config["clients"]:
        time.sleep(0.2)
    silent: set[int] = set()
    while state["round"] < config["rounds"]:
        number = state["round"] + 1
        if config.get("raise_in") == number:
            raise ValueError("the toy was told to fail")
        began = time.time()
        record = {
            "model": ArrayRecord({"x": Array(np.full(config.get("numbers", 1), state["x"]))}),
            "config": ConfigRecord({"round": number, "last": number == config["rounds"]}),
        }
        nodes = [node for node in grid.get_node_ids() if node not in silent]
        messages = [Message(RecordDict(record), node, MessageType.TRAIN, group_id=f"round {number}") for node in nodes]
        replies = list(grid.send_and_receive(messages, timeout=config.get("timeout")))
        silent |= set(nodes) - {reply.metadata.src_node_id for reply in replies}
        errors = [(r.error.code, r.error.reason) for r in replies if r.has_error()]
        values = [int(r.content["model"].to_numpy_ndarrays()[0][0]) for r in replies if not r.has_error()]
        if not values:
            raise ValueError(f"no reply in round {number}, but {errors}")
        state = {"round": number, "x": sum(values) // len(values)}
        checkpoint.write_text(json.dumps(state))
        print(  # noqa: T201
            f"round {number} of {config['rounds']}: x = {state['x']}, {len(values)} replies, {errors}, "
            f"{time.time() - began:.1f} s",
            flush=True,
        )
