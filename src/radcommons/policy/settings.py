"""The rules of a policy: declared once, read from TOML."""

from pydantic import Field

from radcommons.records import PrivacyTestKind
from radcommons.settings import Settings


class Policy(Settings):
    """What must hold before a deposit. A rule that is off has no line in the report."""

    significance: float = Field(  # one-sided, of one test; at 0.001 ten tests raise a false alarm in 1 audit of 100
        0.001, gt=0, lt=0.5, description="a test is positive if chance alone would give its result less often"
    )
    membership_auc: float = Field(
        0.6,
        gt=0.5,
        le=1,
        description="highest AUC of membership inference, if its interval excludes 0.5; a test that detects only "
        "a higher AUC is inconclusive",
    )
    near_duplicates: int | None = Field(
        0, ge=0, description="highest number of synthetic images that are near-duplicates of a film; off = not judged"
    )
    patient_level_split: bool = Field(
        True, description="the generator has seen all patients in training and none held out, by its own list"
    )
    train_test_duplicates: int | None = Field(
        0, ge=0, description="highest number of held-out films that are copies of a training film; off = not judged"
    )
    sanity_checks: bool = Field(
        True, description="the attack must find nothing without a generator, nor between halves of the training part"
    )
    require: tuple[PrivacyTestKind, ...] = Field(
        ("data copying", "distance to closest record", "near-duplicates", "membership inference: black-box"),
        description="tests that must have been done, in one space at least",
    )
    require_weights: bool = Field(
        True, description="for a generator, white-box membership inference must have been done too"
    )
    detection_limit: float | None = Field(
        0.1, gt=0, le=1, description="share of copied images that the audit as a whole must be able to detect"
    )
    test_detection_limit: float = Field(
        0.5,
        gt=0,
        le=1,
        description="share of copied images that a single test must be able to detect; otherwise it is inconclusive",
    )
    controls: bool = Field(True, description="controls that were run must have given the known answer")
    better_than_controls: bool = Field(
        True,
        description="synthetic images must be nearer to held-out films than noise and blurred training films are (FID)",
    )
    precision: float | None = Field(
        0.1, ge=0, le=1, description="least precision of synthetic images, as a share of the real-vs-real baseline"
    )
    recall: float | None = Field(
        0.1, ge=0, le=1, description="least recall of synthetic images, as a share of the real-vs-real baseline"
    )
    coverage: float | None = Field(
        0.1, ge=0, le=1, description="least coverage by synthetic images, as a share of the real-vs-real baseline"
    )
    finding_fid_ratio: float | None = Field(
        None,
        ge=1,
        description="highest FID of the synthetic images of a finding over that of training films with it, if its "
        "interval lies above too; the worst finding decides; off = not judged",
    )
    ms_ssim_excess: float | None = Field(
        0.2, ge=0, le=1, description="highest excess of synthetic over real MS-SSIM, mean over findings"
    )

    @property
    def leak_size(self) -> str:
        """The smallest leak that a test has to be able to detect, in words."""
        return (
            f"an AUC of {self.membership_auc:g}, or copies that make up {self.test_detection_limit:.0%} of the images"
        )
