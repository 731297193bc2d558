"""Claim: the bootstrap of AUCs over patients is 200 times as fast as a loop over scikit-learn's roc_auc_score.

10,000 bootstrap samples of 14 findings in 22,433 images of 6,187 patients, at the prevalences of NIH's test set. Every
sample draws patients, and all findings are scored on it. The loop passes how often an image was drawn as its weight.
Twenty of its samples are timed and stand for 10,000; their values are compared first.
"""

import resource

import numpy as np
from sklearn.metrics import roc_auc_score
from support.measuring import pair, save, seconds_of

from radcommons.metrics.bootstrap import bootstrap_auc, bootstrap_average_precision, bootstrap_confusion
from radcommons.metrics.comparison import permutation_test

IMAGES, PATIENTS, BOOTSTRAP_SAMPLES, OF_LOOP, ROUNDS = 22_433, 6_187, 10_000, 20, 3
PREVALENCES = {
    "Hernia": 0.002,
    "Pneumonia": 0.013,
    "Fibrosis": 0.015,
    "Edema": 0.021,
    "Emphysema": 0.022,
    "Cardiomegaly": 0.025,
    "Pleural thickening": 0.030,
    "Consolidation": 0.042,
    "Pneumothorax": 0.047,
    "Mass": 0.052,
    "Nodule": 0.056,
    "Atelectasis": 0.103,
    "Effusion": 0.119,
    "Infiltration": 0.177,
}


def clustered_films(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores to four digits (so with ties), labels and patients; films of a patient are alike in both."""
    often = rng.pareto(1.5, PATIENTS) + 0.1
    more = rng.choice(PATIENTS, IMAGES - PATIENTS, p=often / often.sum())
    patients = np.sort(np.concatenate([np.arange(PATIENTS), more]))
    shape = (IMAGES, len(PREVALENCES))

    def alike() -> np.ndarray:
        return rng.standard_normal((PATIENTS, shape[1]))[patients] + rng.standard_normal(shape)

    severity = alike()
    labels = (severity > np.quantile(severity, 1 - np.array(list(PREVALENCES.values())), axis=0).diagonal()) * 1.0
    scores = 1 / (1 + np.exp(-(labels + alike() / 2)))
    return np.round(scores, 4), labels, patients


def loop(scores: np.ndarray, labels: np.ndarray, patients: np.ndarray, bootstrap_samples: int) -> np.ndarray:
    rng = np.random.default_rng(1)
    names, rows = np.unique(patients, return_inverse=True)
    values = np.empty((bootstrap_samples, scores.shape[1]))
    for row in values:
        weights = np.bincount(rng.integers(len(names), size=len(names)), minlength=len(names))[rows]
        row[:] = [roc_auc_score(labels[:, f], scores[:, f], sample_weight=weights) for f in range(scores.shape[1])]
    return values


def main() -> None:
    films = clustered_films(np.random.default_rng(0))
    scores, labels, patients = films

    def ours(bootstrap_samples: int = BOOTSTRAP_SAMPLES) -> np.ndarray:
        return bootstrap_auc(*films, bootstrap_samples=bootstrap_samples, rng=np.random.default_rng(1))

    difference = float(np.abs(loop(*films, OF_LOOP) - ours(OF_LOOP)).max())
    times = pair(lambda: loop(*films, OF_LOOP), ours, rounds=ROUNDS, warm_up=False)
    rows = [
        {
            "bootstrap_samples": BOOTSTRAP_SAMPLES,
            "findings": labels.shape[1],
            "images": IMAGES,
            "patients": PATIENTS,
            "loop s (extrapolated)": times.baseline_seconds * BOOTSTRAP_SAMPLES / OF_LOOP,
            "ours s": times.our_seconds,
            "ratio": times.ratio * BOOTSTRAP_SAMPLES / OF_LOOP,
            "largest difference": difference,
        }
    ]
    other = np.round(scores + np.random.default_rng(2).normal(0, 0.05, scores.shape), 4)
    rng = np.random.default_rng(3)
    thresholds = np.full(labels.shape[1], 0.6)
    more = {
        "average precision s": seconds_of(
            lambda: bootstrap_average_precision(*films, bootstrap_samples=BOOTSTRAP_SAMPLES, rng=rng)
        ),
        "sensitivity and the like s": seconds_of(
            lambda: bootstrap_confusion(
                scores, labels, thresholds, patients, bootstrap_samples=BOOTSTRAP_SAMPLES, rng=rng
            )
        ),
        "permutation test s": seconds_of(
            lambda: permutation_test(scores, other, labels, patients, bootstrap_samples=BOOTSTRAP_SAMPLES, rng=rng)
        ),
        "peak memory MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
    save("bootstrap", __doc__.splitlines()[0], rows, "scipy", "scikit-learn", rounds=ROUNDS, **more)
    print("\n".join(f"{name}: {value:.3g}" for name, value in more.items()))


if __name__ == "__main__":
    main()
