"""Settings of a federated training: what the server decides, what a client allows; presets in ``configs/federate``."""

from collections.abc import Mapping
from itertools import count
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, SerializeAsAny, model_validator

from radcommons.errors import SettingRefused, nearest_hint
from radcommons.findings import VOCABULARY, canonical_or_none
from radcommons.gan.recipes import parse_settings
from radcommons.gan.settings import TrainSettings
from radcommons.settings import Names, Settings, preset_path, read_toml

Share = Literal["both", "generator"]
Optimisers = Literal["kept", "reset"]
Aggregation = Literal["mean", "median", "trimmed mean", "krum"]
Transfer = Literal["fp32", "bf16"]
Division = Literal["equal", "by size", "by finding"]
ClientName = Annotated[str, Field(pattern=r"^[\w .-]{1,60}$")]  # of letters, digits, blanks and . - _


def _training(values: Any) -> Any:
    """Settings of a training; `preset` names shipped ones, over which the others are laid."""
    if not isinstance(values, Mapping):
        return values
    own = {key: value for key, value in values.items() if key != "preset"}
    begin = read_toml(preset_path("train", str(values["preset"]))) if "preset" in values else {}
    return parse_settings(begin | own, source="train")


class PrivacySettings(Settings):
    """Differential privacy of clients: each client's update is clipped, and noise is added to their mean."""

    noise_multiplier: float = Field(gt=0, description="standard deviation of the noise, in clipping norms")
    clipping_norm: float = Field(gt=0, description="largest length of a client's update")
    delta: float = Field(gt=0, lt=1, description="probability with which the bound of epsilon may fail")
    largest_epsilon: float = Field(gt=0, description="the training ends before a round that would exceed it")


class FederatedSettings(Settings):
    """A federated training (McMahan 2017): in each round some clients train, and their weights are averaged."""

    train: Annotated[SerializeAsAny[TrainSettings], BeforeValidator(_training)] = Field(
        description="settings of the training, a table; see 'radcommons train'. 'preset' names shipped ones; "
        "total_images counts those of all clients"
    )
    clients: int = Field(5, ge=1, le=1000, description="number of clients; the training begins when all are there")
    clients_share: float = Field(1.0, gt=0, le=1, description="share of the clients that take part in a round")
    minimum_clients: int = Field(1, ge=1, description="a round counts if so many clients sent weights that can be used")
    local_iterations: int = Field(10, ge=1, description="generator steps that each client takes in a round")
    share: Share = Field(
        "both", description="which networks travel; generator = each client keeps a critic of its own, which stays"
    )
    optimisers: Optimisers = Field("kept", description="whether a client's optimisers go on where they were")
    aggregation: Aggregation = Field(
        "mean", description="how weights are combined; mean = by number of films; the others bear some wrong clients"
    )
    trimmed_share: float = Field(0.2, gt=0, lt=0.5, description="trimmed mean: share that is left out at either end")
    malicious_clients: int = Field(1, ge=0, description="krum: number of clients that may send anything")
    largest_update: float | None = Field(
        10.0,
        gt=1,
        description="a client's change is refused if it is so many times as long as the median client's; without "
        "effect where 'privacy' clips it",
    )
    round_seconds: float = Field(3600, gt=0, description="time that clients have for a round")
    transfer: Transfer = Field("fp32", description="number format of the weights on their way")
    privacy: PrivacySettings | None = Field(None, description="differential privacy of clients, a table")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for finding in self.train.findings or ():
            if finding not in VOCABULARY:
                known = canonical_or_none(finding) or finding
                raise ValueError(f"finding '{finding}' is not known; {nearest_hint(known, VOCABULARY)}")
        if self.minimum_clients > self.clients_a_round:
            raise ValueError(
                f"'minimum_clients' is {self.minimum_clients}, and {self.clients_a_round} clients take part in a round"
            )
        if self.aggregation == "trimmed mean" and int(self.trimmed_share * self.clients_a_round) < 1:
            raise ValueError(
                f"'trimmed_share' {self.trimmed_share:g} of {self.clients_a_round} clients in a round is none: nothing "
                "would be left out"
            )
        if self.fewest_clients > self.clients_a_round:
            raise ValueError(
                f'aggregation = "{self.aggregation}" needs {self.fewest_clients} or more clients in a round, and there '
                f"are {self.clients_a_round}"
            )
        if self.privacy is not None and self.aggregation != "mean":
            raise ValueError("'privacy' needs aggregation = \"mean\": the bound is proved for it alone")
        return self

    @property
    def clients_a_round(self) -> int:
        """Number of clients in a round."""
        return max(1, round(self.clients_share * self.clients))

    @property
    def fewest_clients(self) -> int:
        """Number of clients whose weights a round needs, also for what its aggregation or its privacy promises."""
        if self.privacy is not None:
            return self.clients_a_round
        bears_one = {
            "mean": 1,
            "median": 3,
            "trimmed mean": next(number for number in count(1) if int(self.trimmed_share * number)),
            "krum": 2 * self.malicious_clients + 3,
        }
        return max(self.minimum_clients, bears_one[self.aggregation])


class SimulationSettings(FederatedSettings):
    """A federation on one machine: the films of one store divided among clients, or several stores."""

    stores: tuple[Path, ...] = Field(
        min_length=1, description="one store, whose patients are divided among the clients; or a store for each client"
    )
    division: Division = Field(
        "equal", description="of one store's patients: equal parts; parts of random size; parts with other findings"
    )
    concentration: float = Field(
        0.5, gt=0, description="of the Dirichlet distribution of sizes or findings; small = uneven"
    )

    @model_validator(mode="after")
    def _stores(self) -> Self:
        if len(self.stores) > 1 and len(self.stores) != self.clients:
            raise ValueError(
                f"'stores' names {len(self.stores)} stores and 'clients' is {self.clients}; name one for each"
            )
        return self


class ClientLimits(Settings):
    """What a client allows a server to ask for; a TOML file of the hospital. The defaults allow everything."""

    name: ClientName | None = Field(None, description="what the server calls this client; off = a number from its key")
    largest_iterations: int | None = Field(None, ge=1, description="most generator steps in a round")
    largest_images: int | None = Field(None, ge=1, description="most films shown in a round, repeats included")
    largest_resolution: int | None = Field(None, ge=4, description="largest side of the images, pixels")
    most_rounds: int | None = Field(
        None, ge=1, description="most rounds that this client trains, of all trainings; a repeated round counts again"
    )
    findings: Names | None = Field(None, description="findings that may be learned; off = all")
    share: Literal["both", "generator"] = Field(
        "both", description="generator = this client's critic stays here: a training that shares it is refused"
    )

    def refuse(self, asked: FederatedSettings, findings: tuple[str, ...], *, rounds: int = 0, images: int = 0) -> None:
        """Raise SettingRefused if a server asks for more than is allowed; the message names no path.

        Args:
            rounds: that this client would have trained.
            images: films that it would show in the round.
        """
        too_much = []
        if self.largest_iterations is not None and asked.local_iterations > self.largest_iterations:
            too_much.append(f"local_iterations {asked.local_iterations}, at most {self.largest_iterations}")
        if self.largest_resolution is not None and asked.train.resolution > self.largest_resolution:
            too_much.append(f"resolution {asked.train.resolution}, at most {self.largest_resolution}")
        if self.largest_images is not None and images > self.largest_images:
            too_much.append(f"{images} films in a round, at most {self.largest_images}")
        if self.most_rounds is not None and rounds > self.most_rounds:
            too_much.append(f"{rounds} rounds, at most {self.most_rounds}")
        if self.findings is not None and (others := [f for f in findings if f not in self.findings]):
            too_much.append(f"findings {', '.join(others)}, only {', '.join(self.findings)}")
        if self.share == "generator" and asked.share == "both":
            too_much.append("share both, only generator")
        if too_much:
            raise SettingRefused(f"this client does not allow {'; '.join(too_much)}")
