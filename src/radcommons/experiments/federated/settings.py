"""Settings of the experiment of Fig. 4; presets are TOML files in ``configs/federated``."""

from pathlib import Path
from typing import Literal, Self, get_args

from pydantic import Field, model_validator

from radcommons.federated.settings import FederatedSettings, SimulationSettings
from radcommons.gan.settings import TrainSettings
from radcommons.seeds import derive
from radcommons.settings import Seed, repeated

Arm = Literal["centralised", "one client", "federated", "skewed", "generator shared", "pool"]
ARMS: tuple[Arm, ...] = get_args(Arm)


class FederatedExperimentSettings(FederatedSettings):
    """Fig. 4 of the paper: the same films in one place, at one client, and with clients that train together."""

    stores: tuple[Path, ...] = Field(min_length=1, description="one store or several, whose films are taken together")
    clients_are: Literal["parts", "stores"] = Field(
        "parts", description="equal parts of all patients, or the stores themselves; arm skewed always has parts"
    )
    concentration: float = Field(
        0.5, gt=0, description="arm skewed: of the Dirichlet distribution of findings over clients; small = uneven"
    )
    arms: tuple[Arm, ...] = Field(ARMS, min_length=1, description="what to train")
    seed: Seed = Field(0, description="root of every random number of the experiment")
    repeats: int = Field(3, ge=1, description="times that every arm is trained; with one, there are no intervals")
    points: int = Field(6, ge=1, le=100, description="times in a training at which the generator is measured")
    images: int = Field(
        1_000, ge=8, description="synthetic images, and real films, of each measure; fewer if fewer films are held out"
    )
    critic_images: int = Field(3_200, ge=1, description="films shown to the critic that judges a generator")
    extractor: str = Field("efficientnet-lite0", description="network that turns images into features, for FID")
    extractor_weights: Path | None = Field(None, description="file of its weights; off = it finds its own")

    @model_validator(mode="after")
    def _decides(self) -> Self:
        if self.share != "both":
            raise ValueError("'share' is decided by the arm; leave it out, and name the arm 'generator shared'")
        if self.train.seed != 0:
            raise ValueError("'train.seed' follows from 'seed' and the repeat; set 'seed'")
        for arm in repeated(self.arms):
            raise ValueError(f"'arms' names '{arm}' twice; name it once")
        if self.clients_are == "stores" and len(self.stores) != self.clients:
            raise ValueError(
                f"'stores' names {len(self.stores)} stores and 'clients' is {self.clients}; name one for each"
            )
        if self.train.total_images < self.points * self.clients:
            raise ValueError(
                f"'train.total_images' is {self.train.total_images}: less than one image for each of "
                f"{self.points} points and {self.clients} clients"
            )
        return self

    def training(self, repeat: int) -> TrainSettings:
        """The settings of a repeat's training, for all films and images."""
        return self.train.model_copy(update={"seed": derive(self.seed, "training", repeat) % 2**31})

    def simulation(self, arm: Arm, repeat: int, store: Path) -> SimulationSettings:
        """The settings of a federation of a repeat."""
        kept = {name: getattr(self, name) for name in FederatedSettings.model_fields}
        share = "generator" if arm == "generator shared" else "both"
        return SimulationSettings(**{**kept, "train": self.training(repeat), "share": share, "stores": (store,)})

    def points_of(self, total: int) -> list[int]:
        """Images seen at each point of a training of `total`."""
        return [total * (number + 1) // self.points for number in range(self.points)]
