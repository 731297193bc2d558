"""``radcommons demo``: all steps, on simulated hospitals."""

from pathlib import Path

import typer

from radcommons.cli.output import AsJson, as_typed, bar, show

EPILOG = "radcommons demo --out demo"


def demo(
    out: Path = typer.Option(Path("demo"), "--out", help="Folder of the results; continues an unfinished demo."),
    as_json: bool = AsJson,
) -> None:
    """Two simulated hospitals: generators, audits, a pooled set, an experiment, a report; minutes on two cores."""
    from radcommons.cli.experiment import default_workers
    from radcommons.demo.answers import as_text
    from radcommons.demo.story import run_demo

    result = run_demo(out, track=bar, workers=default_workers(), program=as_typed())
    show(result.model_dump(mode="json"), as_text(result), as_json)
