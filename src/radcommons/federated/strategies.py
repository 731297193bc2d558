"""Flower's strategies, by the settings."""

from collections.abc import Iterable
from typing import Any, cast

import numpy as np
from flwr.serverapp import Grid
from flwr.serverapp.strategy import (
    DifferentialPrivacyServerSideFixedClipping,
    FedAvg,
    FedMedian,
    FedTrimmedAvg,
    Krum,
    Strategy,
)
from flwr.supercore.privacy_accounting import NeighboringRelation, PrivacyConfig, SamplingMethod
from flwr.supercore.privacy_accounting.rdp_accountant import RdpAccountant

from radcommons.errors import ExtraMissing
from radcommons.federated.settings import FederatedSettings, PrivacySettings
from radcommons.seeds import derive

WEIGHT = "num-examples"  # name of FedAvg's weight


class OnlyThese:
    """The nodes that the server has chosen for a round, for a strategy that takes all there are."""

    def __init__(self, nodes: Iterable[int]) -> None:
        self._nodes = tuple(nodes)

    def get_node_ids(self) -> tuple[int, ...]:
        """Their identifiers."""
        return self._nodes


def grid_of(nodes: Iterable[int]) -> Grid:
    """A strategy asks its grid for nothing but nodes."""
    return cast(Grid, OnlyThese(nodes))


def strategy_of(settings: FederatedSettings) -> Strategy:
    """FedAvg or what takes its place, on the nodes of `OnlyThese`; with differential privacy around it."""
    nodes: dict[str, Any] = {"min_train_nodes": 1, "min_available_nodes": 1}
    if settings.aggregation == "median":
        return FedMedian(**nodes)
    if settings.aggregation == "trimmed mean":
        return FedTrimmedAvg(**nodes, beta=settings.trimmed_share)
    if settings.aggregation == "krum":
        return Krum(**nodes, num_malicious_nodes=settings.malicious_clients)
    average = FedAvg(**nodes)
    if settings.privacy is None:
        return average
    return DifferentialPrivacyServerSideFixedClipping(
        average,
        noise_multiplier=settings.privacy.noise_multiplier,
        clipping_norm=settings.privacy.clipping_norm,
        num_sampled_clients=settings.clients_a_round,
        accountant=accountant_of(settings.privacy, settings.clients),
    )


def accountant_of(privacy: PrivacySettings, clients: int) -> RdpAccountant:
    """Renyi accounting of every release; clients that a round leaves out are not counted in favour of privacy."""
    config = PrivacyConfig(
        target_delta=privacy.delta,
        population_size=clients,
        neighboring_relation=NeighboringRelation.ADD_OR_REMOVE_ONE,
        sampling_method=SamplingMethod.NO_AMPLIFICATION,
        max_epsilon=privacy.largest_epsilon,
    )
    try:
        return RdpAccountant(config)
    except ImportError:
        raise ExtraMissing("differential privacy needs", "federated") from None


def seed_noise(seed: int, round_number: int) -> None:
    """Flower draws its noise from NumPy's global generator."""
    np.random.seed(derive(seed, "noise", round_number) % 2**32)  # noqa: NPY002
