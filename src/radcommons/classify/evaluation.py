"""Evaluates a classifier on real films: every number with an interval over patients, thresholds from validation."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl

from radcommons.classify.evaluation_page import render, table
from radcommons.classify.intervals import estimate, mean_share_estimate, patients_behind, share_estimate
from radcommons.classify.training_data import Examples, of_store, require_both_classes, with_both_classes
from radcommons.data.listing import Part
from radcommons.data.store import Store
from radcommons.data.training_patients import patients_seen_of
from radcommons.errors import FindingUnknown, PatientsSeen, TooFewImages, nearest_hint
from radcommons.files import put_whole, write_whole
from radcommons.folders import alone_in, claim
from radcommons.metrics.bootstrap import (
    bootstrap_auc,
    bootstrap_average_precision,
    bootstrap_confusion,
    bootstrap_mean,
    patients_of_rarer,
)
from radcommons.metrics.calibration import brier_score, reliability
from radcommons.metrics.classification import (
    auc_by_finding,
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
from radcommons.versions import versions

RECORD, PAGE, TABLE, PREDICTIONS = "evaluation.json", "evaluation.html", "table.md", "predictions.parquet"
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
    bootstrap_samples: int = 10_000,
    seed: int = 0,
    track: Track = silent,
) -> Evaluation:
    """Evaluate a run's classifier on one part of a store.

    Writes ``evaluation.json``, ``evaluation.html``, ``table.md`` and ``predictions.parquet`` (scores by pseudonym,
    which stay in the hospital).

    Args:
        run: of `train_classifier`.
        folder: the store.
        findings: which to evaluate, each once; all that the classifier knows by default.
        by_image: draw bootstrap samples of images, not of patients; intervals are then too narrow where patients
            have several films.
        bootstrap_samples: behind each interval.
    Raises:
        FindingUnknown: the store does not label a finding.
        TooFewImages: no finding has both classes in the part. Findings of one class are named and left out where
                others have both.
        PatientsSeen: patients of the test part were in training or validation; status 3.
        PathInUse: `out` holds something else, or the evaluation of another classifier, store or settings.
    """
    with alone_in(out, private=True):  # predictions name patients by pseudonym
        classifier, store = Classifier.load(run), Store.open(folder)
        films = films_of_part(store, part, findings, classifier=classifier, run=run)
        chosen, both = films.findings, with_both_classes(films.labels)
        kept = np.flatnonzero(both)
        seen = patients_seen_of(load_classifier_patients(run), store, films.rows)
        overlap = seen.describe(part, "this classifier's training or validation")
        if part == "test" and seen.patients:
            raise PatientsSeen(f"{run}: {overlap}; evaluate it on films of patients that it has not seen")
        request = {
            "command": "classify eval",
            "classifier": classifier.digest,
            "store": store.record.manifest_sha256,
            "part": part,
            "findings": chosen,
            "by_image": by_image,
            "bootstrap_samples": bootstrap_samples,
            "seed": seed,
        }
        claim(out, request)
        scores = classifier.scores(films.images, rows=films.rows, track=track)
        columns = [classifier.findings.index(f) for f in chosen]
        with track("Bootstrap over patients", total=1, unit="tables") as advance:
            evaluation = evaluate_scores(
                classifier,
                films.about([chosen[f] for f in kept]),
                scores[:, [columns[f] for f in kept]],
                by_image=by_image,
                bootstrap_samples=bootstrap_samples,
                seed=seed,
            )
            advance(1)
        one_class = {
            finding: (int((labels >= 0.5).sum()), int((labels < 0.5).sum()))
            for finding, labels, has_both in zip(chosen, films.labels.T, both, strict=True)
            if not has_both
        }
        evaluation = evaluation.model_copy(
            update={
                "store": store.name,
                "part": part,
                "simulated": store.simulated,
                "overlap": overlap,
                "one_class": one_class,
            }
        )
        put_whole(out / PREDICTIONS, predictions(store, films, scores[:, columns]).write_parquet)
        write_whole(out / TABLE, table(evaluation))
        write_whole(out / PAGE, render(evaluation))
        write_whole(out / RECORD, evaluation.to_json())
        return evaluation


def films_of_part(
    store: Store, part: Part, findings: Sequence[str] | None, *, classifier: Classifier, run: Path
) -> Examples:
    """The films of one part of a store, with the labels of the findings asked for, or of all that the classifier knows.

    Raises:
        FindingUnknown: the classifier does not know a finding, or the store does not label it.
        TooFewImages: the part is empty, or no finding has both classes in it.
    """
    chosen = tuple(findings or classifier.findings)
    require_common(chosen, classifier.findings, run)
    require_common(chosen, store.findings, store.path)
    films = of_store(store, part, side=classifier.side).about(chosen)
    if not len(films):
        raise TooFewImages(f"{store.path} has no film in its part '{part}'; name another --part")
    if not with_both_classes(films.labels).any():
        require_both_classes(films.labels, chosen, f"the part '{part}' of {store.path}")
    return films


def require_common(asked: Sequence[str], known: Sequence[str], where: Path) -> None:
    """Raise FindingUnknown, which names the findings in common, where one that is asked for is not known there."""
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


def evaluate_scores(
    classifier: Classifier, films: Examples, scores: np.ndarray, *, by_image: bool, bootstrap_samples: int, seed: int
) -> Evaluation:
    """The record for scores (n, F) of films that have both classes of every finding."""
    labels = films.labels
    groups = np.arange(len(films)) if by_image else films.patients

    def rng() -> np.random.Generator:
        return numpy_stream(seed, "evaluation")  # the same patients for every measure

    aucs = bootstrap_auc(scores, labels, groups, bootstrap_samples=bootstrap_samples, rng=rng())
    precisions = bootstrap_average_precision(scores, labels, groups, bootstrap_samples=bootstrap_samples, rng=rng())
    rules: dict[str, list[AtThreshold]] = {}
    means_at: dict[str, dict[str, Estimate | None]] = {}
    for rule, thresholds in classifier.record.thresholds.items():
        chosen = np.array([thresholds[classifier.findings.index(f)] for f in films.findings], float)
        found = confusion(scores, labels, chosen)
        resampled = bootstrap_confusion(scores, labels, chosen, groups, bootstrap_samples=bootstrap_samples, rng=rng())
        values = {m: (getattr(found, m), getattr(resampled, m)) for m in MEASURES}
        behind = patients_behind(scores, labels, chosen, groups)
        rules[rule] = [
            AtThreshold(
                threshold=chosen[f],
                **{
                    m: share_estimate(v[f], r[:, f], behind[m][f] if m in behind else None)
                    for m, (v, r) in values.items()
                },
            )
            for f in range(len(films.findings))
        ]
        means_at[rule] = {m: mean_share_estimate(v, r) for m, (v, r) in values.items()}
    parts = [split_classes(scores[:, f], labels[:, f]) for f in range(len(films.findings))]
    points = auc_by_finding(scores, labels)
    areas = np.array([average_precision(*p) for p in parts])
    found_findings = tuple(
        FindingEvaluation(
            finding=finding,
            positives=len(parts[f][0]),
            negatives=len(parts[f][1]),
            patients_of_rarer=patients_of_rarer(labels[:, f], films.patients),
            auc=estimate(points[f], aucs[:, f]),
            average_precision=estimate(areas[f], precisions[:, f]),
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
        bootstrap_samples=bootstrap_samples,
        seed=seed,
        findings=found_findings,
        mean={
            "auc": estimate(points.mean(), bootstrap_mean(aucs)),
            "average precision": estimate(areas.mean(), bootstrap_mean(precisions)),
        },
        mean_at=means_at,
        versions=versions("torch", "monai", "numpy"),
    )


def _calibration(scores: np.ndarray, labels: np.ndarray) -> Calibration:
    curve = reliability(scores, labels, bins=BINS)
    filled = curve.counts > 0
    return Calibration(
        predicted=tuple(curve.predicted[filled].tolist()),
        observed=tuple(curve.observed[filled].tolist()),
        counts=tuple(curve.counts[filled].tolist()),
        expected_error=curve.expected_error,
        brier=brier_score(scores, labels),
    )


def _thinned(x: np.ndarray, y: np.ndarray) -> tuple[tuple[float, float], ...]:
    """At most CURVE_POINTS points of a curve, evenly spaced, with both ends."""
    kept = np.unique(np.linspace(0, len(x) - 1, min(len(x), CURVE_POINTS)).round().astype(int))
    return tuple(zip(x[kept].round(6).tolist(), y[kept].round(6).tolist(), strict=True))
