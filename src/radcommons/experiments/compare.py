"""Compares the arms: from the scores of every arm and repeat to intervals, p values and verdicts."""

from collections.abc import Mapping, Sequence

import numpy as np

from radcommons.metrics.bootstrap import FEW_PATIENTS, bootstrap_auc, patients_of_rarer
from radcommons.metrics.classification import auc_by_finding
from radcommons.metrics.comparison import delong_test, holm, permutation_test
from radcommons.metrics.replicates import Replicated, replicated
from radcommons.records import Comparison, Estimate, Verdict
from radcommons.records.experiment import RENAMED_ARMS
from radcommons.seeds import numpy_stream

RELEVANT = 0.02  # AUC; less is not worth another hospital's generator
SIGNIFICANCE = 0.05
POWER = 0.8
PERMUTATIONS = 10_000


class ArmAucs:
    """AUC of every arm, repeat and finding, on the same test films and in the same bootstrap samples of patients."""

    def __init__(
        self,
        scores: Mapping[str, Sequence[np.ndarray]],
        labels: np.ndarray,
        patients: np.ndarray,
        findings: Sequence[str],
        *,
        bootstrap_samples: int,
        seed: int,
    ) -> None:
        """`scores`: by arm, of each repeat, (n, F); `labels` (n, F) and `patients` (n,) of the test films."""
        self.findings, self.seed = tuple(findings), seed
        self._scores = {arm: np.stack(repeats) for arm, repeats in scores.items()}  # (s, n, F)
        self._labels, self._patients = labels, patients
        self.few = {  # findings with too few patients to claim a difference, and the number of these
            f: count
            for f, column in zip(findings, labels.T, strict=True)
            if (count := patients_of_rarer(column, patients)) < FEW_PATIENTS
        }
        self._aucs: dict[str, np.ndarray] = {}  # by arm, (s, F)
        self._resampled: dict[str, np.ndarray] = {}  # by arm, the mean over repeats, (r, F)
        for arm, repeats in self._scores.items():
            resampled = bootstrap_auc(
                repeats.transpose(1, 0, 2).reshape(len(labels), -1),
                np.tile(labels, len(repeats)),
                patients,
                bootstrap_samples=bootstrap_samples,
                rng=numpy_stream(seed, "patients"),  # the same patients for every arm
            )
            by_repeat = resampled.reshape(bootstrap_samples, len(repeats), labels.shape[1])
            self._resampled[arm] = by_repeat.mean(axis=1)
            self._aucs[arm] = np.array([auc_by_finding(scores_of_repeat, labels) for scores_of_repeat in repeats])

    def notes(self) -> list[str]:
        """What a reader must know about the findings."""
        if not self.few:
            return []
        named = ", ".join(f"{finding} ({count})" for finding, count in self.few.items())
        return [f"fewer than {FEW_PATIENTS} test patients of the rarer class, so no difference is claimed: {named}"]

    def aucs(self, arm: str, finding: str) -> tuple[float, ...]:
        """AUC of each repeat."""
        return tuple(self._aucs[arm][:, self.findings.index(finding)].tolist())

    def auc(self, arm: str, finding: str) -> Estimate:
        """Mean AUC over the repeats, with its interval, cut at 0 and 1."""
        f = self.findings.index(finding)
        e = _estimate(replicated(self._aucs[arm][:, f], self._resampled[arm][:, f]))
        return Estimate(value=e.value, low=max(0.0, e.low or 0.0), high=min(1.0, e.high or 0.0))

    def comparisons(self, pairs: Sequence[tuple[str, str]]) -> tuple[Comparison, ...]:
        """Each pair of arms (one, against) for each finding; the p values are corrected for all of them together."""
        cells = [(pair, f) for pair in pairs for f in range(len(self.findings))]
        found = [
            replicated(self._aucs[a][:, f] - self._aucs[b][:, f], self._resampled[a][:, f] - self._resampled[b][:, f])
            for (a, b), f in cells
        ]
        corrected = holm(np.array([r.p_value for r in found]))
        strictest = 1 - SIGNIFICANCE / len(cells)  # Holm's level for the smallest p value
        checks = {pair: self._cross_checks(*pair) for pair in pairs}
        return tuple(
            Comparison(
                arm=a,
                against=b,
                finding=self.findings[f],
                difference=_estimate(r),
                p_value=r.p_value,
                p_corrected=float(p),
                p_permutation=float(checks[a, b][0][f]),
                p_delong=None if np.isnan(checks[a, b][1][f]) else float(checks[a, b][1][f]),
                detectable=_detectable(r, strictest),
                verdict="undecided"
                if self._tells_nothing(a, b, f)
                else verdict(r.value - r.reach(), r.value + r.reach(), float(p)),
            )
            for ((a, b), f), r, p in zip(cells, found, corrected, strict=True)
        )

    def _tells_nothing(self, a: str, b: str, f: int) -> bool:
        """Whether there are too few test patients, or both arms have an AUC of 0 or 1 in every bootstrap sample."""
        ends = {aucs[:, f].mean() for aucs in (self._aucs[a], self._aucs[b])}
        return self.findings[f] in self.few or ends <= {0.0, 1.0}

    def _cross_checks(self, a: str, b: str) -> tuple[np.ndarray, np.ndarray]:
        """P values of the arms' averaged scores, (F,) each: by permutation and by DeLong."""
        first, second = self._scores[a].mean(axis=0), self._scores[b].mean(axis=0)
        first_names = {now: before for before, now in RENAMED_ARMS.items()}  # so that a seed gives the p values it gave
        rng = numpy_stream(self.seed, "exchange", first_names.get(a, a), first_names.get(b, b))
        permuted = permutation_test(first, second, self._labels, self._patients, permutations=PERMUTATIONS, rng=rng)
        return permuted.p_value, delong_test(first, second, self._labels, self._patients).p_value


def share_above_chance(auc: Estimate, reference: Estimate) -> float | None:
    """Share of a reference's AUC above chance that another AUC reaches: (AUC - 0.5) / (reference - 0.5).

    None where the reference's interval includes 0.5: there is nothing to have a share of.
    """
    if reference.low is None or reference.low <= 0.5:
        return None
    return (auc.value - 0.5) / (reference.value - 0.5)


def verdict(low: float, high: float, p_corrected: float) -> Verdict:
    """What the interval and the corrected p value of a difference of AUC support; all sentences follow from it.

    A difference that is certainly smaller than RELEVANT is neither gain nor loss, however small its p value.

    Args:
        low, high: the interval, of 95%.
        p_corrected: two-sided, after Holm.
    """
    if low > -RELEVANT and high < RELEVANT:
        return "no relevant difference"
    if p_corrected < SIGNIFICANCE and low > 0:
        return "better"
    if p_corrected < SIGNIFICANCE and high < 0:
        return "worse"
    return "undecided"


def _detectable(found: Replicated, level: float) -> float:
    """The true difference that is found with a power of POWER at this level of the interval; 1 = none is sure to be."""
    return 1.0 if found.standard_error == 0 else min(1.0, found.detectable(level, POWER))


def _estimate(found: Replicated) -> Estimate:
    return Estimate(value=found.value, low=found.value - found.reach(), high=found.value + found.reach())
