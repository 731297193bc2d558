"""Flower's strategies, by the settings."""

import contextlib
import hashlib
from collections.abc import Iterable, Iterator
from typing import Any, cast

import numpy as np
from flwr.app import ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict
from flwr.serverapp import Grid
from flwr.serverapp.strategy import (
    DifferentialPrivacyServerSideFixedClipping,
    FedAvg,
    FedMedian,
    FedTrimmedAvg,
    Krum,
    Strategy,
)
from flwr.serverapp.strategy.multikrum import select_multikrum
from flwr.supercore.privacy_accounting import GaussianPrivacyEvent, NeighboringRelation, PrivacyConfig, SamplingMethod
from flwr.supercore.privacy_accounting.rdp_accountant import RdpAccountant

from radcommons.errors import ExtraMissing, SettingRefused
from radcommons.federated import messages
from radcommons.federated.settings import FederatedSettings, PrivacySettings

WEIGHT = "num-examples"  # name of FedAvg's weight


class OnlyThese:
    """The nodes that the server has chosen for a round, for a strategy that takes all there are."""

    def __init__(self, nodes: Iterable[int]) -> None:
        self._nodes = tuple(nodes)

    def get_node_ids(self) -> tuple[int, ...]:
        """Their identifiers."""
        return self._nodes


class KrumOfChanges(Krum):
    """Krum by what clients changed: in float32, their squared distances vanish beside the squared weights."""

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Remember what the clients begin from."""
        self._given = messages.to_numpy(arrays)
        return super().configure_train(server_round, arrays, config, grid)

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """The weights of the client whose change is nearest to the others', as it sent them."""
        replies, changes = list(replies), []
        for number, reply in enumerate(replies):
            sent = messages.to_numpy(reply.content.array_records[messages.ARRAYS])
            change = messages.record_of({name: sent[name] - self._given[name] for name in sent})
            changes.append(RecordDict({messages.ARRAYS: change, "client": ConfigRecord({"number": number})}))
        [chosen] = select_multikrum(changes, self.num_malicious_nodes, 1)
        return FedAvg.aggregate_train(self, server_round, [replies[cast(int, chosen["client"]["number"])]])


def grid_of(nodes: Iterable[int]) -> Grid:
    """A strategy asks its grid for nothing but nodes."""
    return cast(Grid, OnlyThese(nodes))


def strategy_of(settings: FederatedSettings) -> Strategy:
    """FedAvg or what takes its place, on the nodes of `OnlyThese`; with differential privacy around it.

    Raises:
        SettingRefused: not even one round is within the largest epsilon.
    """
    nodes: dict[str, Any] = {"min_train_nodes": 1, "min_available_nodes": 1}
    if settings.aggregation == "median":
        return FedMedian(**nodes)
    if settings.aggregation == "trimmed mean":
        return FedTrimmedAvg(**nodes, beta=settings.trimmed_share)
    if settings.aggregation == "krum":
        return KrumOfChanges(**nodes, num_malicious_nodes=settings.malicious_clients)
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
    """Renyi accounting of every release; clients that a round leaves out are not counted in favour of privacy.

    Raises:
        SettingRefused: not even one round is within the largest epsilon.
    """
    config = PrivacyConfig(
        target_delta=privacy.delta,
        population_size=clients,
        neighboring_relation=NeighboringRelation.ADD_OR_REMOVE_ONE,
        sampling_method=SamplingMethod.NO_AMPLIFICATION,
        max_epsilon=privacy.largest_epsilon,
    )
    try:
        accountant, one = RdpAccountant(config), RdpAccountant(config)
    except ImportError:
        raise ExtraMissing("differential privacy needs", "federated") from None
    one.compose(GaussianPrivacyEvent(privacy.noise_multiplier, sample_size=1, population_size=clients))
    if (epsilon := one.get_privacy_spent().epsilon) > privacy.largest_epsilon:
        raise SettingRefused(
            f"'largest_epsilon' is {privacy.largest_epsilon:g}, and one round has {epsilon:.3g}; raise it, or "
            "'noise_multiplier'"
        )
    return accountant


@contextlib.contextmanager
def noise_of(secret: str, round_number: int) -> Iterator[None]:
    """Flower draws its noise from NumPy's global generator: here it follows from a secret, and is put back after.

    Who knows the noise can subtract it, so it must not follow from the settings, which every client gets.
    """
    before = np.random.get_state()  # noqa: NPY002
    words = np.frombuffer(hashlib.sha256(f"{secret}/{round_number}".encode()).digest(), np.uint32)
    np.random.seed(words)  # noqa: NPY002
    try:
        yield
    finally:
        np.random.set_state(before)  # noqa: NPY002
