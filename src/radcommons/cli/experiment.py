"""``radcommons experiment``: the paper's experiments with their controls, from one TOML file."""

from pathlib import Path

import typer

from radcommons.cli.output import AsJson, bar, show

app = typer.Typer(no_args_is_help=True, help="The paper's experiments, with the controls that separate the causes.")

Config = typer.Argument(
    metavar="CONFIG.toml", help="Stores, generators and sizes; 'preset = \"small\"' takes shipped sizes."
)
Out = typer.Option(..., "--out", help="Folder of the results; a stopped experiment there is continued.")
Set = typer.Option([], "--set", metavar="KEY=VALUE", help="Lay a setting over the file.")
Workers = typer.Option(
    None, "--workers", min=1, help="Trainings at a time, a core each. By default all cores; one on a GPU."
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
    """Fig. 2: do synthetic images improve a classifier of a small local set, and do they cause the gain?"""
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
    """Fig. 3: does a classifier learn more from two sites' synthetic images than from one site's?"""
    from radcommons.experiments.merge import merge as carry_out
    from radcommons.experiments.report import as_text
    from radcommons.experiments.settings import MergeSettings, read_settings

    settings = read_settings(MergeSettings, "merge", config, set_)
    result = carry_out(settings, out, workers=workers or default_workers(), track=bar)
    show(result.model_dump(mode="json"), as_text(result, out), as_json)


def default_workers() -> int:
    """One for each core, or 1 where a GPU does the work."""
    import torch

    from radcommons.workers import available_cores

    return 1 if torch.cuda.is_available() else available_cores()
