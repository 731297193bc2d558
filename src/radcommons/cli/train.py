"""``radcommons train``: train a generator on a store."""

from pathlib import Path

import typer

from radcommons.cli.output import AsJson, Config, Set, bar, say_where_to_watch, show
from radcommons.cli.stopping import stop_after_step

EPILOG = """
radcommons train stores/site-a --out runs/site-a --preset small-64

radcommons train stores/site-a --out runs/site-a --preset paper-256 --set seed=1 --dry-run

torchrun --nproc-per-node 8 -m radcommons train stores/site-a --out runs/site-a --preset paper-256
"""


def train(
    store: Path = typer.Argument(help="The site's store, from 'data import' or 'data phantom'."),
    out: Path = typer.Option(..., "--out", help="Folder of the run; the same command continues an unfinished run."),
    preset: str | None = typer.Option(
        None,
        "--preset",
        help="Shipped settings: small-64 (default without a GPU), small-128, rgan-256, rgan-512; the paper's "
        "network: paper-256 (default with a GPU), paper-512, paper-1024, authors-1024, progan-64, demo-32.",
    ),
    config: Path | None = Config,
    set_: list[str] = Set,
    dry_run: bool = typer.Option(False, "--dry-run", help="Show settings, schedule and sizes; do not train."),
    as_json: bool = AsJson,
) -> None:
    """Train a generator on a store; the same command continues an interrupted run."""
    from radcommons.data.store import Store
    from radcommons.gan import plan, training
    from radcommons.runs.page import PAGE

    settings = plan.choose_settings(out, preset=preset, config=config, overrides=set_)
    opened = Store.open(store)
    if dry_run:
        described = plan.describe(opened, settings)
        show(described.model_dump(mode="json"), plan.as_text(described), as_json)
        return
    outcome = training.train(opened, settings, out, track=bar, should_stop=stop_after_step(), watch=say_where_to_watch)
    if not outcome.is_main:
        return
    rate = outcome.images_this_call / max(1e-9, outcome.seconds)
    state = "finished" if outcome.finished else "stopped and saved"
    if outcome.images_this_call == 0 and outcome.finished:
        state = "already finished"
    show(
        {
            "run": str(outcome.run),
            "page": str(outcome.run / PAGE),
            "images_seen": outcome.images_seen,
            "resolution": outcome.resolution,
            "finished": outcome.finished,
            "images_per_second": rate,
            "seconds": outcome.seconds,
        },
        f"{outcome.run}: {state} at {outcome.images_seen:,} images, {outcome.resolution} x {outcome.resolution} pixels"
        f" ({rate:.1f} images/s)",
        as_json,
    )
    if not outcome.finished:
        raise typer.Exit(130)
