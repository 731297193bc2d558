"""Settings of the progressive GAN's training; defaults are the paper's where it gives them."""

from typing import Annotated, Literal, Self

from pydantic import AliasChoices, Field, model_validator

from radcommons.gan.settings import TrainSettings
from radcommons.models.families.family import SMALLEST, resolutions_up_to
from radcommons.models.families.progan import ProganConfig


class ProganSettings(TrainSettings):
    """What the training of a progressive GAN does."""

    family: Literal["progan"] = Field("progan", description=TrainSettings.model_fields["family"].description)
    channels: dict[int, int] = Field(description="feature maps of the blocks at each resolution")
    images_per_phase: int | None = Field(
        600_000, ge=1, description="images of each fade-in and each stable phase; off = see growing_share"
    )
    growing_share: float = Field(
        0.7, gt=0, le=1, description="share of total_images up to the last fade-in's end, in equal phases"
    )
    batch_size: dict[int, int] = Field(description="images in a step at each resolution, all devices together")
    learning_rate: dict[int, Annotated[float, Field(ge=0)]] = Field(
        {SMALLEST: 0.001}, description="Adam's rate from each resolution upwards"
    )
    adam_beta1: float = Field(0.0, ge=0, lt=1, description="Adam's decay of the mean")
    adam_beta2: float = Field(0.99, ge=0, lt=1, description="Adam's decay of the variance")
    ema_decay: float = Field(
        0.999,
        ge=0,
        lt=1,
        description="decay per step of the generator's exponential moving average (EMA)",
        validation_alias=AliasChoices("ema_decay", "average_decay"),  # the second: its name in older files
    )
    critic_steps: int = Field(1, ge=1, description="critic steps for each generator step")
    gradient_penalty: float = Field(10.0, ge=0, description="weight of (|gradient| - 1)^2")
    penalty_interval: int = Field(
        1,
        ge=1,
        description="steps between gradient penalties, each weighted by the interval (lazy where > 1)",
    )
    drift: float = Field(0.001, ge=0, description="weight of the critic's squared score of real images")
    label_weight: float = Field(1.0, ge=0, description="weight of the label loss in both networks")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        self.network(0)  # checks resolution and channels
        ladder = resolutions_up_to(self.resolution)
        missing = [r for r in ladder if self.batch_size.get(r, 0) < 1]
        if missing:
            raise ValueError(f"'batch_size' has no entry for {', '.join(map(str, missing))}")
        if SMALLEST not in self.learning_rate:
            raise ValueError(f"'learning_rate' has no entry for {SMALLEST}, where it starts")
        if self.images_per_phase is None and self.total_images < 2 * len(ladder) - 1:
            raise ValueError(f"'total_images' is {self.total_images}: fewer than one image a phase")
        return self

    def network(self, findings: int) -> ProganConfig:
        """The networks' configuration for a number of findings."""
        channels = {r: c for r, c in self.channels.items() if r <= self.resolution}
        return ProganConfig(
            resolution=self.resolution, channels=channels, latent_size=self.latent_size, findings=findings
        )

    @property
    def may_be_lengthened(self) -> bool:
        """Whether a later end changes nothing that comes before it: where phases have a length of their own."""
        return self.images_per_phase is not None
