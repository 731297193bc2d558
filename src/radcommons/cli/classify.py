"""``radcommons classify``: train a classifier on films and synthetic images, and evaluate it on films."""

from pathlib import Path
from typing import Literal, get_args

import typer

from radcommons.cli.experiment import default_workers
from radcommons.cli.output import AsJson, Config, Set, TrainingsAtATime, bar, seed_option, show
from radcommons.cli.stopping import stop_after_step
from radcommons.errors import SettingRefused
from radcommons.settings import override, require_once

app = typer.Typer(no_args_is_help=True, help="Train and evaluate a classifier, on stores and synthetic sets.")

TRAIN_EPILOG = """
radcommons classify train stores/site-a --out classifiers/site-a --preset small-64

radcommons classify train stores/site-a pooled-set --out classifiers/pooled --set findings=Pneumonia

torchrun --nproc-per-node 8 -m radcommons classify train stores/site-a --out classifiers/site-a --preset paper
"""
EVAL_EPILOG = """
radcommons classify eval classifiers/site-a stores/site-a --out evaluations/site-a

radcommons classify eval classifiers/pooled stores/site-b --out evaluations/b --finding Pneumonia --part val
"""
ATTACK_EPILOG = """
radcommons classify attack classifiers/site-a stores/site-a --out attacks/site-a

radcommons classify attack classifiers/plain stores/site-a --out attacks/both --other classifiers/robust --set norm=l2
"""

SCREEN_EPILOG = """
radcommons classify screen pooled-set --out screens/pooled

radcommons classify screen stores/site-a --out screens/site-a --set findings=Pneumonia --false-alarms 0.02
"""


def read_part(text: str) -> str:
    """The value of --part; raises SettingRefused."""
    if text not in get_args(Part):
        raise SettingRefused(f"--part is '{text}'; it must be train, val or test")
    return text


Part = Literal["train", "val", "test"]
PartOption = typer.Option(
    "test", "--part", parser=read_part, metavar="TEXT", help="Part of the store: train, val or test."
)


@app.command("train", epilog=TRAIN_EPILOG)
def train(
    sources: list[Path] = typer.Argument(
        metavar="STORE|SET...", help="One or more stores (their training part) and synthetic sets."
    ),
    out: Path = typer.Option(..., "--out", help="Folder of the run; continues an unfinished run there."),
    validation: Path | None = typer.Option(
        None,
        "--validation",
        help="Stop by the validation part of this store; by default of the given stores, or without a store by a "
        "tenth of the sets.",
    ),
    preset: str | None = typer.Option(
        None,
        "--preset",
        help="Shipped settings: small-64 (default without a GPU), paper (default with one), small-32.",
    ),
    config: Path | None = Config,
    set_: list[str] = Set,
    weights: Path | None = typer.Option(None, "--weights", help="ImageNet weights of DenseNet-121 (initial=imagenet)."),
    as_json: bool = AsJson,
) -> None:
    """Train a DenseNet on films, synthetic images or both; the same command continues an interrupted run."""
    from radcommons.classify.settings import choose_settings
    from radcommons.classify.training import train_classifier
    from radcommons.classify.training_data import open_split

    require_once("STORE|SET", [source.resolve() for source in sources])
    settings = choose_settings(out, preset=preset, config=config, overrides=set_)
    split = open_split(
        sources, validation=validation, findings=settings.findings, side=settings.side, seed=settings.seed, track=bar
    )
    result = train_classifier(split, settings, out, weights=weights, track=bar, should_stop=stop_after_step())
    if not result.is_main:
        return
    rate = result.images_this_call / max(1e-9, result.seconds)
    state = "finished" if result.finished else "stopped and saved"
    if result.images_this_call == 0 and result.finished:
        state = "already finished"
    show(
        {
            "run": str(result.run),
            "findings": list(split.train.findings),
            "training_images": len(split.train),
            "validation_images": len(split.validation),
            "images_seen": result.images_seen,
            "epochs": result.epochs,
            "finished": result.finished,
            "validation_loss": result.validation_loss if result.epochs else None,
            "validation_auc": result.validation_auc if result.epochs else None,
            "images_per_second": rate,
            "seconds": result.seconds,
        },
        f"{result.run}: {state} after {result.epochs} epochs, {result.images_seen:,} images ({rate:.0f} images/s)"
        + (
            f"; best validation loss {result.validation_loss:.4f}, mean AUC {result.validation_auc:.3f}"
            if result.epochs
            else ""
        ),
        as_json,
    )
    if not result.finished:
        raise typer.Exit(130)


@app.command("eval", epilog=EVAL_EPILOG)
def evaluate(
    run: Path = typer.Argument(help="A run of 'classify train'."),
    store: Path = typer.Argument(help="The store to evaluate on."),
    out: Path = typer.Option(..., "--out", help="Folder of the results."),
    part: Part = PartOption,
    finding: list[str] = typer.Option([], "--finding", help="Only this finding; may be repeated. Default: all."),
    by_image: bool = typer.Option(
        False,
        "--by-image",
        help="Bootstrap over images, not patients; intervals are too narrow where patients have several.",
    ),
    bootstrap_samples: int = typer.Option(10_000, "--bootstrap-samples", min=100, help="Bootstrap samples."),
    seed: int = seed_option("Seed of the bootstrap samples."),
    as_json: bool = AsJson,
) -> None:
    """Evaluate a classifier on real films: AUC, thresholded measures, calibration, with intervals over patients."""
    from radcommons.classify.evaluation import PAGE
    from radcommons.classify.evaluation import evaluate as evaluate_run
    from radcommons.classify.evaluation_page import as_text

    require_once("--finding", finding)
    found = evaluate_run(
        run,
        store,
        out,
        part=part,
        findings=finding or None,
        by_image=by_image,
        bootstrap_samples=bootstrap_samples,
        seed=seed,
        track=bar,
    )
    page = out / PAGE
    show({**found.model_dump(mode="json"), "report": str(page)}, as_text(found, str(page)), as_json)


@app.command("attack", epilog=ATTACK_EPILOG)
def attack(
    run: Path = typer.Argument(help="A run of 'classify train'."),
    store: Path = typer.Argument(help="The store with the films to change."),
    out: Path = typer.Option(..., "--out", help="Folder of the results."),
    other: Path | None = typer.Option(None, "--other", help="A second run to attack on the same films."),
    part: Part = PartOption,
    finding: list[str] = typer.Option([], "--finding", help="Only this finding; may be repeated. Default: all."),
    epsilon: list[float] = typer.Option(
        [], "--epsilon", help="Size of the change, grey levels; may be repeated. Default: 0.5, 1, 2, 4, 8."
    ),
    set_: list[str] = typer.Option(
        [], "--set", metavar="KEY=VALUE", help="Change a setting of the attack; its epsilon (2) is that of the checks."
    ),
    films: int = typer.Option(500, "--films", min=2, help="Number of films to attack, chosen at random."),
    seed: int = seed_option("Seed of the choice of films, the random starts and the noise."),
    as_json: bool = AsJson,
) -> None:
    """Attack a classifier: AUC against the size of the change, compared with noise, and checks of the attack."""
    from radcommons.classify.pgd import AttackSettings
    from radcommons.classify.robustness_report import as_text
    from radcommons.classify.robustness_run import EPSILONS, FIGURE, attack_run

    require_once("--finding", finding)
    require_once("--epsilon", epsilon)
    settings = AttackSettings.parse(override({}, set_), source=f"--set {' --set '.join(set_)}")
    found = attack_run(
        run,
        store,
        out,
        settings,
        other=other,
        part=part,
        findings=finding or None,
        epsilons=epsilon or EPSILONS,
        films=films,
        seed=seed,
        track=bar,
    )
    figure = out / FIGURE
    show({**found.model_dump(mode="json"), "figure": str(figure)}, as_text(found, str(figure)), as_json)


@app.command("screen", epilog=SCREEN_EPILOG)
def screen(
    source: Path = typer.Argument(metavar="STORE|SET", help="The store or synthetic set to screen."),
    out: Path = typer.Option(..., "--out", help="Folder of the results; continues an unfinished screen there."),
    folds: int = typer.Option(
        4, "--folds", min=2, help="Parts, split by patient; each is scored by a classifier trained on the others."
    ),
    planted: float = typer.Option(
        0.2,
        "--planted",
        min=0.01,
        max=0.5,
        help="Labels to flip in each class, as a share of the rarer class, to measure how many the screen finds.",
    ),
    false_alarms: float = typer.Option(
        0.05,
        "--false-alarms",
        min=0.001,
        max=0.5,
        help="Largest share of correct labels that may rank above a planted label, for it to count as found.",
    ),
    preset: str | None = typer.Option(None, "--preset", help="Shipped settings of the classifiers; default: small-64."),
    config: Path | None = Config,
    set_: list[str] = Set,
    workers: int | None = TrainingsAtATime,
    as_json: bool = AsJson,
) -> None:
    """Find labels that are probably wrong or poisoned; planted wrong labels measure how many the screen finds."""
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
