"""Flower's SuperNode, which runs no app but the installed one; a program of its own.

Otherwise whoever runs the server could send any program to every hospital.
"""

import sys
from typing import Any

from flwr.supercore.exit import ExitCode, flwr_exit
from flwr.supercore.fab import Fab
from flwr.supernode import fleet_http_connection
from flwr.supernode.cli import flower_supernode

from radcommons.federated.deployment.apps import OTHER_APP, Apps
from radcommons.federated.deployment.bundle import is_ours


def main() -> None:
    """Run the SuperNode with the arguments of flower-supernode, after the two objects of `Apps`."""
    apps = Apps(*sys.argv[1:3])
    del sys.argv[1:3]
    received = fleet_http_connection.fab_from_proto  # type: ignore[attr-defined]

    def checked(message: Any) -> Fab:
        fab = received(message)
        if not is_ours(fab.content, apps):
            flwr_exit(ExitCode.COMMON_APP_IMPORT_ERROR, OTHER_APP)  # after it has told the server that it leaves
        return fab

    fleet_http_connection.fab_from_proto = checked  # type: ignore[attr-defined, assignment]
    flower_supernode()


if __name__ == "__main__":
    main()
