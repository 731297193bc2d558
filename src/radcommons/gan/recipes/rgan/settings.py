"""Settings of the training of an `rgan`; the defaults suit 64 x 64 pixels and about a thousand films."""

import math
from typing import Literal, Self

from pydantic import Field, model_validator

from radcommons.gan.settings import TrainSettings
from radcommons.models.families.rgan import RganConfig, latent_size

OFTEN = 100, 10_000  # times that a film is shown in a run: augmented least, and most
AUGMENTATION = 0.3, 0.6  # probability of each kind, there


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
        None,
        ge=0,
        le=0.8,
        description="probability of each kind of augmentation; off = by how often each film is shown",
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
        """Probability of each kind of augmentation: 0.3 to 0.6 by how often a film is shown (100 to 10,000 times, log).

        A critic that sees a film again and again learns it by heart, and augmentation prevents that. It also hides from
        the critic that synthetic images vary too little in place, size and brightness, so no more of it than needed.
        Which is best differs between hospitals (docs/train.md).
        """
        if self.augmentation is not None:
            return self.augmentation
        shown = self.total_images / max(1, films)
        share = math.log(max(shown, OFTEN[0]) / OFTEN[0]) / math.log(OFTEN[1] / OFTEN[0])
        return AUGMENTATION[0] + (AUGMENTATION[1] - AUGMENTATION[0]) * min(1.0, share)
