"""Several hospitals train one generator together; Flower carries the messages and averages the weights."""

import importlib.util

from radcommons.errors import ExtraMissing


def needs_flower() -> None:
    """Raise ExtraMissing if Flower is not installed."""
    if importlib.util.find_spec("flwr") is None:
        raise ExtraMissing("a federated training needs", "federated")
