"""The signals that ask a command to stop, from a terminal, a scheduler or a person."""

import contextlib
import ctypes
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType

# Ctrl-C; kill and torchrun; a closed terminal; Slurm's --signal and submitit. Windows has fewer, and SIGBREAK.
NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGBREAK")
STOP_SIGNALS = tuple(getattr(signal, name) for name in NAMES if hasattr(signal, name))
Handler = Callable[[int, FrameType | None], None]


def handle_stop_signals(handler: Handler) -> None:
    """Set the handler of every stop signal, except signals that are ignored already (nohup ignores SIGHUP)."""
    for number in STOP_SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, handler)


def ignore_stop_signals() -> None:
    """Ignore stop signals in a worker: schedulers and terminals send them to the workers and the parent."""
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)


@contextlib.contextmanager
def handlers_kept() -> Iterator[bool]:
    """Restore the handlers of all stop signals at the end; yields False in a thread that may not set handlers."""
    if threading.current_thread() is not threading.main_thread():
        yield False
        return
    before = {number: signal.getsignal(number) for number in STOP_SIGNALS}
    try:
        yield True
    finally:
        for number, handler in before.items():
            if handler is not None:  # None: not set by Python, which cannot restore it
                signal.signal(number, handler)


@contextlib.contextmanager
def ignored_by_new_processes() -> Iterator[None]:
    """Make new processes ignore stop signals; this process receives them at the end of the context.

    New processes inherit that signals are ignored. Blocking keeps the signals for this process. Blocking alone is not
    enough: joblib unblocks Ctrl-C when it starts the first worker.
    """
    with contextlib.ExitStack() as stack:
        if hasattr(signal, "pthread_sigmask") and threading.current_thread() is threading.main_thread():
            mask = signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
            stack.callback(signal.pthread_sigmask, signal.SIG_SETMASK, mask)
        if stack.enter_context(handlers_kept()):
            ignore_stop_signals()
        yield


_LIBRARY = ctypes.CDLL(None) if sys.platform == "linux" else None


def ends_with_parent() -> None:
    """Between fork and exec: the new process is asked to end when its parent ends, however that ends; on Linux only."""
    if _LIBRARY is not None:
        _LIBRARY.prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG
