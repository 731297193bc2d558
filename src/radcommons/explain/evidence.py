"""Has a label been learned? What classifiers see, how well they see it on real films, and where the change sits."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from radcommons.explain.finding_sets import FindingSet
from radcommons.explain.statements import in_its_region
from radcommons.metrics.bootstrap import FEW_PATIENTS
from radcommons.metrics.label_fidelity import LabelVerdict, label_verdict
from radcommons.records import AuditReport, Correlation, Estimate, Explanation, Fidelity, RegionScore

Outcome = Literal["learned", "partly learned", "not learned", "cannot tell", "not judged"]
THIS_CLASSIFIER, THAT_OF_THE_AUDIT = "the classifier of this page", "the audit's classifier"
CANNOT_TELL: Literal["cannot tell"] = "cannot tell"


@dataclass(frozen=True)
class Evidence:
    """What is known of one set of labels.

    Attributes:
        outcome: one word, by the rule of `metrics.label_fidelity`; "not judged" of several labels together.
        reason: behind it, in words.
        judge: whose eyes are behind it; empty if nobody's.
        judged: the judge's AUCs on synthetic images and on films; None without a judge.
        correlation: of the label with the classifier's output; None if it is not known, or one of them is constant.
        on_films: the classifier's own AUC on films; None if it is not known.
        films_judge: whose AUC that is: the classifier's of the correlation, or else the audit's.
        few: whether fewer than ten patients are behind `on_films`.
    """

    outcome: Outcome
    reason: str
    judge: str = ""
    judged: Fidelity | None = None
    correlation: Estimate | None = None
    on_films: Estimate | None = None
    films_judge: str = ""
    few: bool = False


def evidence(chosen: FindingSet, explanation: Explanation, audit: AuditReport | None) -> Evidence:
    """What the record and the linked audit say of a set of labels."""
    if len(chosen) > 1:
        return Evidence("not judged", "no classifier judges several labels together")
    (finding,) = chosen
    correlation = explanation.correlation
    audited = next((f for f in audit.fidelity if f.finding == finding), None) if audit is not None else None
    correlated = by_correlation(finding, correlation) if correlation is not None else None
    maps = [one for one in explanation.maps if one.findings == chosen]
    changes_nothing = any(one.collapsed for one in maps)
    verdict, judge, judged = _verdict(audited, correlated, changes_nothing=changes_nothing)
    shown, shown_judge = (correlated, THIS_CLASSIFIER) if correlated else (audited, THAT_OF_THE_AUDIT)
    return Evidence(
        outcome=verdict.outcome,
        reason=verdict.reason + _doubt(verdict.outcome, next((m.score for m in maps if m.score), None)),
        judge=judge,
        judged=judged,
        correlation=own_correlation(finding, correlation) if correlation is not None else None,
        on_films=shown.auc_real if shown is not None else None,
        films_judge=shown_judge if shown else "",
        few=shown is not None and shown.patients is not None and shown.patients < FEW_PATIENTS,
    )


def _doubt(outcome: Outcome, score: RegionScore | None) -> str:
    """What the place of the change says against the word, if its region is known."""
    if score is None:
        return ""
    if outcome == "not learned" and in_its_region(score):
        return "; yet the change sits in its region"
    return "; yet the change does not sit in its region" if outcome == "learned" and score.auroc <= 0.5 else ""


def _verdict(
    audited: Fidelity | None, correlated: Fidelity | None, *, changes_nothing: bool
) -> tuple[LabelVerdict, str, Fidelity | None]:
    """The audit's word, which its page has too, unless it cannot tell and the classifier here can; and the judge."""
    if changes_nothing:
        return LabelVerdict("not learned", "the label does not change the image"), "", None
    judged = [
        (label_verdict(found), judge, found)
        for found, judge in ((audited, THAT_OF_THE_AUDIT), (correlated, THIS_CLASSIFIER))
        if found is not None
    ]
    if not judged:
        return LabelVerdict(CANNOT_TELL, "no classifier that was tested on films has looked at its images"), "", None
    return next((one for one in judged if one[0].outcome != CANNOT_TELL), judged[0])


def by_correlation(finding: str, correlation: Correlation) -> Fidelity | None:
    """The two AUCs of the classifier that correlated the labels; None if one is not known."""
    on_films, drawn = correlation.on_films.get(finding), correlation.own_auc.get(finding)
    if on_films is None or drawn is None:
        return None
    return Fidelity(
        finding=finding, positives=0, patients=on_films.patients, auc_real=on_films.auc, auc_synthetic=drawn
    )


def own_correlation(finding: str, correlation: Correlation) -> Estimate | None:
    """Pearson's correlation of a label with its own output, with its interval; None as in `Correlation.own`."""
    value = correlation.own(finding)
    if value is None:
        return None
    place = correlation.findings.index(finding)
    return Estimate(value=value, low=correlation.pearson_low[place][place], high=correlation.pearson_high[place][place])


def counted(outcomes: Sequence[Outcome]) -> list[tuple[Outcome, int]]:
    """How many labels have each outcome, the best first; those that no label has are left out."""
    order: tuple[Outcome, ...] = ("learned", "partly learned", "not learned", "cannot tell")
    return [(outcome, outcomes.count(outcome)) for outcome in order if outcome in outcomes]
