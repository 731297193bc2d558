"""Runs the ClientApp on each message in a fork of this process; a program of its own.

Flower starts a new Python for each message, which takes seconds to import what this process has imported once.
"""

import importlib
import os
import signal
import sys
from typing import NoReturn

from flwr.supercore.cli.flower_superexec import flower_superexec
from flwr.supercore.constant import TaskType
from flwr.supercore.exit import exit_handler
from flwr.supercore.superexec import run_superexec
from flwr.supercore.superexec.executor import ExecutionSpec, LaunchResult
from flwr.supernode.runtime.run_clientapp import run_clientapp


class Forks:
    """An executor of Flower's SuperExec, for ClientApps only."""

    def __init__(self) -> None:
        self._children: set[int] = set()

    def get_eligible_capacity(
        self, supported_task_types: set[TaskType], *, insecure: bool = False, root_certificates_path: str | None = None
    ) -> tuple[set[TaskType], set[str]]:
        """Only ClientApps, any number of them."""
        del supported_task_types, insecure, root_certificates_path
        return {TaskType.CLIENT_APP}, set()

    def wait_for_capacity(self, *args: object, **kwargs: object) -> None:
        """Return at once."""

    def launch(self, spec: ExecutionSpec) -> LaunchResult:
        """Fork a process that runs the ClientApp on one message."""
        if spec.task_type != TaskType.CLIENT_APP:
            return LaunchResult.failed(f"tasks of type {spec.task_type} are not run here")
        sys.stdout.flush()
        sys.stderr.flush()
        child = os.fork()
        if not child:
            _work(spec)
        self._children.add(child)
        return LaunchResult.accepted()

    def reconcile(self) -> None:
        """Forget children that ended."""
        self._children = {child for child in self._children if os.waitpid(child, os.WNOHANG) == (0, 0)}

    def close(self) -> None:
        """Leave the children to end by themselves: they watch this process."""


def _work(spec: ExecutionSpec) -> NoReturn:
    status: int | str | None = 1
    try:
        exit_handler.registered_exit_handlers.clear()  # those of the process that was forked
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT):
            signal.signal(number, signal.default_int_handler)
        run_clientapp(spec.runtime_api_address, spec.token, spec.insecure, parent_pid=spec.parent_pid)
    except SystemExit as exit:
        status = exit.code
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status if isinstance(status, int) else 1)


def main() -> None:
    """Run the SuperExec with the arguments of flower-superexec, after the object of the ClientApp."""
    client = sys.argv.pop(1)
    importlib.import_module(client.split(":")[0])
    run_superexec.get_executor = lambda *args, **kwargs: Forks()  # type: ignore[attr-defined]
    flower_superexec()


if __name__ == "__main__":
    main()
