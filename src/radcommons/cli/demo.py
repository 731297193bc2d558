"""``radcommons demo``: the whole story on phantoms."""

from pathlib import Path

import typer

from radcommons.cli.output import AsJson, bar, show

EPILOG = "radcommons demo --out demo"


def demo(
    out: Path = typer.Option(Path("demo"), "--out", help="Folder of the story; a stopped one is continued."),
    as_json: bool = AsJson,
) -> None:
    """Two phantom hospitals, a generator each, audits, one pooled synthetic set, and a report; minutes on two cores."""
    from radcommons.demo.story import run_demo

    result = run_demo(out, track=bar)
    show(result.model_dump(mode="json"), result.as_text(), as_json)
