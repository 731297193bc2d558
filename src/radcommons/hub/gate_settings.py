"""The rules of a hub's gate: declared once, read from TOML."""

from pydantic import Field

from radcommons.policy.settings import Policy
from radcommons.settings import Names, Seed, Settings


class GateRules(Settings):
    """What a deposit must be and how it is examined. A rule that is off has no line in the verdict."""

    # Before anything is loaded
    licenses: Names | None = Field(
        None, description="licenses that are accepted, as the card names them; off = any, but the card must name one"
    )
    most_findings: int = Field(200, ge=1, description="highest number of findings")
    most_tensors: int = Field(2_000, ge=1, description="highest number of tensors in the weights' file")
    widest: int = Field(2_048, ge=1, description="highest number of feature maps of a layer")
    latent_size: int = Field(2_000_000, ge=1, description="highest number of entries of a latent vector")

    # The site's audit
    require_controls: bool = Field(
        True, description="the audit must have been run with controls, planted leaks that its tests must find"
    )
    policy: Policy = Field(Policy(), description="rules by which the hub judges the site's audit")

    # Images that the hub draws itself
    images: int = Field(1_000, ge=100, description="images drawn with labels as in training")
    images_per_finding: int = Field(
        40, ge=8, description="images drawn for each finding, to compare with the diversity that the audit reports"
    )
    pairs: int = Field(1_000, ge=50, description="pairs of images for a mean MS-SSIM")
    seed: Seed = Field(0, description="root of every random number of the examination")
    flat: float | None = Field(
        0.01, ge=0, lt=1, description="highest share of images of (nearly) one grey level; off = not judged"
    )
    repeats: float | None = Field(
        0.05, ge=0, lt=1, description="highest share of images that nearly repeat another one; off = not judged"
    )
    label_effect: float | None = Field(
        0.1,
        gt=0,
        description="least change of the mean grey level of a pixel when a finding is switched on, mean over findings; "
        "off = not judged",
    )
    ms_ssim_least: float | None = Field(
        0.05, ge=0, lt=1, description="least mean MS-SSIM of pairs: radiographs are somewhat alike; off = not judged"
    )
    ms_ssim_most: float | None = Field(
        0.8,
        gt=0,
        le=1,
        description="highest mean MS-SSIM of pairs where no reference says how alike films are; off = not judged",
    )
    ms_ssim_excess: float | None = Field(
        0.2,
        ge=0,
        le=1,
        description="highest excess of the images' MS-SSIM over that of a reference's films; off = not judged",
    )
    ms_ssim_tolerance: float | None = Field(
        0.05,
        gt=0,
        le=1,
        description="highest difference between the MS-SSIM that the hub measures and the one in the audit, mean over "
        "findings; off = not judged",
    )
    fid_share: float | None = Field(
        0.6,
        gt=0,
        le=1,
        description="highest FID to the nearest reference, as a share of that of blurred films or of noise, the lower; "
        "off = not judged",
    )
    require_reference: bool = Field(
        False,
        description="whether a deposit that no registered reference fits is refused; otherwise this is not tested",
    )
    duplicate: float | None = Field(
        0.25,
        gt=0,
        lt=1,
        description="a deposit whose images differ from those of an older one, drawn from the same latent vectors, by "
        "less than this share of what unrelated images do is a copy of it; off = not judged",
    )

    # The process that examines
    seconds: float = Field(1_800, gt=0, description="longest time of an examination, seconds")
    cpu_seconds: int = Field(3_600, ge=1, description="longest computing time of an examination, all cores, seconds")
    memory_gib: float = Field(16, gt=0, description="address space of the process, GiB")
    cores: int = Field(1, ge=1, description="cores that it computes on")
    require_no_network: bool = Field(
        False,
        description="whether nothing is examined where the system does not let the process give up its network; "
        "otherwise the verdict says so",
    )
