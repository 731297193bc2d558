"""``radcommons classify screen``: labels that do not fit their images."""

from pathlib import Path

import typer

from radcommons.cli.experiment import default_workers
from radcommons.cli.output import AsJson, Config, Set, TrainingsAtATime, bar, show

EPILOG = """
radcommons classify screen pooled-set --out screens/pooled

radcommons classify screen stores/site-a --out screens/site-a --set findings=Pneumonia --false-alarms 0.02
"""


def screen(
    source: Path = typer.Argument(metavar="STORE|SET", help="What to screen: a store, or a synthetic set."),
    out: Path = typer.Option(..., "--out", help="Folder of the results; a stopped screen there is continued."),
    folds: int = typer.Option(
        4, "--folds", min=2, help="Parts, by patient; a classifier trained on the other parts scores each."
    ),
    planted: float = typer.Option(
        0.2,
        "--planted",
        min=0.01,
        max=0.5,
        help="Share of the rarer class; as many labels of either class are flipped, to measure what the screen finds.",
    ),
    false_alarms: float = typer.Option(
        0.05,
        "--false-alarms",
        min=0.001,
        max=0.5,
        help="Share of right labels that may rank above a flipped label that counts as found.",
    ),
    preset: str | None = typer.Option(None, "--preset", help="Shipped settings of the classifiers; default: small-64."),
    config: Path | None = Config,
    set_: list[str] = Set,
    workers: int | None = TrainingsAtATime,
    as_json: bool = AsJson,
) -> None:
    """Find labels that are likely wrong or poisoned, and measure with flipped labels how many such a screen finds."""
    from radcommons.classify.screen import TABLE
    from radcommons.classify.screen import screen as carry_out
    from radcommons.classify.settings import choose_settings

    settings = choose_settings(out, preset=preset, config=config, overrides=set_)
    result = carry_out(
        source,
        out,
        settings=settings,
        folds=folds,
        planted_share=planted,
        false_alarm_rate=false_alarms,
        workers=workers or default_workers(),
        track=bar,
    )
    lines = [result.sentence]
    lines += [
        f"  {f.finding}: {f.present:,} present, {f.absent:,} absent; out-of-fold AUC {f.auc:.3f}"
        for f in result.findings
    ]
    lines.append(f"suspects, worst first: {out / TABLE}")
    show(result.model_dump(mode="json"), "\n".join(lines), as_json)
