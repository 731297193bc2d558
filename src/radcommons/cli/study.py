"""``radcommons study``: plan, create, serve and analyse a study in which readers tell real from synthetic films."""

from pathlib import Path
from typing import Literal

import typer

from radcommons.cli import study_create
from radcommons.cli.output import AsJson, seed_option, show
from radcommons.errors import SettingRefused
from radcommons.settings import require_once

app = typer.Typer(
    no_args_is_help=True, help="A study in which readers tell real from synthetic films: plan, create, serve, analyse."
)

app.command("create", epilog=study_create.CREATE_EPILOG)(study_create.create)
app.command("cover", epilog=study_create.COVER_EPILOG)(study_create.cover)

PLAN_EPILOG = """
radcommons study plan

radcommons study plan --accuracy 0.65 --readers 4 --readers 8 --images 60 --images 120 --reader-spread 0.08
"""
ANALYSE_EPILOG = """
radcommons study analyse studies/first --out studies/first-result

radcommons study analyse answers.csv --out study-strict --timed-out wrong
"""
MOST_ANSWERS = 1_000_000  # of one simulated study


@app.command("plan", epilog=PLAN_EPILOG)
def plan(
    accuracy: float = typer.Option(0.6, "--accuracy", help="Accuracy that is to be told apart from 0.5, e.g. 0.6."),
    power: float = typer.Option(0.8, "--power", min=0.5, max=0.999, help="Probability that the study finds it."),
    significance: float = typer.Option(0.05, "--significance", min=0.0001, max=0.5, help="Of the two-sided test."),
    readers: list[int] = typer.Option([3, 6, 10, 20], "--readers", min=2, help="Number of readers; may be repeated."),
    images: list[int] = typer.Option(
        [50, 100, 200], "--images", min=4, help="Images each reader sees, half of them synthetic; may be repeated."
    ),
    reader_spread: float = typer.Option(
        0.05, "--reader-spread", min=0.0, help="Standard deviation of readers' true accuracies."
    ),
    image_spread: float = typer.Option(
        0.1, "--image-spread", min=0.0, help="Standard deviation of images' true shares of right answers."
    ),
    simulations: int = typer.Option(2_000, "--simulations", min=100, help="Simulated studies behind each power."),
    seed: int = seed_option("Seed of the simulation."),
    as_json: bool = AsJson,
) -> None:
    """Say how many readers and images tell an accuracy apart from chance, by simulation."""
    from dataclasses import asdict

    from radcommons.study.plan import plan_study

    require_once("--readers", readers)
    require_once("--images", images)
    if not 0.5 < accuracy < 1:
        raise SettingRefused(f"--accuracy is {accuracy:g}; it must be above 0.5 and below 1")
    if max(readers) * max(images) > MOST_ANSWERS:
        raise SettingRefused(f"--readers times --images is {max(readers) * max(images):,}; at most {MOST_ANSWERS:,}")
    found = plan_study(
        accuracy=accuracy,
        power=power,
        significance=significance,
        readers=readers,
        images=images,
        reader_spread=reader_spread,
        image_spread=image_spread,
        simulations=simulations,
        seed=seed,
    )
    counts = sorted(images)
    lines = [
        f"power to tell an accuracy of {accuracy:g} apart from 0.5, by readers and images per reader:",
        "readers" + "".join(f"{n:>8}" for n in counts),
        *(f"{r:>7}" + "".join(f"{of_images[n]:>8.2f}" for n in counts) for r, of_images in found.powers.items()),
        f"one reader alone, for that reader only: {found.one_reader_images:,} images",
        found.sentence,
    ]
    asked = {"accuracy": accuracy, "power": power, "significance": significance, "reader_spread": reader_spread}
    asked |= {"image_spread": image_spread, "simulations": simulations, "seed": seed}
    show({**asked, **asdict(found)}, "\n".join(lines), as_json)


@app.command("analyse", epilog=ANALYSE_EPILOG)
def analyse(
    answers: Path = typer.Argument(
        metavar="STUDY|ANSWERS.csv",
        help="A study that was served, or a CSV file with one line per answer: reader, group, block, position, image, "
        "truth, answer, ...",
    ),
    out: Path = typer.Option(..., "--out", help="Folder of the results."),
    timed_out: Literal["half", "wrong", "excluded"] = typer.Option(
        "half", "--timed-out", help="How an answer that timed out counts."
    ),
    database: str | None = typer.Option(
        None, "--database", envvar="RADCOMMONS_DATABASE", help="Of a study that was served with one."
    ),
    bootstrap_samples: int = typer.Option(10_000, "--bootstrap-samples", min=100, help="Bootstrap samples."),
    seed: int = seed_option("Seed of the bootstrap samples."),
    as_json: bool = AsJson,
) -> None:
    """Analyse the answers of a reader study: accuracy, agreement, ROC, tests, each with its interval, and a page."""
    from radcommons.study.analysis import analyse as analyse_file
    from radcommons.study.report import as_text

    drawn_by = last = None
    if answers.is_dir():
        from radcommons.study.design import Study
        from radcommons.study.server import write_answers

        drawn_by = Study.open(answers).sources().drawn_by
        answers = write_answers(answers.resolve(), database)
        from radcommons.study.export import last_answer

        last = last_answer()
    result = analyse_file(
        answers,
        out,
        timed_out=timed_out,
        bootstrap_samples=bootstrap_samples,
        seed=seed,
        drawn_by=drawn_by,
        last_answer=last,
    )
    show(result.model_dump(mode="json"), as_text(result, out), as_json)


SERVE_EPILOG = """
radcommons study serve study

radcommons study serve study --host study.example.org --https
"""


@app.command("serve", epilog=SERVE_EPILOG)
def serve(
    folder: Path = typer.Argument(metavar="DIR", help="A study; answers are kept in its folder 'server'."),
    database: str | None = typer.Option(
        None,
        "--database",
        envvar="RADCOMMONS_DATABASE",
        help="postgresql://USER:PASSWORD@HOST:PORT/NAME; default: SQLite in the study's folder.",
    ),
    port: int = typer.Option(8000, "--port", min=1, max=65535, help="Port to listen on."),
    bind: str = typer.Option("127.0.0.1", "--bind", help="Address to listen on; a proxy with TLS stands in front."),
    host: list[str] = typer.Option([], "--host", help="Name under which browsers reach the study; may be repeated."),
    https: bool = typer.Option(False, "--https", help="A proxy in front speaks TLS: cookies are sent over TLS only."),
    threads: int = typer.Option(8, "--threads", min=1, help="Threads of each server process."),
    processes: int = typer.Option(2, "--processes", min=1, help="Server processes."),
    link: bool = typer.Option(False, "--new-link", help="Print a link for a coordinator who has lost the password."),
) -> None:
    """Show a study's images to readers and keep their answers; the first start prints a link for the coordinator."""
    from radcommons.study.design import Study
    from radcommons.study.server import begin, check, new_link, study_site
    from radcommons.web import server

    study = Study.open(folder.resolve())
    check(study)
    with server.counted_together():
        server.ready(study_site(study, database, host, https=https))
        address = server.address(port, host, https=https)
        typer.echo(f"study: {address}")
        first = begin(study)
        if first or link:
            typer.echo(f"coordinator, set your password here, once: {address}{first or new_link()}")
        server.serve(f"{bind}:{port}", threads=threads, processes=processes)
