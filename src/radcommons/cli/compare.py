"""``radcommons compare``: audits of several generators side by side."""

from pathlib import Path

import typer

from radcommons.cli.output import AsJson, bar, show
from radcommons.errors import PathInUse, SettingRefused

EPILOG = """
radcommons compare audits/site-a audits/site-b --generator runs/site-a --generator runs/site-b --out a-and-b.html

radcommons compare packages/site-a hub://hub.example.org/clinic-b/chest-64 --out a-and-b.html
"""


def compare(
    audits: list[Path] = typer.Argument(
        metavar="AUDIT...",
        help="Folders of audits or of packages, hub://HOST/ORG/NAME@REVISION or hf://ORG/NAME@REVISION; two or more.",
    ),
    out: Path = typer.Option(..., "--out", metavar="FILE.html", help="The page; it must be new."),
    generator: list[Path] = typer.Option(
        [], "--generator", help="A run or package whose images are shown beside its audit; may be repeated."
    ),
    as_json: bool = AsJson,
) -> None:
    """Show audits side by side, and which generator is better by which measure; no film is read."""
    from radcommons.compare.measures import all_measures
    from radcommons.compare.page import render, summary
    from radcommons.compare.subjects import open_all
    from radcommons.files import write_whole

    if out.suffix != ".html":
        raise SettingRefused(f"--out is {out}; its name must end in .html")
    if out.exists():
        raise PathInUse(f"{out} exists; choose another --out")
    compared = open_all(audits, generator, bar)
    measures = all_measures([one.report for one in compared])
    out.parent.mkdir(parents=True, exist_ok=True)
    write_whole(out, render(compared, measures))
    judged = {one.name: one.report.judgement for one in compared}
    names = list(judged)
    show(
        {
            "out": str(out),
            "generators": [
                {"name": name, "privacy": found.privacy, "quality": found.quality} for name, found in judged.items()
            ],
            "measures": [
                {
                    "name": measure.name,
                    "finding": measure.finding,
                    "values": [value.model_dump() if value else None for value in measure.values],
                    "not_compared": measure.apart or None,
                    "better": None if measure.best is None else names[measure.best],
                }
                for group in measures.values()
                for measure in group
            ],
        },
        "\n".join(
            [
                *(f"{name}: privacy {found.privacy}, quality {found.quality}" for name, found in judged.items()),
                *summary(measures, names),
                f"open {out}",
            ]
        ),
        as_json,
    )
