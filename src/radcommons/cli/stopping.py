"""How a signal ends a command: at the end of the step where it can save, else at once, keeping what is finished.

Which signals, says `radcommons.signals`. A scheduler, a closing terminal and torchrun may send several, so that a
second one changes nothing; only a second Ctrl-C, which a person means, ends at once.
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
    """End what runs here as Ctrl-C does, by KeyboardInterrupt, at any stop signal."""

    def interrupt() -> None:
        raise KeyboardInterrupt

    with handlers_kept() as allowed:
        if allowed:
            handle_stop_signals(_at_first(interrupt))
        yield


def stop_after_step() -> Callable[[], bool]:
    """From here to the end of the command a stop signal only makes the function that is returned say so."""
    stopped = False

    def stop() -> None:
        nonlocal stopped
        stopped = True
        with contextlib.suppress(OSError):  # saving matters more than a terminal that is gone
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
        elif number == signal.SIGINT and "TORCHELASTIC_RUN_ID" not in os.environ:  # torchrun sends Ctrl-C on
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)

    return handle


def _leave_closed_terminal() -> None:
    """Send what is still to be printed nowhere, where the terminal is closed: writing there would be an error."""
    for descriptor in (1, 2):
        with contextlib.suppress(OSError):
            if stat.S_ISCHR(os.fstat(descriptor).st_mode) and not os.isatty(descriptor):
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, descriptor)
                os.close(nowhere)
