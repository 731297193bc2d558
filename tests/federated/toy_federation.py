"""The command line of the package, with the apps of TOY_APPS instead of the real ones; a program of its own."""

import os

from radcommons.cli import main
from radcommons.federated.deployment.apps import Apps
from radcommons.federated.deployment.client import join
from radcommons.federated.deployment.server import serve

if __name__ == "__main__":
    apps = Apps(*os.environ.get("TOY_APPS", "toy_apps:server toy_apps:client toy_apps:check toy_apps:check").split())
    for function in (join, serve):
        function.__kwdefaults__["apps"] = apps
    main()
