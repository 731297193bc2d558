"""From trained arms to the record of an experiment."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from radcommons.classify.training_data import Examples
from radcommons.classify.trials import Trial, TrialResult, run_trials
from radcommons.experiments import report
from radcommons.experiments.compare import RELEVANT, ArmAucs
from radcommons.experiments.folder import TRIALS
from radcommons.experiments.settings import ExperimentSettings
from radcommons.metrics.ssim import ms_ssim
from radcommons.models.classifier import resized
from radcommons.progress import Track
from radcommons.records import Arm, Comparison, ExperimentResult
from radcommons.seeds import numpy_stream
from radcommons.versions import versions

PAIRS_AT_ONCE = 100


def run_experiment(
    experiment: str,
    out: Path,
    trials: Sequence[Trial],
    settings: ExperimentSettings,
    *,
    pairs: Sequence[tuple[str, str]],
    sentence: Callable[[Sequence[Comparison]], str],
    notes: Sequence[str | None],
    descriptions: Mapping[str, str],
    simulated: bool,
    workers: int,
    track: Track,
) -> ExperimentResult:
    """Train all arms, compare them on the test films, and write the record, its table, its figure and its page.

    Args:
        pairs: arms to compare, (one, against); the first ones answer the experiment's question.
        sentence: what their comparisons support.
        notes: about generators and patients; None is left out.
        descriptions: of the arms, in the order of the table.
    """
    results = run_trials(trials, out / TRIALS, workers=workers, track=track)
    test = trials[0].test
    scores: dict[str, list[np.ndarray]] = {}
    for trial, found in zip(trials, results, strict=True):
        scores.setdefault(trial.arm, []).append(found.scores)
    aucs = ArmAucs(
        scores,
        test.labels,
        test.patients,
        test.findings,
        bootstrap_samples=settings.bootstrap_samples,
        seed=settings.seed,
    )
    comparisons = aucs.comparisons(pairs)
    result = ExperimentResult(
        experiment=experiment,
        simulated=simulated,
        sentence=sentence(comparisons),
        notes=(*aucs.notes(), *(note for note in notes if note is not None), *_notes_on_repeats(settings.repeats)),
        test_images=len(test),
        test_patients=len(np.unique(test.patients)),
        test_positives={f: int((test.labels[:, i] >= 0.5).sum()) for i, f in enumerate(test.findings)},
        few_patients=aucs.few,
        arms=tuple(_arm(name, text, trials, results, aucs, settings) for name, text in descriptions.items()),
        comparisons=comparisons,
        relevant=RELEVANT,
        settings=settings.model_dump(mode="json"),
        versions=versions("torch", "monai", "numpy", "scipy"),
    )
    report.write(result, out)
    return result


def _notes_on_repeats(repeats: int) -> list[str]:
    notes = ["the generators are the same in every repeat: the intervals do not include luck in training them"]
    if repeats == 1:
        notes.append("one repeat: the intervals do not include luck in training the classifiers")
    if repeats == 2:
        notes.append("two repeats say little about luck in training, so the intervals are very wide")
    return notes


def _arm(
    name: str,
    description: str,
    trials: Sequence[Trial],
    results: Sequence[TrialResult],
    aucs: ArmAucs,
    settings: ExperimentSettings,
) -> Arm:
    first = next(t for t in trials if t.arm == name and t.repeat == 0)
    epochs = [r.epochs for t, r in zip(trials, results, strict=True) if t.arm == name]
    spread = diversity(
        first.all_parts, side=settings.classifier.side, pairs=settings.diversity_pairs, seed=settings.seed
    )
    return Arm(
        name=name,
        description=description,
        images=composition(first.all_parts),
        auc={f: aucs.auc(name, f) for f in aucs.findings},
        aucs={f: aucs.aucs(name, f) for f in aucs.findings},
        diversity=None if spread is None else spread[0],
        diversity_sd=None if spread is None else spread[1],
        epochs=float(np.mean(epochs)),
    )


def composition(parts: Sequence[Examples]) -> dict[str, int]:
    """Number of images by kind: with and without the finding, or all where there are several findings."""
    counts: dict[str, int] = {}
    for part in parts:
        kind = "synthetic" if part.source.startswith("synthetic") else "real"
        if part.labels.shape[1] == 1:
            cells = {"without": int((part.labels < 0.5).sum()), "with": int((part.labels >= 0.5).sum())}
        else:
            cells = {"all": len(part)}
        for cell, count in cells.items():
            counts[f"{kind} {cell}"] = counts.get(f"{kind} {cell}", 0) + count
    return counts


def diversity(parts: Sequence[Examples], *, side: int, pairs: int, seed: int) -> tuple[float, float] | None:
    """MS-SSIM of pairs of different positive training images, mean and standard deviation.

    None without pairs, or where no finding has two positives. With several findings, the images of a pair share one.
    All images are compared at the classifier's `side`, so that values of different arms can be compared.
    """
    if pairs == 0:
        return None
    where = [(i, row) for i, part in enumerate(parts) for row in part.rows]
    labels = np.concatenate([part.labels for part in parts])
    rng = numpy_stream(seed, "diversity")
    values = []
    findings = labels.shape[1]
    for f in range(findings):
        unique = {where[place]: place for place in np.flatnonzero(labels[:, f] >= 0.5)}  # an image may repeat
        if len(unique) < 2:
            continue
        keys = list(unique)
        first = rng.integers(len(keys), size=-(-pairs // findings))
        second = (first + rng.integers(1, len(keys), size=len(first))) % len(keys)
        for start in range(0, len(first), PAIRS_AT_ONCE):
            block = slice(start, start + PAIRS_AT_ONCE)
            a, b = (
                np.stack([_at_side(parts[i].images[r], side) for i, r in (keys[k] for k in which[block])])
                for which in (first, second)
            )
            values.append(ms_ssim(a, b))
    if not values:
        return None
    similarities = np.concatenate(values)
    return float(similarities.mean()), float(similarities.std(ddof=1))


def _at_side(image: np.ndarray, side: int) -> np.ndarray:
    """What the classifier sees of an image: grey levels, float (side, side)."""
    return resized(torch.from_numpy(image.astype(np.float32))[None, None], side)[0, 0].numpy()
