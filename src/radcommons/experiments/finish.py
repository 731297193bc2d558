"""From trained arms to the record of an experiment."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from radcommons.classify.material import Examples
from radcommons.classify.trials import Trained, Trial
from radcommons.experiments.compare import Judged
from radcommons.experiments.settings import ExperimentSettings
from radcommons.metrics.ssim import ms_ssim
from radcommons.models.classifier import resized
from radcommons.records import Arm
from radcommons.seeds import numpy_stream

PAIRS_AT_ONCE = 100


def judge(trials: Sequence[Trial], trained: Sequence[Trained], settings: ExperimentSettings) -> Judged:
    """All arms on the test films."""
    test = trials[0].test
    scores: dict[str, list[np.ndarray]] = {}
    for trial, outcome in zip(trials, trained, strict=True):
        scores.setdefault(trial.arm, []).append(outcome.scores)
    return Judged(
        scores,
        test.labels,
        test.patients,
        test.findings,
        bootstrap_samples=settings.bootstrap_samples,
        seed=settings.seed,
    )


def arms(
    descriptions: Mapping[str, str],
    trials: Sequence[Trial],
    trained: Sequence[Trained],
    judged: Judged,
    settings: ExperimentSettings,
) -> tuple[Arm, ...]:
    """The record of every arm, in the order of `descriptions`."""
    found = []
    for name, description in descriptions.items():
        first = next(t for t in trials if t.arm == name and t.repeat == 0)
        epochs = [o.epochs for t, o in zip(trials, trained, strict=True) if t.arm == name]
        spread = diversity(
            first.parts, side=settings.classifier.side, pairs=settings.diversity_pairs, seed=settings.seed
        )
        found.append(
            Arm(
                name=name,
                description=description,
                images=composition(first.parts),
                auc={f: judged.auc(name, f) for f in judged.findings},
                aucs={f: judged.aucs(name, f) for f in judged.findings},
                diversity=None if spread is None else spread[0],
                diversity_sd=None if spread is None else spread[1],
                epochs=float(np.mean(epochs)),
            )
        )
    return tuple(found)


def composition(parts: Sequence[Examples]) -> dict[str, int]:
    """Images by kind: for one finding with and without it, for several all."""
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
    """MS-SSIM of pairs of different positive training images, mean and sd; None where there are not two, or no pairs.

    For several findings a pair shares one. All are compared at the classifier's `side`, so that arms compare.
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
    joined = np.concatenate(values)
    return float(joined.mean()), float(joined.std(ddof=1))


def _at_side(image: np.ndarray, side: int) -> np.ndarray:
    """What the classifier sees of an image: grey levels, float (side, side)."""
    return resized(torch.from_numpy(image.astype(np.float32))[None, None], side)[0, 0].numpy()
