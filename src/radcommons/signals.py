"""The signals that ask a command to stop: of a terminal, a scheduler or a person."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType

# Ctrl-C; kill and torchrun; a closed terminal; Slurm's --signal and submitit. Windows has fewer, and one of its own.
NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGBREAK")
STOP_SIGNALS = tuple(getattr(signal, name) for name in NAMES if hasattr(signal, name))
Handler = Callable[[int, FrameType | None], None]


def handle_stop_signals(handler: Handler) -> None:
    """Set the handler of every stop signal but those ignored from the start, as nohup has SIGHUP ignored."""
    for number in STOP_SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, handler)


def ignore_stop_signals() -> None:
    """Leave stop signals to the parent: schedulers and terminals send them to its workers too."""
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)


@contextlib.contextmanager
def handlers_kept() -> Iterator[bool]:
    """Put the handlers of all stop signals back afterwards; False in a thread that may not set any."""
    if threading.current_thread() is not threading.main_thread():
        yield False
        return
    before = {number: signal.getsignal(number) for number in STOP_SIGNALS}
    try:
        yield True
    finally:
        for number, handler in before.items():
            if handler is not None:  # one that Python did not set and cannot set again
                signal.signal(number, handler)


@contextlib.contextmanager
def ignored_by_new_processes() -> Iterator[None]:
    """Ignore stop signals, which new processes inherit, and block them too, so that they arrive here afterwards.

    Blocking alone is not inherited: starting the first worker, joblib unblocks Ctrl-C.
    """
    with contextlib.ExitStack() as stack:
        if hasattr(signal, "pthread_sigmask") and threading.current_thread() is threading.main_thread():
            mask = signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
            stack.callback(signal.pthread_sigmask, signal.SIG_SETMASK, mask)
        if stack.enter_context(handlers_kept()):
            ignore_stop_signals()
        yield
