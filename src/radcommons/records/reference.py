"""The record of reference statistics, by which a hub measures how near generated images are to films."""

from typing import Final, Self

from pydantic import Field, model_validator

from radcommons.records.record import Record, RecordPart

FEWEST_FILMS: Final = 1_000


class ReferenceSide(RecordPart):
    """Films of one size, as numbers.

    Attributes:
        side: of the films, pixels.
        fid_films: distance of films to the statistics of films of other patients: a half of the patients beside the
            other half. Generated images reach no less.
        fid_blurred, fid_noise: distance to the statistics of blurred films and of noise, as many as `control_count`.
        ms_ssim: mean MS-SSIM of random pairs of films of two patients; None for films too small for it.
        membership_auc: how well a film behind the statistics is told from another by how well they explain it: AUC for
            statistics of half the films, which give more away than these; 0.5 = not at all.
    """

    side: int = Field(ge=4, le=4096)
    fid_films: float
    fid_blurred: float
    fid_noise: float
    control_count: int
    ms_ssim: float | None
    membership_auc: float


class ReferenceRecord(Record):
    """The head of a file of reference statistics; the means and covariances are arrays beside it.

    Attributes:
        name: of the site or the films, for people.
        extractor, extractor_sha256, dimension, extractor_side, resize: what made the features; only distances of the
            same are compared.
        parts: of the store's split, that the films are from.
        films, patients: behind the statistics.
        components: directions of the covariance that are kept.
        sides: one entry for each size of films, ascending.
        versions: of the software.
    """

    name: str = Field(min_length=1, max_length=200)
    extractor: str
    extractor_sha256: str
    dimension: int = Field(ge=2, le=16_384)
    extractor_side: int
    resize: str
    parts: tuple[str, ...]
    films: int
    patients: int = Field(ge=1)
    components: int = Field(ge=1)
    sides: tuple[ReferenceSide, ...] = Field(min_length=1, max_length=16)
    versions: dict[str, str]

    @model_validator(mode="after")
    def _checked(self) -> Self:
        if self.films < FEWEST_FILMS:
            raise ValueError(f"statistics of {self.films} films, at least {FEWEST_FILMS} are needed")
        sides = [each.side for each in self.sides]
        if sides != sorted(set(sides)):
            raise ValueError("the sides are not in ascending order, each once")
        return self
