"""Audits that differ in what a test asks for."""

from collections.abc import Callable
from typing import Any

import pytest

from radcommons.records import AuditReport, Estimate, Fidelity, FindingDistance

Span = tuple[float, float, float]


def estimate(span: Span) -> Estimate:
    value, low, high = span
    return Estimate(value=value, low=low, high=high)


def changed(
    report: AuditReport,
    *,
    fid: Span = (60.0, 55.0, 65.0),
    label_auc: Span = (0.8, 0.7, 0.9),
    ratio: Span = (2.0, 1.5, 2.5),
    images: int = 40,
    extractor: str = "toy",
    judge: str = "densenet-small at 32 pixels",
    **fields: Any,
) -> AuditReport:
    """The report with one FID, one label and the distance of one finding."""
    features = {"extractor": extractor, "extractor_sha256": extractor[0] * 64}
    scores = [
        score.model_copy(update={**features, "image_count": images})
        if score.images != "synthetic images"
        else score.model_copy(update={**features, "image_count": images, "fid": estimate(fid)})
        for score in report.quality
    ]
    fidelity = Fidelity(
        finding="Effusion", positives=30, auc_real=Estimate(value=0.9, low=0.85, high=0.95),
        auc_synthetic=estimate(label_auc),
    )  # fmt: skip
    distance = FindingDistance(
        finding="Effusion", image_count=images, **features, fid=200.0, fid_baseline=100.0, fid_ratio=estimate(ratio),
        kid=0.03, kid_baseline=0.01, kid_excess=Estimate(value=0.02, low=0.01, high=0.03),
    )  # fmt: skip
    asked = {"quality": tuple(scores), "fidelity": (fidelity,), "by_finding": (distance,), "label_classifier": judge}
    return report.model_copy(update={**asked, **fields})


@pytest.fixture
def audit(audited_run: Any) -> Callable[..., AuditReport]:
    return lambda **changes: changed(audited_run.report, **changes)
