"""Settings of one generator's training; presets are TOML files in ``configs/train``."""

from typing import Literal, Self

from pydantic import Field, model_validator

from radcommons.models.families.progan import SMALLEST, ProganConfig, resolutions_up_to
from radcommons.settings import Names, Seed, Settings

FREE = ("checkpoint_every", "samples_every", "log_every")  # they change no weight


class TrainSettings(Settings):
    """What a training run does; defaults are the paper's where it gives them."""

    seed: Seed = Field(0, description="root of every random number of the run")
    total_images: int = Field(12_000_000, ge=1, description="real images shown in the whole run")
    resolution: int = Field(256, ge=SMALLEST, le=1024, description="final image side, pixels, a power of two")
    channels: dict[int, int] = Field(description="feature maps of the blocks at each resolution")
    latent_size: int = Field(512, ge=1, description="entries of the latent vector")
    findings: Names | None = Field(
        None, description="findings to learn; off = all that the training part has at least once"
    )

    images_per_phase: int | None = Field(
        600_000, ge=1, description="images of each fade-in and each stable phase; off = see growing_share"
    )
    growing_share: float = Field(
        0.7, gt=0, le=1, description="share of total_images up to the last fade-in's end, in equal phases"
    )
    batch_size: dict[int, int] = Field(description="images in a step at each resolution, all devices together")
    learning_rate: dict[int, float] = Field({SMALLEST: 0.001}, description="Adam's rate from each resolution upwards")
    adam_beta1: float = Field(0.0, ge=0, lt=1, description="Adam's decay of the mean")
    adam_beta2: float = Field(0.99, ge=0, lt=1, description="Adam's decay of the variance")
    average_decay: float = Field(0.999, ge=0, lt=1, description="decay a step of the generator's moving average")
    critic_steps: int = Field(1, ge=1, description="critic steps a generator step")
    gradient_penalty: float = Field(10.0, ge=0, description="weight of (|gradient| - 1)^2")
    penalty_interval: int = Field(
        1,
        ge=1,
        description="steps between gradient penalties, each weighted by the interval (lazy where > 1)",
    )
    drift: float = Field(0.001, ge=0, description="weight of the critic's squared score of real images")
    label_weight: float = Field(1.0, ge=0, description="weight of the label loss in both networks")

    checkpoint_every: int = Field(100_000, ge=1, description="images between checkpoints")
    samples_every: int = Field(100_000, ge=1, description="images between sample grids")
    log_every: int = Field(2_000, ge=1, description="images between log lines")
    precision: Literal["fp32", "bf16"] = Field("fp32", description="bf16 = autocast, on a GPU only")

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


def free_settings(begun: TrainSettings, asked: TrainSettings) -> set[str]:
    """Names of the settings that a run may change on the way.

    A later end may be asked for where phases have lengths of their own, since nothing before it moves.
    """
    free = set(FREE)
    if asked.images_per_phase is not None and asked.total_images >= begun.total_images:
        free.add("total_images")
    return free
