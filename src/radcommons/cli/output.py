"""What commands print: results on stdout, progress on stderr, one JSON object with --json."""

import json
import shlex
import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from radcommons.cluster.address import Address
from radcommons.progress import Advance
from radcommons.settings import checked_seed

NAME = "radcommons"
LINE_EVERY = 15.0  # seconds between progress lines where stderr is not a terminal

Cluster = typer.Option(
    None,
    "--cluster",
    metavar="ADDRESS",
    help="Work on a running cluster: dask://HOST:PORT or dask+tls://HOST:PORT. Default: this machine.",
    callback=lambda text: text if text is None else str(Address.parse(text)),  # refused before any work
)
Config = typer.Option(None, "--config", help="A TOML file of settings instead of a preset.")
Set = typer.Option([], "--set", metavar="KEY=VALUE", help="Change a setting, e.g. seed=1; may be repeated.")
StudyDate = typer.Option(
    None,
    "--study-date",
    metavar="DATE",
    help="Study date of DICOM files: YYYY-MM-DD, today (the day the set was started; default) or none.",
)
TrainingsAtATime = typer.Option(
    None, "--workers", min=1, help="Trainings at the same time, one core each. Default: all cores; 1 on a GPU."
)
AsJson = typer.Option(False, "--json", help="Print one JSON object on stdout, and nothing else on stdout.")


GeneratorArgument = typer.Argument(
    metavar="GENERATOR",
    help="A run, the folder of a package, hub://HOST/ORG/NAME@REVISION or hf://ORG/NAME@REVISION.",
)


def seed_option(help: str) -> Any:
    """The option --seed, the same for every command."""
    return typer.Option(0, "--seed", callback=checked_seed, help=help)


def show(result: Mapping[str, Any], lines: str, as_json: bool) -> None:
    """Print the result as JSON or as text for people."""
    typer.echo(json.dumps(result, indent=2, default=str) if as_json else lines)


def say_where_to_watch(page: Path) -> None:
    """Name a training's page, on stderr."""
    typer.echo(f"watch the training: open {page}", err=True)


def as_typed() -> str:
    """This program with its path, as it is typed in the working folder: ``.venv/bin/radcommons``."""
    called = Path(sys.argv[0])
    program = called if called.name == NAME else Path(sys.executable).with_name(NAME)
    found = shutil.which(program)
    if found is None:
        return f"{shlex.quote(sys.executable)} -m {NAME}"
    path = Path(found).absolute()
    return shlex.quote(str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path))


class _Rate(ProgressColumn):
    """Units per second."""

    def render(self, task: Task) -> Text:
        rate = task.finished_speed or task.speed
        return Text("" if rate is None else f"{rate:,.1f} {task.fields['unit']}/s", style="progress.data.speed")


@contextmanager
def bar(description: str, *, total: int, done: int = 0, unit: str = "images") -> Iterator[Advance]:
    """The Track of the command line: a bar with rate and time left; in a log file a line every `LINE_EVERY` seconds."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _lines(console, description, total, done, unit)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), _Rate(), TimeRemainingColumn())
    with Progress(*columns, console=console, speed_estimate_period=60) as progress:
        task = progress.add_task(description, total=total, completed=done, unit=unit)
        yield lambda count: progress.advance(task, count)


def _lines(console: Console, description: str, total: int, done: int, unit: str) -> Advance:
    started = last = time.monotonic()
    first, now = done, done

    def advance(count: int) -> None:
        nonlocal now, last
        now += count
        moment = time.monotonic()
        if moment - last < LINE_EVERY and now < total:
            return
        last = moment
        rate = (now - first) / max(1e-9, moment - started)
        left = max(0, total - now) / max(1e-9, rate)
        text = f"{description}: {now:,} of {total:,} {unit}, {rate:,.1f} {unit}/s, {left / 60:.1f} min left"
        console.print(text, highlight=False, soft_wrap=True)

    return advance
