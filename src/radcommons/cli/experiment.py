"""``radcommons experiment``: what synthetic images teach a classifier, with controls, from one TOML file."""

from dataclasses import dataclass
from pathlib import Path

import typer

from radcommons.cli.option_groups import with_option_groups
from radcommons.cli.output import AsJson, Set, TrainingsAtATime, bar, show
from radcommons.cli.stopping import stop_after_step
from radcommons.records import ExperimentResult

app = typer.Typer(
    no_args_is_help=True, help="What synthetic images teach a classifier, with the controls that separate the causes."
)


@dataclass(frozen=True)
class Options:
    """The options of every experiment."""

    config: Path = typer.Argument(
        metavar="CONFIG.toml", help="Stores, generators and sizes; 'preset = \"small\"' starts from shipped sizes."
    )
    out: Path = typer.Option(..., "--out", help="Folder of the results; continues an unfinished experiment there.")
    set_: list[str] = typer.Option([], "--set", metavar="KEY=VALUE", help="Change a setting of the file.")
    workers: int | None = TrainingsAtATime
    as_json: bool = AsJson


ENRICH_EPILOG = """
radcommons experiment enrich enrich.toml --out results/enrich

radcommons experiment enrich enrich.toml --out results/quick --set repeats=2 --set finding=Effusion
"""
MERGE_EPILOG = """
radcommons experiment merge merge.toml --out results/merge --workers 2
"""

TRANSFER_EPILOG = """
radcommons experiment transfer transfer.toml --out results/transfer --set repeats=3
"""

FEDERATED_EPILOG = """
radcommons experiment federated federated.toml --out results/federated

radcommons experiment federated federated.toml --out results/federated --set repeats=5
"""


@app.command("enrich", epilog=ENRICH_EPILOG)
@with_option_groups
def enrich(options: Options) -> None:
    """Fig. 2: do synthetic images improve a small local set, or does another cause explain the improvement?"""
    from radcommons.experiments.enrich import enrich as carry_out
    from radcommons.experiments.settings import EnrichSettings
    from radcommons.settings import read_settings

    settings = read_settings(EnrichSettings, "enrich", options.config, options.set_)
    _show(carry_out(settings, options.out, workers=options.workers or default_workers(), track=bar), options)


@app.command("merge", epilog=MERGE_EPILOG)
@with_option_groups
def merge(options: Options) -> None:
    """Fig. 3: is it better to train on synthetic images of two sites than of one?"""
    from radcommons.experiments.merge import merge as carry_out
    from radcommons.experiments.settings import MergeSettings
    from radcommons.settings import read_settings

    settings = read_settings(MergeSettings, "merge", options.config, options.set_)
    _show(carry_out(settings, options.out, workers=options.workers or default_workers(), track=bar), options)


@app.command("transfer", epilog=TRANSFER_EPILOG)
@with_option_groups
def transfer(options: Options) -> None:
    """Train on synthetic images, test on real films: how much of what real films teach, finding by finding?"""
    from radcommons.experiments.settings import TransferSettings
    from radcommons.experiments.transfer import transfer as carry_out
    from radcommons.settings import read_settings

    settings = read_settings(TransferSettings, "transfer", options.config, options.set_)
    _show(carry_out(settings, options.out, workers=options.workers or default_workers(), track=bar), options)


@app.command("federated", epilog=FEDERATED_EPILOG)
def federated(
    config: Path = typer.Argument(
        metavar="CONFIG.toml", help="Stores, arms and settings; 'preset = \"small\"' starts from shipped ones."
    ),
    out: Path = typer.Option(..., "--out", help="Folder of the results; continues an unfinished experiment there."),
    set_: list[str] = Set,
    as_json: bool = AsJson,
) -> None:
    """Fig. 4: is a generator that clients train together as good as one of all films in one place?"""
    from radcommons.federated import needs_flower

    needs_flower()
    from radcommons.experiments.federated.flow import compare_federated
    from radcommons.experiments.federated.report import as_text
    from radcommons.experiments.federated.settings import FederatedExperimentSettings
    from radcommons.settings import read_settings

    settings = read_settings(FederatedExperimentSettings, "federated", config, set_)
    result = compare_federated(settings, out, track=bar, should_stop=stop_after_step())
    if result is None:
        raise KeyboardInterrupt
    show(result.model_dump(mode="json"), as_text(result, out), as_json)


def _show(result: ExperimentResult, options: Options) -> None:
    from radcommons.experiments.report import as_text

    show(result.model_dump(mode="json"), as_text(result, options.out), options.as_json)


def default_workers() -> int:
    """The number of cores, or 1 with a GPU."""
    import torch

    from radcommons.workers import available_cores

    return 1 if torch.cuda.is_available() else available_cores()
