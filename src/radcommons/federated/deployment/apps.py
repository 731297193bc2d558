"""Which two objects a federation runs, and what a client says of a server that sends others."""

from dataclasses import dataclass

# of the environment, for the ServerApp: settings and folder
CONFIG_VARIABLE, OUT_VARIABLE = "RADCOMMONS_FEDERATION_CONFIG", "RADCOMMONS_FEDERATION_OUT"
FLOWER = "flower"  # folder of what Flower keeps, in the folder of the results
OTHER_APP = "the server sends another program than this installation's"


@dataclass(frozen=True)
class Apps:
    """Where the two sides of the training are, each as MODULE:OBJECT."""

    server: str = "radcommons.federated.server_app:app"
    client: str = "radcommons.federated.client_app:app"
