"""The command line of the package, with the toy federation instead of the real one; a program of its own."""

import os

from radcommons.cli import main
from radcommons.federated.deployment.apps import Apps
from radcommons.federated.deployment.client import join
from radcommons.federated.deployment.server import serve

if __name__ == "__main__":
    toy = Apps("toy_apps:server", os.environ.get("TOY_CLIENT", "toy_apps:client"), "toy_apps:check")
    for function in (join, serve):
        function.__kwdefaults__["apps"] = toy
    main()
