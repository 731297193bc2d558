"""Settings of a classifier's training; presets are TOML files in ``configs/classify``."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Self

import torch
from pydantic import Field, field_validator, model_validator

from radcommons.classify.pgd import AttackSettings
from radcommons.models.classifier import SMALLEST_SIDE, ClassifierConfig, Network
from radcommons.settings import Names, Seed, Settings, chosen_values

DEFAULT_ON_CPU, DEFAULT_ON_GPU = "small-64", "paper"


class Augmentation(Settings):
    """Small random changes of every training image, new each time it is shown; 0 = no change of that kind."""

    rotation: float = Field(0.0, ge=0, le=45, description="largest rotation to either side, degrees")
    shift: float = Field(0.0, ge=0, le=0.5, description="largest shift, share of the side")
    zoom: float = Field(0.0, ge=0, le=0.5, description="largest enlargement or reduction, share")
    contrast: float = Field(0.0, ge=0, lt=1, description="largest change of contrast about the mean, share")
    brightness: float = Field(0.0, ge=0, le=128, description="largest change of brightness, grey levels")

    @property
    def moves(self) -> bool:
        """Whether images are resampled."""
        return bool(self.rotation or self.shift or self.zoom)

    @property
    def recolours(self) -> bool:
        """Whether grey levels change."""
        return bool(self.contrast or self.brightness)


class ClassifierSettings(Settings):
    """Settings of a classifier's training; the defaults are the paper's where it gives them."""

    seed: Seed = Field(0, description="root of every random number of the run")
    network: Network = Field("densenet-121", description="densenet-121, or densenet-small for two CPU cores")
    side: int = Field(224, ge=SMALLEST_SIDE, le=1024, description="of the network's input, pixels; images are resized")
    findings: Names | None = Field(
        None,
        min_length=1,
        description="findings to learn; off = those common to all sources with both classes in training and validation",
    )
    initial: str = Field(
        "random", description='weights to begin with: "random", "imagenet", or the folder of another run'
    )

    optimiser: Literal["sgd", "adam"] = Field("sgd", description="SGD with momentum 0.9, or Adam")
    learning_rate: float = Field(0.01, gt=0, description="at the beginning")
    weight_decay: float = Field(1e-4, ge=0, description="of all weights")
    batch_size: int = Field(16, ge=2, description="images in a step, all devices together")
    epochs: int = Field(50, ge=1, description="largest number of validations")
    epoch_images: int | None = Field(
        None, ge=2, description="training images shown between validations; off = each image once"
    )
    rate_factor: float = Field(
        0.1, gt=0, le=1, description="the learning rate is multiplied by this where the validation loss is not better"
    )
    patience: int = Field(3, ge=1, description="validations without a better loss before training stops")

    positive_weight: float | Literal["balanced"] = Field(
        1.0, description="weight of a positive label in the loss; balanced = negatives / positives of the finding"
    )
    oversample: bool = Field(
        False, description="draw images with replacement, so that positives and negatives come up equally often"
    )
    augment: Augmentation = Field(Augmentation(), description="small changes of every training image, a table")
    adversarial: AttackSettings | None = Field(
        None, description="train on examples of this attack on the current network; off = on images as they are"
    )

    log_every: int = Field(1_000, ge=1, description="images between log lines")
    precision: Literal["fp32", "bf16"] = Field("fp32", description="bf16 = mixed precision, for a GPU")

    @field_validator("positive_weight")
    @classmethod
    def _positive(cls, value: float | str) -> float | str:
        if isinstance(value, float) and not 0 < value < math.inf:
            raise ValueError("must be a number above 0, or balanced")
        return value

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.initial == "imagenet" and self.network != "densenet-121":
            raise ValueError(f"'initial' is imagenet, whose weights are of densenet-121, not of {self.network}")
        return self

    def config(self, findings: int) -> ClassifierConfig:
        """The network's configuration for a number of findings."""
        return ClassifierConfig(network=self.network, side=self.side, findings=findings)


def choose_settings(
    run: Path, *, preset: str | None = None, config: Path | None = None, overrides: Sequence[str] = ()
) -> ClassifierSettings:
    """The settings of a command: a preset or a file with overrides, those of a begun run, or the default preset.

    Raises:
        SettingRefused, PathMissing.
    """
    default = DEFAULT_ON_GPU if torch.cuda.is_available() else DEFAULT_ON_CPU
    values, source = chosen_values(
        "classify", run / "config.toml", default, preset=preset, config=config, overrides=overrides
    )
    return ClassifierSettings.parse(values, source=source)
