"""The record of how a generator was trained by several hospitals together."""

from typing import Literal

from radcommons.records.record import Record, RecordPart


class ClientPrivacy(RecordPart):
    """Differential privacy of clients: every outcome is nearly as probable if one hospital had not taken part.

    Attributes:
        epsilon, delta: the bound, by Renyi accounting of every round that was released.
        noise_multiplier: standard deviation of the noise, in clipping norms.
        clipping_norm: largest length of a client's update.
        releases: number of rounds.
    """

    epsilon: float
    delta: float
    noise_multiplier: float
    clipping_norm: float
    releases: int


class FederationRecord(Record):
    """``federation.json`` beside a generator's weights.

    Attributes:
        clients: number of hospitals, or of parts of one store in a simulation.
        films: number of training films of all together.
        rounds: number of averages.
        share: the networks that travelled; with "both" every client and the server saw the critic.
        aggregation: how weights were combined.
        local_iterations: generator steps of a client in a round.
        privacy: differential privacy of clients; None if there was none.
    """

    clients: int
    films: int
    rounds: int
    share: Literal["both", "generator"]
    aggregation: Literal["mean", "median", "trimmed mean", "krum"]
    local_iterations: int
    privacy: ClientPrivacy | None = None
