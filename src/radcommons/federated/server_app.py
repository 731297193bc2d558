"""The server's side as Flower runs it between machines: the settings and the folder come from its environment."""

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from flwr.app import Context
from flwr.serverapp import Grid, ServerApp

from radcommons.errors import SettingRefused
from radcommons.federated.deployment.apps import CONFIG_VARIABLE, OUT_VARIABLE
from radcommons.federated.server import federate, require_possible
from radcommons.federated.settings import FederatedSettings, SimulationSettings
from radcommons.progress import Advance
from radcommons.settings import read_settings, read_toml

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Train as `radcommons federate server` was asked to; what is printed here, that command prints."""
    del context
    logging.basicConfig(stream=sys.stdout, level=logging.WARNING, format="%(message)s")
    logging.getLogger("flwr").setLevel(logging.WARNING)
    settings = _settings(Path(os.environ[CONFIG_VARIABLE]))
    outcome = federate(grid, settings, Path(os.environ[OUT_VARIABLE]), track=in_lines, watch=name_page)
    print(f"finished after {outcome.rounds:,} rounds, {outcome.images_seen:,} images", flush=True)  # noqa: T201


def check(config: Path, out: Path, keys: int) -> None:
    """Raise what would stop the training before any client is asked; see `require_possible`."""
    require_possible(_settings(config), out, keys)


def _settings(config: Path) -> FederatedSettings:
    of_simulations = SimulationSettings.model_fields.keys() - FederatedSettings.model_fields.keys()
    if others := sorted(read_toml(config).keys() & of_simulations):
        raise SettingRefused(
            f"{config}: only 'radcommons federate simulate' takes {', '.join(others)}; here each client names its store"
        )
    return read_settings(FederatedSettings, "federate", config, ())


def name_page(page: Path) -> None:
    """A line that names the training's page."""
    print(f"watch the training: open {page}", flush=True)  # noqa: T201


@contextmanager
def in_lines(description: str, *, total: int, done: int = 0, unit: str = "images") -> Iterator[Advance]:
    """A line for each round."""
    now = done

    def advance(count: int) -> None:
        nonlocal now
        now += count
        print(f"{description}: {now:,} of {total:,} {unit}", flush=True)  # noqa: T201

    yield advance
