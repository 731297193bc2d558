"""A classifier judged on real films: every number with an interval over patients, thresholds from validation."""

import importlib.metadata
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl

from radcommons import __version__
from radcommons.classify.estimates import certain, mean_estimate, of_share, patients_behind
from radcommons.classify.evaluation_page import render, table
from radcommons.classify.material import Examples, of_store, require_both_classes, with_both_classes
from radcommons.data.listing import Part
from radcommons.data.store import Store
from radcommons.data.training_patients import patients_seen_of
from radcommons.errors import FindingUnknown, PathInUse, PatientsSeen, TooFewImages, nearest_hint
from radcommons.folders import alone_in, holds_other_than
from radcommons.metrics.bootstrap import (
    auc_redraws,
    average_precision_redraws,
    confusion_redraws,
    mean_redrawn,
    patients_of_rarer,
)
from radcommons.metrics.calibration import brier_score, reliability
from radcommons.metrics.classification import (
    area_under_roc,
    average_precision,
    precision_recall_curve,
    roc_curve,
    split_classes,
)
from radcommons.metrics.thresholds import confusion
from radcommons.models.classifier_files import Classifier, load_classifier_patients
from radcommons.progress import Track, silent
from radcommons.records import AtThreshold, Calibration, Estimate, Evaluation, FindingEvaluation
from radcommons.seeds import numpy_stream

RECORD, PAGE, TABLE, PREDICTIONS = "evaluation.json", "evaluation.html", "table.md", "predictions.parquet"
WRITTEN = {RECORD, PAGE, TABLE, PREDICTIONS}
MEASURES = ("accuracy", "sensitivity", "specificity", "ppv", "npv", "f1")
BINS = 10
CURVE_POINTS = 400  # of a curve in the record


def evaluate(
    run: Path,
    folder: Path,
    out: Path,
    *,
    part: Part = "test",
    findings: Sequence[str] | None = None,
    by_image: bool = False,
    redraws: int = 10_000,
    seed: int = 0,
    track: Track = silent,
) -> Evaluation:
    """Judge a run's classifier on one part of a store.

    Writes ``evaluation.json``, ``evaluation.html``, ``table.md`` and ``predictions.parquet`` (scores by pseudonym; it
    stays in the hospital).

    Args:
        run: of `train_classifier`.
        folder: the store.
        findings: which to judge; all that the classifier knows by default; each once.
        by_image: redraw images instead of patients: intervals are too narrow where patients have several films.
        redraws: bootstrap samples.
    Raises:
        FindingUnknown: the store does not label a finding.
        TooFewImages: no finding has both classes in the part; where some have, the others are named and left out.
        PatientsSeen: patients of the test part were in training or validation; status 3.
        PathInUse: `out` holds something else.
    """
    with alone_in(out, private=True):  # predictions are not for everybody
        claim(out, WRITTEN)
        classifier, store = Classifier.load(run), Store.open(folder)
        chosen = tuple(findings or classifier.findings)
        require_common(chosen, classifier.findings, run)
        require_common(chosen, store.findings, folder)
        films = of_store(store, part, side=classifier.side).about(chosen)
        if not len(films):
            raise TooFewImages(f"{folder} has no film in its part '{part}'; name another --part")
        both = with_both_classes(films.labels)
        if not both.any():
            require_both_classes(films.labels, chosen, f"the part '{part}' of {folder}")
        kept = np.flatnonzero(both)
        seen = patients_seen_of(load_classifier_patients(run), store, films.rows)
        overlap = seen.describe(part, "this classifier's training or validation")
        if part == "test" and seen.patients:
            raise PatientsSeen(f"{run}: {overlap}; judge it on films of patients that it has not seen")
        scores = classifier.scores(films.images, rows=films.rows, track=track)
        columns = [classifier.findings.index(f) for f in chosen]
        with track("Redrawing patients", total=1, unit="tables") as advance:
            evaluation = judged(
                classifier,
                films.about([chosen[f] for f in kept]),
                scores[:, [columns[f] for f in kept]],
                by_image=by_image,
                redraws=redraws,
                seed=seed,
            )
            advance(1)
        evaluation = evaluation.model_copy(
            update={"store": store.name, "part": part, "overlap": overlap, "one_class": _of_one_class(films, both)}
        )
        predictions(store, films, scores[:, columns]).write_parquet(out / PREDICTIONS)
        (out / TABLE).write_text(table(evaluation), encoding="utf-8")
        (out / PAGE).write_text(render(evaluation), encoding="utf-8")
        (out / RECORD).write_text(evaluation.to_json(), encoding="utf-8")
        return evaluation


def _of_one_class(films: Examples, both: np.ndarray) -> dict[str, tuple[int, int]]:
    return {
        finding: (int((labels >= 0.5).sum()), int((labels < 0.5).sum()))
        for finding, labels, judged in zip(films.findings, films.labels.T, both, strict=True)
        if not judged
    }


def claim(out: Path, written: set[str]) -> None:
    """Refuse a folder that holds anything but what an earlier call wrote there."""
    if holds_other_than(out, written):
        raise PathInUse(f"{out} already holds something else; choose another --out")


def require_common(asked: Sequence[str], known: Sequence[str], where: Path) -> None:
    """Raise FindingUnknown, offering the common ones, where one that is asked for is not known there."""
    missing = [f for f in asked if f not in known]
    if missing:
        common = [f for f in asked if f in known]
        offer = (
            f"in both are {', '.join(common)}: name them with --finding" if common else nearest_hint(missing[0], known)
        )
        raise FindingUnknown(f"{where} does not know {', '.join(missing)}; {offer}")


def predictions(store: Store, films: Examples, scores: np.ndarray) -> pl.DataFrame:
    """Row, pseudonyms, and for each finding the label (1, 0, null) and the score."""
    manifest = store.manifest[films.rows]
    columns = {"row": films.rows, "image_id": manifest["image_id"], "patient": manifest["patient"]}
    for place, finding in enumerate(films.findings):
        columns[f"{finding} label"] = pl.Series(films.labels[:, place], nan_to_null=True).cast(pl.Int8)
        columns[f"{finding} score"] = pl.Series(scores[:, place])
    return pl.DataFrame(columns)


def judged(
    classifier: Classifier, films: Examples, scores: np.ndarray, *, by_image: bool, redraws: int, seed: int
) -> Evaluation:
    """The record of scores (n, F) of films whose labels have both classes of every finding."""
    labels = films.labels
    groups = np.arange(len(films)) if by_image else films.patients

    def rng() -> np.random.Generator:
        return numpy_stream(seed, "evaluation")  # the same patients for every measure

    aucs = auc_redraws(scores, labels, groups, redraws=redraws, rng=rng())
    precisions = average_precision_redraws(scores, labels, groups, redraws=redraws, rng=rng())
    rules: dict[str, list[AtThreshold]] = {}
    means_at: dict[str, dict[str, Estimate | None]] = {}
    for rule, thresholds in classifier.record.thresholds.items():
        chosen = np.array([thresholds[classifier.findings.index(f)] for f in films.findings], float)
        found = confusion(scores, labels, chosen)
        redrawn = confusion_redraws(scores, labels, chosen, groups, redraws=redraws, rng=rng())
        values = {m: (getattr(found, m), getattr(redrawn, m)) for m in MEASURES}
        behind = patients_behind(scores, labels, chosen, groups)
        rules[rule] = [
            AtThreshold(
                threshold=chosen[f],
                **{m: of_share(v[f], r[:, f], behind[m][f] if m in behind else None) for m, (v, r) in values.items()},
            )
            for f in range(len(films.findings))
        ]
        means_at[rule] = {m: mean_estimate(v, r) for m, (v, r) in values.items()}
    parts = [split_classes(scores[:, f], labels[:, f]) for f in range(len(films.findings))]
    points = np.array([area_under_roc(*p) for p in parts])
    areas = np.array([average_precision(*p) for p in parts])
    found_findings = tuple(
        FindingEvaluation(
            finding=finding,
            positives=len(parts[f][0]),
            negatives=len(parts[f][1]),
            patients_of_rarer=patients_of_rarer(labels[:, f], films.patients),
            auc=certain(points[f], aucs[:, f]),
            average_precision=certain(areas[f], precisions[:, f]),
            rules={rule: values[f] for rule, values in rules.items()},
            calibration=_calibration(scores[:, f], labels[:, f]),
            roc=_thinned(*roc_curve(*parts[f])),
            precision_recall=_thinned(*precision_recall_curve(*parts[f])[::-1]),
        )
        for f, finding in enumerate(films.findings)
    )
    return Evaluation(
        classifier=classifier.record.name,
        classifier_sha256=classifier.digest,
        store=films.source,
        part="",
        images=len(films),
        patients=len(np.unique(films.patients)),
        unit="images" if by_image else "patients",
        redraws=redraws,
        seed=seed,
        findings=found_findings,
        mean={
            "auc": certain(points.mean(), mean_redrawn(aucs)),
            "average precision": certain(areas.mean(), mean_redrawn(precisions)),
        },
        mean_at=means_at,
        versions={"radcommons": __version__, **{n: importlib.metadata.version(n) for n in ("torch", "monai", "numpy")}},
    )


def _calibration(scores: np.ndarray, labels: np.ndarray) -> Calibration:
    curve = reliability(scores, labels, bins=BINS, equal="count")
    filled = curve.counts > 0
    return Calibration(
        predicted=tuple(curve.predicted[filled].tolist()),
        observed=tuple(curve.observed[filled].tolist()),
        counts=tuple(curve.counts[filled].tolist()),
        expected_error=curve.expected_error,
        brier=brier_score(scores, labels),
    )


def _thinned(x: np.ndarray, y: np.ndarray) -> tuple[tuple[float, float], ...]:
    """A curve's points, evenly thinned where there are many, ends included."""
    kept = np.unique(np.linspace(0, len(x) - 1, min(len(x), CURVE_POINTS)).round().astype(int))
    return tuple(zip(x[kept].round(6).tolist(), y[kept].round(6).tolist(), strict=True))
