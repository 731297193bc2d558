"""Settings of the experiments; presets are TOML files in ``configs/enrich``, ``merge`` and ``transfer``."""

from pathlib import Path
from typing import Self

from pydantic import AliasChoices, Field, model_validator

from radcommons.classify.settings import Augmentation, ClassifierSettings
from radcommons.precision import Asked
from radcommons.seeds import derive
from radcommons.settings import Names, Seed, Settings


class ExperimentSettings(Settings):
    """Settings of every experiment."""

    seed: Seed = Field(0, description="root of every random number of the experiment")
    precision: Asked = Field(
        "fp32",
        description="in which all generators draw; auto = bf16 if it is found to be fast where the experiment begins",
    )
    repeats: int = Field(
        5, ge=1, description="times that every arm is sampled and trained; with one, luck in training is not measured"
    )
    bootstrap_samples: int = Field(
        10_000,
        ge=100,
        validation_alias=AliasChoices("bootstrap_samples", "redraws"),
        description="bootstrap samples of the test patients",
    )
    diversity_pairs: int = Field(1_000, ge=0, description="pairs of positive images behind an arm's MS-SSIM; 0 = none")
    classifier: ClassifierSettings = Field(
        ClassifierSettings(), description="settings of every arm's training, a table; see 'classify train'"
    )

    @model_validator(mode="after")
    def _decides(self) -> Self:
        """Refuse settings that the experiment itself decides."""
        if self.classifier.findings is not None:
            raise ValueError("'classifier.findings' is decided by the experiment; leave it out")
        if self.classifier.seed != 0:
            raise ValueError("'classifier.seed' follows from 'seed' and the repeat; set 'seed'")
        if self.classifier.initial not in ("random", "imagenet"):
            raise ValueError("'classifier.initial' is another run, which may know the films that an arm has not")
        return self

    @property
    def shown(self) -> int | None:
        """Images that every arm is shown between validations by default: as many as its first arm has, None = all."""
        raise NotImplementedError

    def training(self, repeat: int, **changes: object) -> ClassifierSettings:
        """The settings of an arm's training: each repeat has its seed, and every arm is shown as many images."""
        values = {
            "seed": derive(self.seed, "training", repeat) % 2**31,
            "epoch_images": self.classifier.epoch_images or self.shown,
        }
        return self.classifier.model_copy(update={**values, **changes})


class EnrichSettings(ExperimentSettings):
    """Fig. 2 of the paper: a small local set at low prevalence, enriched by synthetic images.

    The defaults are the paper's sizes.
    """

    store: Path = Field(description="the local site's store; relative paths begin where the command runs")
    generators: tuple[Path, ...] = Field(
        min_length=1, description="generators to draw from, in equal shares: folders, or names of a hub"
    )
    finding: str = Field("Pneumonia", description="the rare finding")
    real_images: int = Field(1_000, ge=4, description="films of the local set")
    real_positives: int = Field(50, ge=1, description="of them with the finding")
    kept_images: int = Field(500, ge=2, description="films of the local set that the enriched set keeps")
    kept_positives: int = Field(50, ge=1, description="of them with the finding")
    synthetic_images: int = Field(500, ge=1, description="synthetic images added")
    synthetic_positives: int = Field(100, ge=0, description="of them with the finding")
    augment: Augmentation = Field(
        Augmentation(rotation=7, shift=0.05, zoom=0.1, contrast=0.2, brightness=16),
        description="classical augmentation of the control that has it",
    )
    pretrained: bool = Field(
        True, description="train also on the synthetic images first, then on the local films: one more arm"
    )
    fine_tuning_rate: float = Field(
        0.3, gt=0, le=1, description="that arm's learning rate on the films, as a share of 'classifier.learning_rate'"
    )

    @property
    def shown(self) -> int:
        """Those of the local set."""
        return self.real_images

    @property
    def total(self) -> int:
        """Images of the enriched set."""
        return self.kept_images + self.synthetic_images

    @property
    def positives(self) -> int:
        """Of them with the finding."""
        return self.kept_positives + self.synthetic_positives

    @property
    def lacks_pretraining(self) -> str | None:
        """Why no arm can be pre-trained, in words; None where one can."""
        if not 0 < self.synthetic_positives < self.synthetic_images:
            return "the synthetic images that are added are all of one class"
        if self.classifier.epochs < 2:
            return "one epoch cannot be divided between pre-training and fine-tuning"
        return None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if len(set(self.generators)) < len(self.generators):
            raise ValueError("'generators' names one twice; its images would be drawn twice")
        if self.classifier.positive_weight != 1 or self.classifier.oversample:
            raise ValueError("'classifier.positive_weight' and 'classifier.oversample' are arms of it; leave them out")
        for whole, part in (
            ("real_images", "real_positives"),
            ("kept_images", "kept_positives"),
            ("real_images", "kept_images"),
            ("real_positives", "kept_positives"),
            ("synthetic_images", "synthetic_positives"),
        ):
            if getattr(self, part) > getattr(self, whole):
                raise ValueError(f"'{part}' is {getattr(self, part)}, more than '{whole}', {getattr(self, whole)}")
        if self.kept_images - self.kept_positives > self.real_images - self.real_positives:
            raise ValueError("the enriched set keeps more films without the finding than the local set has")
        if self.positives < self.real_positives:
            raise ValueError(
                f"the enriched set has {self.positives} images with the finding, fewer than the local set, "
                f"{self.real_positives}; raise 'synthetic_positives'"
            )
        return self


class MergeSettings(ExperimentSettings):
    """Fig. 3 of the paper: one site's generator against two sites' merged."""

    store: Path = Field(description="site A's store: its films train the real arms, its test films compare all arms")
    generator_a: Path = Field(description="site A's generator")
    generator_b: Path = Field(description="site B's generator")
    findings: Names | None = Field(
        None, description="findings to learn; off = those that A and B have in common and of which A has both classes"
    )
    images: int = Field(10_000, ge=4, description="synthetic images of one site, and films of the real arms")

    @property
    def shown(self) -> int:
        """Those of one site."""
        return self.images

    @model_validator(mode="after")
    def _two(self) -> Self:
        if self.generator_a == self.generator_b:
            raise ValueError(f"'generator_a' and 'generator_b' are both {self.generator_a}; merge two")
        return self


class TransferSettings(ExperimentSettings):
    """Train on synthetic images, test on real films."""

    store: Path = Field(description="the site's store: its films train the real arm, its test films compare both")
    generator: Path = Field(description="the generator to judge")
    findings: Names | None = Field(
        None, description="findings to learn; off = those that store and generator have in common with both classes"
    )
    images: int | None = Field(
        None, ge=4, description="images of each arm; off = as many as the store's training films"
    )

    @property
    def shown(self) -> int | None:
        """Those of each arm."""
        return self.images
