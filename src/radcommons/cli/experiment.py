"""``radcommons experiment``: the paper's experiments with their controls, from one TOML file."""

from pathlib import Path

import typer

from radcommons.cli.output import AsJson, bar, show

app = typer.Typer(no_args_is_help=True, help="The paper's experiments, with the controls that separate the causes.")

Config = typer.Argument(
    metavar="CONFIG.toml", help="Stores, generators and sizes; 'preset = \"small\"' starts from shipped sizes."
)
Out = typer.Option(..., "--out", help="Folder of the results; continues an unfinished experiment there.")
Set = typer.Option([], "--set", metavar="KEY=VALUE", help="Change a setting of the file.")
Workers = typer.Option(
    None, "--workers", min=1, help="Trainings at the same time, one core each. Default: all cores; 1 on a GPU."
)
ENRICH_EPILOG = """
radcommons experiment enrich enrich.toml --out results/enrich

radcommons experiment enrich enrich.toml --out results/quick --set repeats=2 --set finding=Effusion
"""
MERGE_EPILOG = """
radcommons experiment merge merge.toml --out results/merge --workers 2
"""


@app.command("enrich", epilog=ENRICH_EPILOG)
def enrich(
    config: Path = Config,
    out: Path = Out,
    set_: list[str] = Set,
    workers: int | None = Workers,
    as_json: bool = AsJson,
) -> None:
    """Fig. 2: do synthetic images improve a small local set, or does another cause explain the improvement?"""
    from radcommons.experiments.enrich import enrich as carry_out
    from radcommons.experiments.report import as_text
    from radcommons.experiments.settings import EnrichSettings, read_settings

    settings = read_settings(EnrichSettings, "enrich", config, set_)
    result = carry_out(settings, out, workers=workers or default_workers(), track=bar)
    show(result.model_dump(mode="json"), as_text(result, out), as_json)


@app.command("merge", epilog=MERGE_EPILOG)
def merge(
    config: Path = Config,
    out: Path = Out,
    set_: list[str] = Set,
    workers: int | None = Workers,
    as_json: bool = AsJson,
) -> None:
    """Fig. 3: is it better to train on synthetic images of two sites than of one?"""
    from radcommons.experiments.merge import merge as carry_out
    from radcommons.experiments.report import as_text
    from radcommons.experiments.settings import MergeSettings, read_settings

    settings = read_settings(MergeSettings, "merge", config, set_)
    result = carry_out(settings, out, workers=workers or default_workers(), track=bar)
    show(result.model_dump(mode="json"), as_text(result, out), as_json)


def default_workers() -> int:
    """The number of cores, or 1 with a GPU."""
    import torch

    from radcommons.workers import available_cores

    return 1 if torch.cuda.is_available() else available_cores()
