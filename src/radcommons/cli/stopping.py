"""How a signal stops a command: after the current step if the command can save there, otherwise at once.

Finished work stays in both cases. `radcommons.signals` lists the signals. A scheduler, a closing terminal and torchrun
may send several, so a second signal changes nothing; only a second Ctrl-C, which comes from a person, stops at once.
"""

import contextlib
import os
import signal
import stat
from collections.abc import Callable, Iterator
from types import FrameType

import typer

from radcommons.signals import handle_stop_signals, handlers_kept


@contextlib.contextmanager
def stop_on_signals() -> Iterator[None]:
    """Inside the context, every stop signal raises KeyboardInterrupt, as Ctrl-C does."""

    def interrupt() -> None:
        raise KeyboardInterrupt

    with handlers_kept() as allowed:
        if allowed:
            handle_stop_signals(_at_first(interrupt))
        yield


def stop_after_step() -> Callable[[], bool]:
    """From now on, stop signals do not interrupt; the returned function says whether one arrived."""
    stopped = False

    def stop() -> None:
        nonlocal stopped
        stopped = True
        with contextlib.suppress(OSError):  # if the terminal is closed, save anyway
            typer.echo("stopping after this step ...", err=True)

    handle_stop_signals(_at_first(stop))
    return lambda: stopped


def _at_first(act: Callable[[], None]) -> Callable[[int, FrameType | None], None]:
    heard = False

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal heard
        del frame
        _leave_closed_terminal()
        if not heard:
            heard = True
            act()
        elif number == signal.SIGINT and "TORCHELASTIC_RUN_ID" not in os.environ:  # torchrun forwards Ctrl-C
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)

    return handle


def _leave_closed_terminal() -> None:
    """If the terminal is closed, discard further output, because writing to it would raise an error."""
    for descriptor in (1, 2):
        with contextlib.suppress(OSError):
            if stat.S_ISCHR(os.fstat(descriptor).st_mode) and not os.isatty(descriptor):
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, descriptor)
                os.close(nowhere)
