"""The specification of a pool: a TOML file with one table per generator."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from radcommons.settings import Seed, Settings
from radcommons.synthetic.tables import Format


class QualityFloor(Settings):
    """What every generator's audit must have found; the rules are those of an audit's policy."""

    precision: float | None = Field(
        None, ge=0, le=1, description="least precision, as a share of the real-vs-real baseline"
    )
    recall: float | None = Field(None, ge=0, le=1, description="least recall, as a share of the real-vs-real baseline")
    coverage: float | None = Field(
        None, ge=0, le=1, description="least coverage, as a share of the real-vs-real baseline"
    )
    finding_fid_ratio: float | None = Field(
        None,
        ge=1,
        description="highest FID of a finding's images over that of training films with it; the worst decides",
    )


class PoolGenerator(Settings):
    """One generator of a pool, and how many images it draws for what."""

    reference: str = Field(
        description="a run, the folder of a package (relative paths begin where the command runs), "
        "`hub://HOST/ORG/NAME@REVISION` or `hf://ORG/NAME@REVISION`"
    )
    weight: float | None = Field(
        None,
        gt=0,
        description="its share of `total_images`, beside the weights of the others; 1 if there is no count either",
    )
    images: int | None = Field(None, ge=1, description="number of its images, in place of a weight")
    findings: dict[str, Annotated[int, Field(ge=1)]] | None = Field(
        None,
        description='number of images drawn for each of its findings, e.g. `{ Effusion = 500, "No Finding" = 500 }`, '
        "in place of `images`",
    )
    balanced: bool = Field(
        False, description="its findings take turns; otherwise labels are as frequent as in training"
    )
    audit: Path | None = Field(
        None,
        description="folder of its audit; a package has its own. Read only if the pool asks for quality or privacy",
    )
    unaudited: bool = Field(
        False,
        description="take it although no audit says what the pool asks for; what its audit denies still refuses it",
    )

    @property
    def share(self) -> float:
        """Its weight; 0 if its images are counted."""
        return 0 if self.images or self.findings else self.weight or 1

    @property
    def counted(self) -> int:
        """Number of its images, 0 if it has a weight."""
        return self.images or sum((self.findings or {}).values())

    @model_validator(mode="after")
    def _one_number(self) -> Self:
        given = [name for name in ("weight", "images", "findings") if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError(f"'{given[0]}' and '{given[1]}' of {self.reference} exclude each other; drop one")
        if self.findings is not None and (self.balanced or not self.findings):
            raise ValueError(f"'findings' of {self.reference} needs a number for a finding, and excludes 'balanced'")
        return self


class PoolSettings(Settings):
    """One labelled set from several generators."""

    seed: Seed = Field(0, description="root of every random number; image i depends on the specification only")
    total_images: int | None = Field(
        None, ge=1, description="number of all images; needed where a generator has a weight"
    )
    balanced: bool = Field(
        False,
        description="each finding of the pool is drawn for equally often, by the generators that know it; "
        "then a generator's table has a weight or no number",
    )
    no_finding: bool = Field(
        False, description="in a balanced pool, images without any finding count as one more finding"
    )
    resolution: int | None = Field(
        None, ge=4, description="side of the images, pixels; larger ones are averaged down; off = that of the smallest"
    )
    enlarge: bool = Field(False, description="allow a resolution above that of a generator; its images get no sharper")
    format: Format = Field("png", description="file format of the images")
    precision: Literal["fp32", "bf16"] = Field(
        "fp32", description="in which all generators draw; bf16 gives other grey levels on other machines"
    )
    quality: QualityFloor = Field(QualityFloor(), description="what every generator's audit must have found")
    require_privacy_passed: bool = Field(
        False, description="every generator's audit must pass the privacy rules of the shipped policy"
    )
    generator: tuple[PoolGenerator, ...] = Field(description="one table per generator")

    @property
    def policy_rules(self) -> dict[str, float]:
        """The rules of quality that are asked for."""
        return {rule: value for rule, value in self.quality if value is not None}

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        if not self.generator:
            raise ValueError("there is no generator; add a table [[generator]] for each")
        if self.no_finding and not self.balanced:
            raise ValueError("'no_finding' belongs to 'balanced = true'; add that, or drop it")
        if self.balanced:
            for each in self.generator:
                if each.counted or each.balanced:
                    raise ValueError(
                        f"'balanced' decides the labels: {each.reference} has a weight or nothing beside it"
                    )
        counted = sum(each.counted for each in self.generator)
        weighted = sum(1 for each in self.generator if each.share)
        if not weighted and self.total_images not in (None, counted):
            raise ValueError(
                f"'total_images' is {self.total_images} but the generators' counts sum to {counted}; drop it"
            )
        if weighted and (self.total_images is None or self.total_images < counted + weighted):
            raise ValueError(
                f"'total_images' must be {counted + weighted} or more: {counted} images are counted, "
                f"and every generator without a count draws one at least"
            )
        return self
