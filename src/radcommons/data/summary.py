"""Summarise a store in numbers and in one picture."""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from PIL import Image
from pydantic import BaseModel

from radcommons.data.listing import PARTS, patient_notes
from radcommons.data.store import Store
from radcommons.findings import NO_FINDING
from radcommons.pictures import contact_sheet

SHEET_COLUMNS = 10
SHEET_SIDE = 128  # largest side of an image on the contact sheet, pixels


class Prevalence(BaseModel):
    """How often a finding is present, absent and unknown, and in how many images of each part it is present."""

    finding: str
    present: int
    absent: int
    unknown: int
    present_by_part: dict[str, int]


class IdenticalFilm(BaseModel):
    """A film with the same pixels as a film of another patient; films of one group are identical."""

    group: int
    row: int
    image_id: str


class StoreSummary(BaseModel):
    """Counts of a store.

    Attributes:
        without_finding: images in which every finding is known to be absent ("No Finding" is none).
        age_years: 5th, 50th and 95th percentile of known ages.
        shared_patients: patients in more than one part; 0 in every correct store.
        identical_images: images with the same pixels as an image of another patient; `identical` names them.
        notes: warnings for the user, one line each.
    """

    name: str
    source: str
    path: str
    images: int
    patients: int
    rejected: int
    absent: int
    upsampled: int
    resolutions: tuple[int, ...]
    label_policy: str
    fit: str
    images_by_part: dict[str, int]
    patients_by_part: dict[str, int]
    shared_patients: int
    identical_images: int
    identical: list[IdenticalFilm]
    without_finding: int
    findings: list[Prevalence]
    views: dict[str, int]
    sexes: dict[str, int]
    age_years: tuple[float, float, float] | None
    notes: list[str]


def summarise(store: Store) -> StoreSummary:
    """Summarise a store from its manifest."""
    table = store.manifest
    by_part = {part: table.filter(pl.col("split") == part) for part in PARTS}
    parts_of_patient = table.group_by("patient").agg(pl.col("split").n_unique().alias("parts"))
    identical = _identical(table)
    films = Counter({tuple(film): n for *film, n in table.group_by("split", *store.findings).len().rows()})
    ages = table["age"].drop_nulls().to_numpy()
    return StoreSummary(
        **store.record.model_dump(exclude={"findings"}),
        path=str(store.path),
        images_by_part={part: len(rows) for part, rows in by_part.items()},
        patients_by_part={part: rows["patient"].n_unique() for part, rows in by_part.items()},
        shared_patients=int((parts_of_patient["parts"] > 1).sum()),
        identical_images=len(identical),
        identical=identical,
        without_finding=without_finding(store.findings, films),
        findings=prevalences(store.findings, films),
        views=counts(table["view"].fill_null("unknown")),
        sexes=counts(table["sex"].fill_null("unknown")),
        age_years=_percentiles(ages) if len(ages) else None,
        notes=patient_notes(table["patient"]),
    )


def prevalences(findings: Sequence[str], films: Counter[tuple[Any, ...]]) -> list[Prevalence]:
    """The prevalence of every finding; `films` counts the films of each combination (part, label, label, ...)."""

    def count(place: int, label: int | None, parts: Sequence[str] = PARTS) -> int:
        return sum(n for film, n in films.items() if film[place] == label and film[0] in parts)

    return [
        Prevalence(
            finding=finding,
            present=count(place, 1),
            absent=count(place, 0),
            unknown=count(place, None),
            present_by_part={part: count(place, 1, [part]) for part in PARTS},
        )
        for place, finding in enumerate(findings, start=1)
    ]


def without_finding(findings: Sequence[str], films: Counter[tuple[Any, ...]]) -> int:
    """How many films have every finding known to be absent; `films` as in `prevalences`."""
    places = [place for place, name in enumerate(findings, start=1) if name != NO_FINDING]
    return sum(n for film, n in films.items() if all(film[place] == 0 for place in places))


def counts(values: Iterable[str]) -> dict[str, int]:
    """How often each value occurs, the most frequent first."""
    return dict(Counter(values).most_common())


def refused_by_reason(folder: Path) -> dict[str, int]:
    """Number of refused films for each reason, from a store's ``rejected.csv``; the most frequent first."""
    try:
        reasons = pl.read_csv((folder / "rejected.csv").read_bytes(), columns=["reason"], infer_schema=False)["reason"]
    except (OSError, pl.exceptions.PolarsError):
        return {}
    return counts(reasons)


def store_sheet(store: Store) -> Image.Image:
    """A contact sheet: one row without finding, one row per finding, and one row of films in none of these.

    The sheet of a real store shows patients.
    """
    side = min(SHEET_SIDE, store.resolutions[-1])
    images, labels = store.images(side), store.labels()
    others = [place for place, name in enumerate(store.findings) if name != NO_FINDING]
    rows = {NO_FINDING: (labels[:, others] == 0).all(axis=1)}
    for finding, present in zip(store.findings, (labels == 1).T, strict=True):
        rows[finding] = rows[finding] | present if finding in rows else present
    rows["Other"] = ~np.any(list(rows.values()), axis=0)
    shown = {name: images[np.flatnonzero(films)[:SHEET_COLUMNS]] for name, films in rows.items() if films.any()}
    return contact_sheet(list(shown.values()), list(shown), side=max(side, 64))


def _identical(table: pl.DataFrame) -> list[IdenticalFilm]:
    several = table.filter(pl.col("patient").n_unique().over("sha256") > 1)
    number = {digest: place for place, digest in enumerate(several["sha256"].unique(maintain_order=True))}
    rows = several.select("sha256", "row", "image_id").iter_rows()
    films = [IdenticalFilm(group=number[digest], row=row, image_id=image) for digest, row, image in rows]
    return sorted(films, key=lambda film: (film.group, film.row))


def _percentiles(ages: np.ndarray) -> tuple[float, float, float]:
    low, middle, high = (round(float(v), 1) for v in np.percentile(ages, [5, 50, 95]))
    return low, middle, high
