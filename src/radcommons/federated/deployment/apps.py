"""Which objects a federation runs, and how they learn what they were asked for.

The ServerApp finds its settings and its folder in the environment, so that clients never see a path of the server. The
ClientApp finds `store`, `run` and `limits` in `context.node_config`, so that the server never names a path of a client.
"""

import importlib
from dataclasses import dataclass
from typing import Any

CONFIG_VARIABLE, OUT_VARIABLE = "RADCOMMONS_FEDERATION_CONFIG", "RADCOMMONS_FEDERATION_OUT"  # absolute paths
FLOWER = "flower"  # folder of what Flower keeps, in the folder of the results
FINISHED = "federation.json"  # written to its run by the ClientApp when it has the finished generator
OTHER_APP = "the server sends another program than this installation's"


@dataclass(frozen=True)
class Apps:
    """Where the two sides of the training are, each as MODULE:OBJECT.

    Attributes:
        check_server: function of the file of settings, the folder of the results and the number of clients' keys;
            raises what would stop the ServerApp, before anything is started.
        check_client: function of the store and the file of limits or None; raises what would stop every answer.
    """

    server: str = "radcommons.federated.server_app:app"
    client: str = "radcommons.federated.client_app:app"
    check_server: str = "radcommons.federated.server_app:check"
    check_client: str = "radcommons.federated.client_app:check"


def loaded(place: str) -> Any:
    """What lies at MODULE:OBJECT."""
    module, _, name = place.partition(":")
    return getattr(importlib.import_module(module), name)
