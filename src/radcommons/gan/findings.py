"""Which findings a run learns, and what it publishes about how they occur together."""

import numpy as np
import polars as pl

from radcommons.data.store import Store
from radcommons.errors import SettingRefused, nearest_hint
from radcommons.gan.settings import TrainSettings
from radcommons.records import FindingsRecord

SMALLEST_CELL = 5  # patients behind a label combination that leaves the hospital


def chosen_findings(store: Store, settings: TrainSettings) -> tuple[str, ...]:
    """The findings to learn: those that the settings name, otherwise all with at least one positive training image.

    A finding without a positive training image would be an output that means nothing.
    """
    positives = np.nansum(store.labels(store.rows("train")), axis=0)
    present = {f for f, count in zip(store.findings, positives, strict=True) if count > 0}
    if settings.findings is None:
        return tuple(f for f in store.findings if f in present)
    for finding in settings.findings:
        if finding not in store.findings:
            raise SettingRefused(f"finding '{finding}' is not in {store.path}; {nearest_hint(finding, store.findings)}")
        if finding not in present:
            raise SettingRefused(f"finding '{finding}' has no positive training image in {store.path}; leave it out")
    return settings.findings


def findings_record(store: Store, rows: np.ndarray, findings: tuple[str, ...]) -> FindingsRecord:
    """How the findings occur together in training, without combinations of fewer than SMALLEST_CELL patients."""
    part = store.manifest[rows].with_columns(pl.col(f).fill_null(0) for f in findings)
    groups = part.group_by(list(findings)).agg(pl.len().alias("images"), pl.col("patient").n_unique().alias("people"))
    safe = groups.filter(pl.col("people") >= SMALLEST_CELL).sort("images", *findings, descending=True)
    combinations = tuple((tuple(row[:-1]), row[-1]) for row in safe.select(*findings, "images").iter_rows())
    return FindingsRecord(
        findings=findings,
        combinations=combinations,
        smallest_cell=SMALLEST_CELL,
        withheld_images=len(rows) - sum(images for _, images in combinations),
    )
