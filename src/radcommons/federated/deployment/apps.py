"""Which objects a federation runs, and how they learn what they were asked for.

The ServerApp finds its settings and its folder in the environment, so that clients never see a path of the server. The
ClientApp finds `store`, `run` and `limits` in `context.node_config`, so that the server never names a path of a client.
"""

from dataclasses import dataclass

CONFIG_VARIABLE, OUT_VARIABLE = "RADCOMMONS_FEDERATION_CONFIG", "RADCOMMONS_FEDERATION_OUT"  # absolute paths
FLOWER = "flower"  # folder of what Flower keeps, in the folder of the results
FINISHED = "federation.json"  # written to its run by the ClientApp when it has the finished generator
OTHER_APP = "the server sends another program than this installation's"


@dataclass(frozen=True)
class Apps:
    """Where the two sides of the training are, each as MODULE:OBJECT.

    Attributes:
        check: function of the file of settings, the folder of the results and the number of clients' keys; raises what
            would stop the ServerApp, before anything is started.
    """

    server: str = "radcommons.federated.server_app:app"
    client: str = "radcommons.federated.client_app:app"
    check: str = "radcommons.federated.server_app:check"
