"""How a signal ends long work: saved and resumable at the first, at once at the second."""

import signal
from collections.abc import Callable
from types import FrameType

import typer


def stop_on_signal() -> Callable[[], bool]:
    """Ctrl-C or SIGTERM ends the step, saves, and returns; a second one ends at once."""
    stopped = False

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal stopped
        del frame
        if stopped:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        stopped = True
        typer.echo("stopping after this step ...", err=True)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, handle)
    return lambda: stopped
