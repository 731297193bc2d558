"""Finds labels that do not fit their images: a classifier trained on the other parts of the data scores each part.

This is confident learning (Northcutt 2021). A second pass flips labels on purpose, and so measures what share of wrong
labels such a screen finds in these data.
"""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
from PIL import Image
from scipy.stats import binom

from radcommons.classify.settings import ClassifierSettings
from radcommons.classify.training_data import Examples, chosen_findings, of_images, of_store
from radcommons.classify.trials import Trial, run_trials
from radcommons.data.image_set import is_image_set, open_image_set
from radcommons.data.store import Store
from radcommons.errors import SettingRefused, TooFewImages
from radcommons.files import put_whole, write_whole
from radcommons.folders import alone_in, claim
from radcommons.metrics.classification import auc_by_finding, binary_labels
from radcommons.metrics.label_errors import detection_rate, label_margins, plant_flips, suspects, wrong_labels
from radcommons.pictures import contact_sheet
from radcommons.progress import Track, silent
from radcommons.records import FindingScreen, ScreenResult
from radcommons.seeds import derive, numpy_stream

RECORD, TABLE, SHEET, TRIALS = "screen.json", "suspects.csv", "suspects.png", "trials"
GIVEN, PLANTED = "as given", "planted"
VALIDATION_SHARE = 0.15  # of the patients that a fold's classifier learns from
CHANCE = 0.025  # above this probability of finding as many by chance in a class, the screen is not reliable
SHOWN = 12  # suspects of each kind on the sheet


def screen(
    source: Path,
    out: Path,
    *,
    settings: ClassifierSettings,
    folds: int = 4,
    planted_share: float = 0.2,
    false_alarm_rate: float = 0.05,
    workers: int = 1,
    track: Track = silent,
) -> ScreenResult:
    """Find the labels of a store or a set that are likely wrong, and measure how many such a screen finds.

    Writes ``screen.json``, ``suspects.csv`` and ``suspects.png``; of a store they stay in the hospital.

    Args:
        source: a store (all its parts) or a synthetic set.
        settings: of the classifiers; `findings` chooses, and `seed` makes the folds too.
        folds: number of parts, by patient; twice as many classifiers are trained.
        planted_share: see `plant_flips`.
        false_alarm_rate: a flipped label counts as found where at most this share of its class's right labels rank
            above it.
        workers: trainings at a time, a core each.
    Raises:
        FindingUnknown, TooFewImages, PathInUse, SettingRefused.
    """
    if settings.initial not in ("random", "imagenet"):
        raise SettingRefused(
            f"initial is {settings.initial}, a run that may have learned from these images; a screen needs "
            "classifiers that have not: set initial to random or imagenet"
        )
    with alone_in(out, private=True):
        items = _items(source, settings, track)
        fold = _folds(items.patients, folds, settings.seed)
        request = {
            "command": "classify screen",
            "images": items.digest,
            "folds": folds,
            "planted_share": planted_share,
            **settings.model_dump(mode="json"),
        }
        claim(out, request)  # another false-alarm rate reads the same trainings
        flipped_labels, flipped = plant_flips(
            items.labels, share=planted_share, rng=numpy_stream(settings.seed, "planted flips")
        )
        planted = replace(items, labels=flipped_labels, digest=f"{items.digest}/planted {planted_share}")
        trials = [
            trial for arm, part in ((GIVEN, items), (PLANTED, planted)) for trial in _trials(arm, part, fold, settings)
        ]
        trained = run_trials(trials, out / TRIALS, workers=workers, track=track)
        probabilities = {arm: np.empty(items.labels.shape) for arm in (GIVEN, PLANTED)}
        for trial, outcome in zip(trials, trained, strict=True):
            probabilities[trial.arm][fold == trial.repeat] = outcome.scores
        found = suspects(probabilities[GIVEN], items.labels)
        listed = np.zeros(flipped.shape, bool)
        listed[tuple(suspects(probabilities[PLANTED], flipped_labels).T)] = True
        margins = label_margins(probabilities[PLANTED], flipped_labels)
        wrong = wrong_labels(probabilities[GIVEN], items.labels)
        aucs = auc_by_finding(probabilities[GIVEN], items.labels)
        lines = []
        for f, finding in enumerate(items.findings):
            rates = detection_rate(
                margins[:, [f]], flipped_labels[:, [f]], flipped[:, [f]], false_alarm_rate=false_alarm_rate
            )
            held = [listed[flipped[:, f] & (flipped_labels[:, f] == kind), f].sum() for kind in (0, 1)]
            right = ~flipped[:, f] & ~np.isnan(flipped_labels[:, f])
            lines.append(
                FindingScreen(
                    finding=finding,
                    present=int((items.labels[:, f] == 1).sum()),
                    absent=int((items.labels[:, f] == 0).sum()),
                    auc=aucs[f],
                    suspects=int((found[:, 1] == f).sum()),
                    wrong_present=_or_none(wrong[f, 1]),
                    wrong_absent=_or_none(wrong[f, 0]),
                    planted=int(flipped[:, f].sum()) // 2,
                    listed_present=int(held[1]),
                    listed_absent=int(held[0]),
                    listed_right=float(listed[right, f].mean()),
                    found_present=_or_none(rates[1]),
                    found_absent=_or_none(rates[0]),
                )
            )
        result = ScreenResult(
            source=items.source,
            images=len(items),
            folds=folds,
            planted_share=planted_share,
            false_alarm_rate=false_alarm_rate,
            seed=settings.seed,
            findings=tuple(lines),
            sentence=sentence(lines, false_alarm_rate),
        )
        put_whole(out / TABLE, _table(items, probabilities[GIVEN], found).write_csv)
        if len(found):
            put_whole(out / SHEET, _sheet(items, found).save)
        write_whole(out / RECORD, result.to_json())
        return result


def sentence(findings: list[FindingScreen], false_alarm_rate: float) -> str:
    """How far the list and the ranking are reliable; follows from the flipped labels by fixed rules."""
    return " ".join(f"{f.finding}: {f.suspects:,} suspects. {_worth(f, false_alarm_rate)}" for f in findings)


def _worth(f: FindingScreen, false_alarm_rate: float) -> str:
    """A rate counts only where chance would hardly find as many flipped labels."""
    present = ("wrongly present", f.found_present, f.listed_present)
    absent = ("wrongly absent", f.found_absent, f.listed_absent)
    known = [(words, rate, listed) for words, rate, listed in (present, absent) if rate is not None]
    by_chance = [float(binom.sf(round(rate * f.planted) - 1, f.planted, false_alarm_rate)) for _, rate, _ in known]
    if min(by_chance, default=1.0) > CHANCE:
        return "It finds no more of the labels flipped on purpose than chance may find: do not rely on this list."
    held = " and ".join(f"{listed} of {f.planted} {words}" for words, _, listed in known)
    ranked = " and ".join(f"{rate:.0%} of those {words}" for words, rate, _ in known)
    return (
        f"In a test with labels flipped on purpose, such a list holds {held}, and {f.listed_right:.1%} of the right "
        f"ones; in the ranking, {ranked} stand above all but {false_alarm_rate:.0%} of the right ones."
    )


def _items(source: Path, settings: ClassifierSettings, track: Track) -> Examples:
    if is_image_set(source):
        theirs = open_image_set(source, track=track)
        items = of_images(source.name, theirs.images, theirs.labels, theirs.findings, theirs.digest)
    else:
        items = of_store(Store.open(source), None, side=settings.side)
    chosen = chosen_findings([items], [items], settings.findings)
    items = items.about(chosen)
    return replace(items, labels=binary_labels(items.labels))


def _folds(patients: np.ndarray, folds: int, seed: int) -> np.ndarray:
    """Fold of each image; all images of a patient are in one fold."""
    names, rows = np.unique(patients, return_inverse=True)
    if len(names) < 2 * folds:
        raise TooFewImages(f"{len(names)} patients are too few for {folds} folds; pass fewer --folds, or more images")
    fold: np.ndarray = (numpy_stream(seed, "folds").permutation(len(names)) % folds)[rows]
    return fold


def _trials(arm: str, items: Examples, fold: np.ndarray, settings: ClassifierSettings) -> list[Trial]:
    """One training per fold: on the other folds, less some patients for validation."""
    trials = []
    for number in range(int(fold.max()) + 1):
        rest = np.flatnonzero(fold != number)
        held_out = _held_out(items.take(rest), numpy_stream(settings.seed, "fold validation", number))
        trials.append(
            Trial(
                arm=arm,
                repeat=number,
                parts=(items.take(rest[~held_out]),),
                validation=items.take(rest[held_out]),
                test=items.take(np.flatnonzero(fold == number)),
                settings=settings.model_copy(update={"seed": derive(settings.seed, "fold", number) % 2**31}),
            )
        )
    return trials


def _held_out(items: Examples, rng: np.random.Generator) -> np.ndarray:
    """The validation images, boolean (n,): a share of the patients, with at least one of each class of each finding."""
    names, rows = np.unique(items.patients, return_inverse=True)
    order = rng.permutation(len(names))
    chosen = set(order[: max(1, round(VALIDATION_SHARE * len(names)))].tolist())
    for labels in items.labels.T:
        for kind in (0, 1):
            having = set(rows[labels == kind].tolist())
            if not having & chosen:
                chosen.update([next(p for p in order.tolist() if p in having)] if having else [])
    return np.isin(rows, list(chosen))


def _table(items: Examples, probabilities: np.ndarray, found: np.ndarray) -> pl.DataFrame:
    """The suspects, worst first: row in the manifest (or in labels.csv), finding, label, probability."""
    places, findings = found.T
    return pl.DataFrame(
        {
            "row": items.rows[places],
            "finding": [items.findings[f] for f in findings],
            "label": items.labels[places, findings].astype(int),
            "probability": probabilities[places, findings].round(4),
        }
    )


def _sheet(items: Examples, found: np.ndarray) -> Image.Image:
    """The worst suspects of each finding and label."""
    rows, names = [], []
    for f, finding in enumerate(items.findings):
        for label, words in ((1, "labelled present"), (0, "labelled absent")):
            mine = [place for place, column in found if column == f and items.labels[place, f] == label]
            if mine:
                rows.append(np.asarray(items.images[items.rows[mine[:SHOWN]]]))
                names.append(f"{finding}, {words}")
    return contact_sheet(rows, names, side=96)


def _or_none(value: float) -> float | None:
    return None if math.isnan(value) else float(value)
