"""Settings of the training of an `rgan`; the defaults suit 64 x 64 pixels and about a thousand films."""

import math
from typing import Literal, Self

from pydantic import Field, model_validator

from radcommons.gan.settings import TrainSettings
from radcommons.models.families.rgan import RganConfig, latent_size

FEW_FILMS, MANY_FILMS = 1_000, 20_000


class RganSettings(TrainSettings):
    """What the training of an `rgan` does."""

    family: Literal["rgan"] = Field("rgan", description=TrainSettings.model_fields["family"].description)
    channels: dict[int, int] = Field(description="feature maps of the blocks at each resolution")
    noise: tuple[int, ...] = Field((), description="sides of the blocks that add a noise map, for fine texture")
    batch_size: int = Field(16, ge=1, description="images in a step, all devices together")
    learning_rate: float = Field(0.004, gt=0, description="Adam's rate at the start; it falls by a cosine")
    last_learning_rate: float = Field(0.001, gt=0, description="Adam's rate at the end")
    adam_beta2: float = Field(0.99, ge=0, lt=1, description="Adam's decay of the variance; that of the mean is 0")
    ema_half_life: int = Field(10_000, ge=1, description="images after which half of the moving average is new")
    gamma: float = Field(0.08, ge=0, description="weight of the gradient penalties at the start")
    last_gamma: float = Field(0.01, ge=0, description="their weight at the end; in between it falls by a cosine")
    penalty_interval: int = Field(4, ge=1, description="steps between penalties, each weighted by the interval")
    augmentation: float | None = Field(
        None, ge=0, le=0.8, description="probability of each kind of augmentation; off = by the number of films"
    )
    label_weight: float = Field(
        0.5, ge=0, description="weight in the critic's loss of: a real film fits its own labels better than another's"
    )
    labels_from: float = Field(0.25, ge=0, le=1, description="share of the run after which labels begin to act")
    labels_full: float = Field(0.5, ge=0, le=1, description="share of the run after which they act in full")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        self.network(0)  # checks resolution, channels and noise
        if self.labels_full < self.labels_from:
            raise ValueError(f"'labels_full' is {self.labels_full}: before 'labels_from', {self.labels_from}")
        return self

    def network(self, findings: int) -> RganConfig:
        """The networks' configuration for a number of findings."""
        noise = tuple(side for side in self.noise if side <= self.resolution)
        return RganConfig(
            resolution=self.resolution,
            channels={r: c for r, c in self.channels.items() if r <= self.resolution},
            style=self.latent_size,
            noise=noise,
            latent_size=latent_size(self.latent_size, noise),
            findings=findings,
        )

    def augmentation_for(self, films: int) -> float:
        """Probability of each kind of augmentation: 0.6 up to 1,000 films, 0.2 from 20,000 on, by their logarithm."""
        if self.augmentation is not None:
            return self.augmentation
        share = math.log(max(films, FEW_FILMS) / FEW_FILMS) / math.log(MANY_FILMS / FEW_FILMS)
        return 0.6 - 0.4 * min(1.0, share)
