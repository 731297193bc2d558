"""How well the scores of an attack tell training from held-out patients; every membership test ends here."""

from collections.abc import Callable

import numpy as np

from radcommons.audit.inputs.privacy import PrivacyInputs
from radcommons.audit.permutation import mean_by_patient, permuted_aucs, upper_p_value
from radcommons.errors import TooFewImages
from radcommons.metrics.bootstrap import auc_interval, true_positive_rate_interval
from radcommons.metrics.classification import area_under_roc, roc_curve, true_positive_rate_at
from radcommons.metrics.power import detectable_auc
from radcommons.records import Estimate, PrivacyTest


def membership_test(
    test: Callable[..., PrivacyTest],
    members: np.ndarray,
    others: np.ndarray,
    member_patients: np.ndarray,
    other_patients: np.ndarray,
    inputs: PrivacyInputs,
    *,
    rng: np.random.Generator,
    groups: tuple[str, str] = ("in training", "held out"),
    two_sided: bool = False,
) -> PrivacyTest:
    """Complete a test: AUC and TPR at low FPR by patient, with intervals, p value and detection limit.

    Args:
        test: makes the test's record of what is found here.
        members, others: one score per film, higher = more likely in training, (n,), (m,).
        member_patients, other_patients: number of the patient of each; a patient's films are averaged.
        groups: what the two groups are called.
        two_sided: whether an AUC below 0.5 is as surprising as one above.
    """
    settings, significance = inputs.settings, inputs.significance
    inside, outside = mean_by_patient(members, member_patients), mean_by_patient(others, other_patients)
    auc = area_under_roc(inside, outside)
    each = np.arange(len(inside)), -1 - np.arange(len(outside))  # every score is of another patient
    low, high = auc_interval(inside, outside, *each, bootstrap_samples=settings.bootstrap_samples, rng=rng)
    permuted = permuted_aucs(
        np.concatenate([inside, outside]), len(inside), permutations=settings.permutations, rng=rng
    )
    p = upper_p_value(auc, permuted)
    if two_sided:
        p = min(1.0, 2 * min(p, upper_p_value(1 - auc, 1 - permuted)))
    details = {"AUC by image": area_under_roc(members, others)}
    shown = [rate for rate in (0.01, 0.001) if rate * len(outside) >= 1]  # one false alarm at least
    for rate in shown:
        name = f"TPR at {rate:.1%} FPR"
        details[name] = true_positive_rate_at(inside, outside, false_positive_rate=rate)
        interval = true_positive_rate_interval(
            inside, outside, *each, false_positive_rate=rate, bootstrap_samples=settings.bootstrap_samples, rng=rng
        )
        details[f"{name}, from"], details[f"{name}, to"] = interval
    try:
        limit = detectable_auc(len(inside), len(outside), power=0.8, significance=2 * significance)
        detection = f"an AUC of {limit:.2f} would be detected (p < {significance:g}) in 4 cases of 5"
    except TooFewImages:
        limit, detection = None, "the patients are too few to detect even a perfect attack"
    return test(
        measure="AUC by patient; 0.5 = a guess, 1 = every member is found",
        result=Estimate(value=auc, low=low, high=high),
        expected=0.5,
        p_value=p,
        detection=detection,
        detection_limit=limit,
        counts={
            f"patients {groups[0]}": len(inside),
            f"patients {groups[1]}": len(outside),
            f"films {groups[0]}": len(members),
            f"films {groups[1]}": len(others),
        },
        details=details,
        curve=_few(*roc_curve(inside, outside)),
    )


def _few(fpr: np.ndarray, tpr: np.ndarray) -> tuple[tuple[float, float], ...]:
    """A curve at 51 false positive rates: enough to draw, too coarse to follow one patient."""
    rates = np.linspace(0, 1, 51)
    places = np.searchsorted(fpr, rates, side="right") - 1
    return tuple(
        (round(float(rate), 2), round(float(tpr[place]), 3)) for rate, place in zip(rates, places, strict=True)
    )
