"""How well the scores of an attack tell training from held-out patients; every membership test ends here."""

from typing import Literal

import numpy as np

from radcommons.audit.permutation import mean_by_patient, permuted_aucs, upper_p_value
from radcommons.audit.settings import AuditSettings
from radcommons.errors import TooFewImages
from radcommons.metrics.bootstrap import auc_interval, true_positive_rate_interval
from radcommons.metrics.classification import area_under_roc, roc_curve, true_positive_rate_at
from radcommons.metrics.power import detectable_auc
from radcommons.records import Estimate, PrivacyTest, PrivacyTestKind, Space


def membership_test(
    members: np.ndarray,
    others: np.ndarray,
    member_patients: np.ndarray,
    other_patients: np.ndarray,
    *,
    kind: PrivacyTestKind,
    access: Literal["samples", "weights", "critic", "films"],
    question: str,
    space: Space | None = None,
    settings: AuditSettings,
    significance: float,
    rng: np.random.Generator,
    groups: tuple[str, str] = ("in training", "held out"),
    two_sided: bool = False,
) -> PrivacyTest:
    """AUC and TPR at low FPR by patient, with intervals, p value and detection limit.

    Args:
        members, others: a score a film, higher = rather a member, (n,), (m,).
        member_patients, other_patients: number of the patient of each; a patient's films are averaged.
        kind, access, question, space: of the test, see PrivacyTest.
        significance: of one test, one-sided, for which the smallest AUC that would be found is given.
        groups: what the two groups are called.
        two_sided: whether an AUC below 0.5 is as surprising as one above.
    """
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
    for rate in (0.01, 0.001):
        name_of_rate = f"TPR at {rate:.1%} FPR"
        details[name_of_rate] = true_positive_rate_at(inside, outside, false_positive_rate=rate)
        interval = true_positive_rate_interval(
            inside, outside, *each, false_positive_rate=rate, bootstrap_samples=settings.bootstrap_samples, rng=rng
        )
        details[f"{name_of_rate}, from"], details[f"{name_of_rate}, to"] = interval
    limit = _detection_limit(len(inside), len(outside), significance)
    return PrivacyTest(
        kind=kind,
        space=space,
        access=access,
        question=question,
        measure="AUC by patient; 0.5 = a guess, 1 = every member is found",
        result=Estimate(value=auc, low=low, high=high),
        expected=0.5,
        p_value=p,
        detection="the patients are too few to detect even a perfect attack"
        if limit is None
        else f"an AUC of {limit:.2f} would be detected (p < {significance:g}) in 4 cases of 5",
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


def _detection_limit(members: int, others: int, significance: float) -> float | None:
    """The smallest AUC that would be detected in 4 cases of 5; None where the patients are too few for any."""
    try:
        return detectable_auc(members, others, power=0.8, significance=2 * significance)
    except TooFewImages:
        return None


def _few(fpr: np.ndarray, tpr: np.ndarray) -> tuple[tuple[float, float], ...]:
    """A curve at 51 false positive rates: enough to draw, too coarse to follow one patient."""
    rates = np.linspace(0, 1, 51)
    places = np.searchsorted(fpr, rates, side="right") - 1
    return tuple(
        (round(float(rate), 2), round(float(tpr[place]), 3)) for rate, place in zip(rates, places, strict=True)
    )
