"""``radcommons federate``: several hospitals train one generator together."""

from pathlib import Path
from typing import Literal

import typer

from radcommons.cli import federate_deploy
from radcommons.cli.output import AsJson, Set, bar, say_where_to_watch, show
from radcommons.cli.stopping import stop_after_step

app = typer.Typer(no_args_is_help=True, help="Several hospitals train one generator together, without sharing films.")

app.command("keys", epilog=federate_deploy.KEYS_EPILOG)(federate_deploy.keys)
app.command("server", epilog=federate_deploy.SERVER_EPILOG)(federate_deploy.server)
app.command("client", epilog=federate_deploy.CLIENT_EPILOG)(federate_deploy.client)

SIMULATE_EPILOG = """
radcommons federate simulate federation.toml --out runs/together

radcommons federate simulate federation.toml --out runs/skewed --set 'division="by finding"' --set concentration=0.3
"""


@app.command("simulate", epilog=SIMULATE_EPILOG)
def simulate(
    config: Path = typer.Argument(
        metavar="CONFIG.toml", help="Stores, clients and settings of the training; a TOML file."
    ),
    out: Path = typer.Option(..., "--out", help="Folder of the run; the same command continues an unfinished run."),
    set_: list[str] = Set,
    engine: Literal["in-turn", "ray"] = typer.Option(
        "in-turn", "--engine", help="Clients one after another, each with all cores; or Flower's simulation on Ray."
    ),
    as_json: bool = AsJson,
) -> None:
    """Train together on one machine: the films of one store divided among clients, or several stores."""
    from radcommons.federated import needs_flower

    needs_flower()
    from radcommons.federated.settings import SimulationSettings
    from radcommons.federated.simulation import simulate
    from radcommons.settings import read_settings

    settings = read_settings(SimulationSettings, "federate", config, set_)
    stop = stop_after_step()
    outcome = simulate(settings, out, engine=engine, track=bar, should_stop=stop, watch=say_where_to_watch)
    state = "stopped and saved"
    if outcome.finished:
        state = "ended, because another round would exceed the largest epsilon" if outcome.budget_spent else "finished"
    record = outcome.federation
    show(
        {
            "run": str(out),
            "rounds": outcome.rounds,
            "images_seen": outcome.images_seen,
            "finished": outcome.finished,
            "federation": record.model_dump(mode="json"),
        },
        f"{out}: {state} after {outcome.rounds:,} rounds of {record.clients} clients with {record.films:,} films "
        f"({outcome.images_seen:,} images shown; {record.privacy_statement})",
        as_json,
    )
    if not outcome.finished:
        raise typer.Exit(130)
