"""Which of several generators is better by which measure: only measures that were taken alike are compared.

One is called better where its 95% interval overlaps with that of no other.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from radcommons.records import AuditReport, Estimate, FindingDistance, QualityScore

QUALITY: tuple[tuple[str, str, Literal["low", "high"], str, float], ...] = (
    ("Frechet distance (FID)", "fid", "low", ".1f", 1),
    ("kernel distance (1000 x KID)", "kid", "low", ".2f", 1000),
    ("precision", "precision", "high", ".2f", 1),
    ("recall", "recall", "high", ".2f", 1),
    ("density", "density", "high", ".2f", 1),
    ("coverage", "coverage", "high", ".2f", 1),
)


@dataclass(frozen=True, kw_only=True)
class Measure:
    """One measure of all generators, in the order of their reports.

    Attributes:
        finding: whose images it is about; None for all.
        better: which values are.
        values: None where it was not measured.
        films: the same of real films in the images' place; None where that is not known.
        counts: numbers of images behind each value, in words.
        apart: why the values do not compare; empty if they do.
        form, factor: how values are written for people.
    """

    name: str
    finding: str | None = None
    better: Literal["low", "high"]
    values: tuple[Estimate | None, ...]
    films: tuple[Estimate | None, ...]
    counts: tuple[str, ...]
    apart: str
    form: str = ".2f"
    factor: float = 1

    @property
    def comparable(self) -> bool:
        """Whether one can be called better: all were measured, alike, and with an interval."""
        return not self.apart and len(self._spans) == len(self.values)

    @property
    def best(self) -> int | None:
        """Place of the one whose interval lies on the better side of all others; None if none does."""
        if not self.comparable:
            return None
        first = min(range(len(self._spans)), key=lambda place: self._spans[place][1])
        others = (span for place, span in enumerate(self._spans) if place != first)
        return first if all(self._spans[first][1] < span[0] for span in others) else None

    @property
    def _spans(self) -> list[tuple[float, float]]:
        """The intervals, where there are any, so that low is better."""
        found = [(v.low, v.high) for v in self.values if v is not None and v.low is not None and v.high is not None]
        return found if self.better == "low" else [(-high, -low) for low, high in found]

    def text(self, estimate: Estimate | None) -> str:
        """A value for people, with its interval."""
        if estimate is None:
            return "not measured"
        low, high = (None if end is None else self.factor * end for end in (estimate.low, estimate.high))
        return Estimate(value=self.factor * estimate.value, low=low, high=high).text(self.form)


def all_measures(reports: Sequence[AuditReport]) -> dict[str, list[Measure]]:
    """The measures of quality, of labels and of findings, under these names."""
    return {
        "quality": quality_measures(reports),
        "labels": label_measures(reports),
        "findings": finding_measures(reports),
    }


def quality_measures(reports: Sequence[AuditReport]) -> list[Measure]:
    """Distances of all synthetic images from held-out films, beside those of training films in their place."""
    ours = [score_of(report) for report in reports]
    films = [score_of(report, "training films") for report in reports]
    counts = [counts_of(score) for score in ours]
    apart = _apart(reports, {"other features": map(_features, ours), "other numbers of images": counts})
    return [
        Measure(
            name=name,
            better=better,
            values=tuple(_estimate(score, field) for score in ours),
            films=tuple(_estimate(score, field) for score in films),
            counts=("",) * len(reports),
            apart=apart,
            form=form,
            factor=factor,
        )
        for name, field, better, form, factor in QUALITY
    ]


def label_measures(reports: Sequence[AuditReport]) -> list[Measure]:
    """AUC of a classifier of real films on the images of each finding, beside its AUC on real films."""
    apart = _apart(reports, {"other classifiers": (report.label_classifier for report in reports)})
    tables = [{one.finding: one for one in report.fidelity} for report in reports]
    return [
        Measure(
            name="AUC of the label",
            finding=finding,
            better="high",
            values=tuple(table[finding].auc_synthetic if finding in table else None for table in tables),
            films=tuple(table[finding].auc_real if finding in table else None for table in tables),
            counts=("",) * len(reports),
            apart=apart,
        )
        for finding in _in_any(tables)
    ]


def finding_measures(reports: Sequence[AuditReport]) -> list[Measure]:
    """How much farther than training films the images of each finding are from held-out films with it."""
    tables = [{one.finding: one for one in report.by_finding if one.skipped is None} for report in reports]
    measures = []
    for finding in _in_any(tables):
        found = [table.get(finding) for table in tables]
        counts = tuple("" if one is None else f"{one.image_count:,} images" for one in found)
        apart = _apart(reports, {"other features": map(_features, found), "other numbers of images": counts})
        for name, values, factor in (
            ("FID over that of training films", [one.fid_ratio if one else None for one in found], 1),
            ("1000 x KID, excess over training films", [one.kid_excess if one else None for one in found], 1000),
        ):
            measures.append(
                Measure(
                    name=name,
                    finding=finding,
                    better="low",
                    values=tuple(values),
                    films=(None,) * len(reports),
                    counts=counts,
                    apart=apart,
                    factor=factor,
                )
            )
    return measures


def score_of(report: AuditReport, images: str = "synthetic images") -> QualityScore | None:
    """The score of images of any finding against held-out films."""
    rows = (score for score in report.quality if score.images == images and score.reference == "held-out films")
    return next((score for score in rows if score.finding is None and score.change is None), None)


def counts_of(score: QualityScore | None) -> str:
    """How many images were compared with how many films."""
    return f"{score.image_count:,} images, {score.reference_count:,} films" if score else ""


def _estimate(score: QualityScore | None, field: str) -> Estimate | None:
    value: Estimate | float | None = getattr(score, field, None)
    return Estimate(value=value) if isinstance(value, float) else value


def _features(score: QualityScore | FindingDistance | None) -> str:
    """What tells whether two scores saw the same features."""
    return f"{score.extractor_sha256} {getattr(score, 'resize', '')}" if score else ""


def _in_any(tables: Sequence[Mapping[str, object]]) -> list[str]:
    """The keys of all tables, each once."""
    return list(dict.fromkeys(key for table in tables for key in table))


def _apart(reports: Sequence[AuditReport], conditions: Mapping[str, Iterable[str | None]]) -> str:
    """In words, which conditions differ between those that were measured; the films always count."""
    films = {"other real films": (report.store_manifest_sha256 for report in reports)}
    return ", ".join(words for words, found in {**conditions, **films}.items() if len(set(found) - {"", None}) > 1)
