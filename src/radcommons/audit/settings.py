"""Sizes of an audit: declared once, read from TOML."""

from pathlib import Path

from pydantic import AliasChoices, Field

from radcommons.precision import Asked
from radcommons.settings import Seed, Settings


class AuditSettings(Settings):
    """Sizes of an audit; with the subject and the store they determine every number of it."""

    seed: Seed = Field(0, description="root of every random number of the audit")
    images: int = Field(2_000, ge=50, description="synthetic images with labels as in training")
    balanced_images: int = Field(2_000, ge=50, description="synthetic images with findings in turn")
    precision: Asked = Field(
        "fp32",
        description="in which the generator draws; auto = bf16 if it is found to be fast where the audit begins",
    )
    extractor: str = Field("efficientnet-lite0", description="network that turns images into features")
    extractor_weights: Path | None = Field(
        None,
        description="file of the extractor's weights, or a run for the extractor `classifier`; off = it finds its own",
    )
    classifier_images: int = Field(
        20_000,
        ge=0,
        description="films shown, repeats included, to the small classifier that the audit trains to check the labels "
        "if none is given; 0 = labels are not checked",
    )
    largest_sample: int = Field(
        10_000, ge=100, description="films of one part that are compared at most, whole patients drawn by the seed"
    )
    bootstrap_samples: int = Field(
        1_000,
        ge=100,
        validation_alias=AliasChoices("bootstrap_samples", "redraws"),
        description="bootstrap samples behind an interval",
    )
    permutations: int = Field(
        4_000,
        ge=100,
        description="permutations of the patients behind a p value, which is at least 1 / (permutations + 1)",
    )
    fid_halves: int = Field(
        30,
        ge=10,
        validation_alias=AliasChoices("fid_halves", "fid_redraws"),
        description="pairs of random halves behind the interval of a Frechet distance",
    )
    sensitivity: bool = Field(
        True, description="whether to measure real films changed in known ways too, which shows what the measures see"
    )
    pairs: int = Field(1_000, ge=10, description="pairs per finding for MS-SSIM")
    fewest: int = Field(20, ge=8, description="images that a comparison by finding needs at least, of each kind")
    ssim_side: int = Field(64, ge=8, description="side at which films are compared by SSIM, pixels, at most")
    inverted_films: int = Field(
        128, ge=0, description="training films, and as many held out, that latent inversion tries to rebuild; 0 = none"
    )
    inversion_steps: int = Field(100, ge=1, description="steps of each inversion")
    sheet_images: int = Field(24, ge=1, description="synthetic images shown with their three nearest films")
