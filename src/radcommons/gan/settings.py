"""Settings of a generator's training that every family has; presets are TOML files in ``configs/train``."""

from typing import Literal

from pydantic import Field

from radcommons.models.families.family import FamilyConfig
from radcommons.settings import Names, Seed, Settings

DEFAULT_FAMILY = "progan"
FREE = ("checkpoint_every", "samples_every", "log_every")  # they change no weight


class TrainSettings(Settings):
    """What every training does, of any family; each family adds its own settings, see `recipes`."""

    family: str = Field(DEFAULT_FAMILY, description="family of generators, progan or rgan; each adds settings")
    seed: Seed = Field(0, description="root of every random number of the run")
    total_images: int = Field(12_000_000, ge=1, description="real images shown in the whole run")
    resolution: int = Field(256, ge=4, le=1024, description="final image side, pixels, a power of two")
    latent_size: int = Field(512, ge=1, description="entries of the latent vector")
    findings: Names | None = Field(
        None, description="findings to learn; off = all that the training part has at least once"
    )
    checkpoint_every: int = Field(100_000, ge=1, description="images between checkpoints")
    samples_every: int = Field(100_000, ge=1, description="images between sample grids")
    log_every: int = Field(2_000, ge=1, description="images between log lines")
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "fp32", description="bf16 = mixed precision; auto = bf16 if it is found to be fast where the run begins"
    )

    def network(self, findings: int) -> FamilyConfig:
        """The networks' configuration for a number of findings."""
        raise NotImplementedError

    @property
    def may_be_lengthened(self) -> bool:
        """Whether a later end changes nothing that comes before it."""
        return False


def free_settings(begun: TrainSettings, asked: TrainSettings) -> set[str]:
    """Names of the settings that a run may change on the way."""
    free = set(FREE)
    if asked.may_be_lengthened and asked.total_images >= begun.total_images:
        free.add("total_images")
    return free
