"""The record of how a generator was trained by several hospitals together."""

import math
from typing import Annotated, Literal, Self

from pydantic import Field, FiniteFloat, NonNegativeInt, PositiveInt, model_validator

from radcommons.records.record import Record, RecordPart

COMBINED = {"mean": "their mean", "median": "their median", "trimmed mean": "a trimmed mean", "krum": "Krum"}


class ClientPrivacy(RecordPart):
    """Differential privacy of clients: every outcome is nearly as probable if one hospital had not taken part.

    Attributes:
        epsilon, delta: the bound, by Renyi accounting of every round that was released.
        noise_multiplier: standard deviation of the noise, in clipping norms.
        clipping_norm: largest length of a client's update.
        releases: number of rounds.
    """

    epsilon: Annotated[FiniteFloat, Field(ge=0)]
    delta: Annotated[float, Field(gt=0, lt=1)]
    noise_multiplier: Annotated[FiniteFloat, Field(gt=0)]
    clipping_norm: Annotated[FiniteFloat, Field(gt=0)]
    releases: NonNegativeInt


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

    clients: PositiveInt
    films: NonNegativeInt
    rounds: NonNegativeInt
    share: Literal["both", "generator"]
    aggregation: Literal["mean", "median", "trimmed mean", "krum"]
    local_iterations: PositiveInt
    privacy: ClientPrivacy | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.privacy is not None and (self.aggregation != "mean" or self.privacy.releases < self.rounds):
            raise ValueError("the bound does not hold for these rounds")
        return self

    @property
    def statement(self) -> str:
        """How it was trained, a sentence."""
        networks = "generator and critic travelled" if self.share == "both" else "only the generator travelled"
        return (
            f"Trained by {_number(self.clients, 'client')} together in {_number(self.rounds, 'round')} of "
            f"{_number(self.local_iterations, 'generator step')} each; {networks}; the weights were combined by "
            f"{COMBINED[self.aggregation]}."
        )

    @property
    def privacy_statement(self) -> str:
        """The bound with both of its numbers, epsilon rounded up; or that there is none."""
        if self.privacy is None:
            return "no differential privacy"
        epsilon, delta = self.privacy.epsilon, self.privacy.delta
        digits = 2 - math.floor(math.log10(epsilon)) if epsilon > 0 else 0
        rounded = math.ceil(epsilon * 10**digits * (1 - 1e-12)) / 10**digits
        return f"differential privacy of clients: epsilon {rounded:.3g}, delta {delta:g}"

    @property
    def summary(self) -> str:
        """How it was trained, and the bound or that there is none: two sentences."""
        return f"{self.statement} {self.privacy_statement.capitalize()}."

    def tested(self, films: int) -> str:
        """Whose films an audit asked about that had so many in training, a sentence."""
        if films == self.films:
            return "The films in training of this audit are those of all clients."
        return (
            f"The films in training of this audit are those of the auditing hospital's store alone, {films:,} of "
            f"{self.films:,}: the films of the other clients were not tested."
        )


def _number(count: int, what: str) -> str:
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"
