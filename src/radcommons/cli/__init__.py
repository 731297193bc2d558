"""The command line: one file per verb, wiring only; the only code that turns an exception into one line."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import click
import typer

from radcommons import __version__
from radcommons.cli import (
    audit,
    classify,
    compare,
    data,
    demo,
    experiment,
    explain,
    federate,
    generate,
    hub,
    package,
    pool,
    reference,
    study,
    train,
)
from radcommons.cli.stopping import stop_on_signals
from radcommons.errors import RadCommonsError
from radcommons.signals import ignore_stop_signals

OUR_SUFFIXES = frozenset({".json", ".jsonl", ".parquet", ".npy", ".key", ".toml", ".pt", ".safetensors", ".html"})
STOPPED = 130  # exit status after Ctrl-C and other stop signals

app = typer.Typer(
    name="radcommons",
    help="Hospitals share what their radiographs teach, without sharing a radiograph.",
    epilog="Start with: radcommons demo --out demo",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("demo", epilog=demo.EPILOG)(demo.demo)
app.add_typer(data.app, name="data")
app.command("train", epilog=train.EPILOG)(train.train)
app.command("generate", epilog=generate.EPILOG)(generate.generate)
app.command("pool", epilog=pool.EPILOG)(pool.pool)
app.command("audit", epilog=audit.EPILOG)(audit.audit)
app.command("compare", epilog=compare.EPILOG)(compare.compare)
app.command("package", epilog=package.EPILOG)(package.package)
app.command("verify", epilog=package.VERIFY_EPILOG)(package.verify)
app.add_typer(package.keys, name="keys")
app.add_typer(hub.app, name="hub")
app.command("reference", epilog=reference.EPILOG)(reference.reference)
app.add_typer(classify.app, name="classify")
app.add_typer(experiment.app, name="experiment")
app.add_typer(explain.app, name="explain")
app.add_typer(federate.app, name="federate")
app.add_typer(study.app, name="study")


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"radcommons {__version__}")
        raise typer.Exit


SPIN_COUNT = "10000"  # of GNU OpenMP, which takes 300,000 by default; measured by benchmarks/contention.py


@app.callback()
def _radcommons(
    version: bool = typer.Option(False, "--version", callback=_show_version, is_eager=True, help="Show the version."),
) -> None:
    """Hospitals share what their radiographs teach, without sharing a radiograph."""
    del version


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status: 0 done, 2 bad input, 3 a gate refused, 130 stopped by a signal."""
    command = typer.main.get_command(app)
    try:
        with stop_on_signals():
            status = command.main(args=None if arguments is None else list(arguments), standalone_mode=False)
        if status == STOPPED:  # typer turns KeyboardInterrupt into this
            raise KeyboardInterrupt
        return status if isinstance(status, int) else 0
    except RadCommonsError as error:
        return _refuse(str(error), error.exit_code)
    except click.UsageError as error:
        if not error.format_message():  # without a command, typer has already shown the help
            return 2
        verb = error.ctx.command_path if error.ctx else "radcommons"
        return _refuse(f"{error.format_message().rstrip('.')}; see '{verb} --help'", 2)
    except click.ClickException as error:
        return _refuse(error.format_message(), 2)
    except (KeyboardInterrupt, click.Abort):
        return _refuse("stopped; run the same command again to continue", STOPPED)
    except BrokenPipeError:
        sys.stderr.close()
        return 0
    except OSError as error:
        return _refuse(f"{_place(error, arguments or sys.argv[1:])}{error.strerror or type(error).__name__}", 2)


def main() -> None:
    """Entry point of the command ``radcommons``."""
    # Threads of torch that wait for each other go to sleep sooner than GNU OpenMP lets them: other processes need the
    # cores. OpenMP reads this when torch is imported, which no command has done yet.
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", SPIN_COUNT)
    status = run()
    ignore_stop_signals()  # a signal while the interpreter exits would replace the status of finished work
    sys.exit(status)


def _place(error: OSError, arguments: Sequence[str]) -> str:
    """The path of an error, but only as much as the user gave: names inside a folder may be names of patients."""
    path = Path(str(error.filename or ""))
    given = [a for a in arguments if a and error.filename and path.is_relative_to(a)]
    if not given:
        return ""
    folder = max(given, key=len)
    ours = path.parent == Path(folder) and path.suffix in OUR_SUFFIXES
    return f"{path}: " if ours or path == Path(folder) else f"something in {folder}: "


def _refuse(message: str, status: int) -> int:
    click.echo("radcommons: " + " ".join(message.split()), err=True)
    return status
