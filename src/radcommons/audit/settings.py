"""What an audit does, and what its policy asks: declared once, read from TOML."""

from pathlib import Path

from pydantic import AliasChoices, Field

from radcommons.settings import Seed, Settings

SIGNIFICANCE = 0.001  # one-sided, of one test; ten tests then raise a false alarm in 1 audit of 100


class AuditSettings(Settings):
    """Sizes of an audit; with the subject and the store they determine every number of it."""

    seed: Seed = Field(0, description="root of every random number of the audit")
    images: int = Field(2_000, ge=50, description="synthetic images with labels as in training")
    balanced_images: int = Field(2_000, ge=50, description="synthetic images with findings in turn")
    extractor: str = Field("efficientnet-lite0", description="network that turns images into features")
    extractor_weights: Path | None = Field(
        None,
        description="file of the extractor's weights, or the run of the extractor classifier; off = as it finds them",
    )
    classifier_images: int = Field(
        20_000,
        ge=0,
        description="films shown, repeats included, to the small classifier that is trained to judge labels where none "
        "is given; 0 = labels are not judged",
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
        4_000, ge=100, description="exchanges of patients behind a p value; it cannot be below 1 / (permutations + 1)"
    )
    fid_halves: int = Field(
        30,
        ge=10,
        validation_alias=AliasChoices("fid_halves", "fid_redraws"),
        description="pairs of random halves behind the interval of a Frechet distance",
    )
    pairs: int = Field(1_000, ge=10, description="pairs a finding for MS-SSIM")
    fewest: int = Field(20, ge=8, description="images that a comparison by finding needs at least, of each kind")
    ssim_side: int = Field(64, ge=8, description="side at which films are compared by SSIM, pixels, at most")
    inverted_films: int = Field(
        128, ge=0, description="training films, and as many held out, that latent inversion tries to rebuild; 0 = none"
    )
    inversion_steps: int = Field(100, ge=1, description="steps of each inversion")
    sheet_images: int = Field(24, ge=1, description="synthetic images shown with their three nearest films")


class Policy(Settings):
    """What must hold before a deposit; each rule can be switched off, and the report says so."""

    significance: float = Field(
        SIGNIFICANCE, gt=0, lt=0.5, description="a test finds a leak where chance alone would come this far less often"
    )
    membership_auc: float = Field(
        0.6,
        gt=0.5,
        le=1,
        description="highest AUC of an attack on samples or weights, where its interval excludes a guess",
    )
    copies: int | None = Field(
        0, ge=0, description="highest number of synthetic images that are copies of a film; off = not judged"
    )
    patients_apart: bool = Field(
        True, description="the generator has seen all patients in training and none held out, by its own list"
    )
    shared_films: int | None = Field(
        0, ge=0, description="highest number of held-out films that are copies of a training film; off = not asked"
    )
    ground: bool = Field(
        True, description="the attack must find nothing without a generator, nor between halves of the training part"
    )
    require: tuple[str, ...] = Field(
        ("data copying", "closer to training", "copies", "membership by samples"),
        description="tests that must have been done, in one space at least",
    )
    require_weights: bool = Field(True, description="for a generator, latent inversion must have been done too")
    detectable_share: float | None = Field(
        0.1, gt=0, le=1, description="share of copied images from which on the audit must have seen them"
    )
    controls: bool = Field(True, description="controls that were run must have behaved")
    coverage: float | None = Field(
        None, ge=0, le=1, description="least coverage of held-out films, as a share of that of training films"
    )
    ms_ssim_excess: float | None = Field(
        0.2, ge=0, le=1, description="highest excess of synthetic over real MS-SSIM, mean over findings"
    )
