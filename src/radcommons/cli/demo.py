"""``radcommons demo``: all steps, on simulated hospitals."""

from pathlib import Path

import typer

from radcommons.cli.output import AsJson, bar, show

EPILOG = "radcommons demo --out demo"


def demo(
    out: Path = typer.Option(Path("demo"), "--out", help="Folder of the results; an unfinished demo is continued."),
    as_json: bool = AsJson,
) -> None:
    """Two simulated hospitals: generators, audits, a pooled set, an experiment, a report; minutes on two cores."""
    from radcommons.cli.experiment import default_workers
    from radcommons.demo.story import run_demo

    result = run_demo(out, track=bar, workers=default_workers())
    show(result.model_dump(mode="json"), result.as_text(), as_json)
