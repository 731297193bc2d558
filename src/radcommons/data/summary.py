"""What a store holds, in numbers and in one picture."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from PIL import Image
from pydantic import BaseModel

from radcommons.data.listing import PARTS
from radcommons.data.store import Store
from radcommons.pictures import contact_sheet

SHEET_COLUMNS = 10
SHEET_SIDE = 128  # pixels of an image on the contact sheet, at most


class Prevalence(BaseModel):
    """How often a finding is present, absent and unknown, and in how many images of each part it is present."""

    finding: str
    present: int
    absent: int
    unknown: int
    present_by_part: dict[str, int]


class StoreSummary(BaseModel):
    """Counts of a store.

    Attributes:
        without_finding: images in which every finding is known to be absent.
        age_years: 5th, 50th and 95th percentile where ages are known.
        shared_patients: patients in more than one part; 0 in every sound store.
        identical_images: images whose pixels occur under another patient as well.
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
    without_finding: int
    findings: list[Prevalence]
    views: dict[str, int]
    sexes: dict[str, int]
    age_years: tuple[float, float, float] | None


def summarise(store: Store) -> StoreSummary:
    """Count what a store holds, from its manifest alone."""
    table, record = store.manifest, store.record
    by_part = {part: table.filter(pl.col("split") == part) for part in PARTS}
    labels = store.labels()
    parts_of_patient = table.group_by("patient").agg(pl.col("split").n_unique().alias("parts"))
    patients_of_pixels = table.group_by("sha256").agg(
        pl.col("patient").n_unique().alias("patients"), pl.len().alias("images")
    )
    ages = table["age"].drop_nulls().to_numpy()
    return StoreSummary(
        name=record.name,
        source=record.source,
        path=str(store.path),
        images=record.images,
        patients=record.patients,
        rejected=record.rejected,
        absent=record.absent,
        upsampled=record.upsampled,
        resolutions=record.resolutions,
        label_policy=record.label_policy,
        fit=record.fit,
        images_by_part={part: len(rows) for part, rows in by_part.items()},
        patients_by_part={part: rows["patient"].n_unique() for part, rows in by_part.items()},
        shared_patients=int((parts_of_patient["parts"] > 1).sum()),
        identical_images=int(patients_of_pixels.filter(pl.col("patients") > 1)["images"].sum()),
        without_finding=int((labels == 0).all(axis=1).sum()),
        findings=[
            Prevalence(
                finding=finding,
                present=int((labels[:, i] == 1).sum()),
                absent=int((labels[:, i] == 0).sum()),
                unknown=int(np.isnan(labels[:, i]).sum()),
                present_by_part={part: int((rows[finding] == 1).sum()) for part, rows in by_part.items()},
            )
            for i, finding in enumerate(store.findings)
        ],
        views=_counts(table["view"]),
        sexes=_counts(table["sex"]),
        age_years=_percentiles(ages) if len(ages) else None,
    )


def refused_by_reason(folder: Path) -> dict[str, int]:
    """How many films each reason refused, from a store's ``rejected.csv``; the most frequent first."""
    try:
        reasons = pl.read_csv(folder / "rejected.csv", columns=["reason"], infer_schema=False)["reason"]
    except (OSError, pl.exceptions.PolarsError):
        return {}
    return dict(Counter(reasons.to_list()).most_common())


def store_sheet(store: Store) -> Image.Image:
    """A contact sheet: films without finding, then a row a finding; a real store's sheet shows patients."""
    side = min(SHEET_SIDE, store.resolutions[-1])
    images, labels = store.images(side), store.labels()
    rows = {"No finding": np.flatnonzero((labels == 0).all(axis=1))}
    rows |= {finding: np.flatnonzero(labels[:, i] == 1) for i, finding in enumerate(store.findings)}
    shown = {name: images[found[:SHEET_COLUMNS]] for name, found in rows.items() if len(found)}
    if not shown:
        shown = {"Any": images[:SHEET_COLUMNS]}
    return contact_sheet(list(shown.values()), list(shown), side=max(side, 64))


def _counts(column: pl.Series) -> dict[str, int]:
    counted: list[dict[str, Any]] = column.fill_null("unknown").value_counts(sort=True).to_dicts()
    return {row[column.name]: row["count"] for row in counted}


def _percentiles(ages: np.ndarray) -> tuple[float, float, float]:
    low, middle, high = (round(float(v), 1) for v in np.percentile(ages, [5, 50, 95]))
    return low, middle, high
