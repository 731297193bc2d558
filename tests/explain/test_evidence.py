"""One word per label, whose word it is, and what speaks against it."""

import pytest

from radcommons.explain.evidence import Evidence, counted, evidence
from radcommons.explain.finding_sets import FindingSet
from radcommons.records import AuditReport, Correlation, Estimate, Explanation, Fidelity, MapResult, RegionScore
from radcommons.records.explain import JudgeOnFilms

GOOD, BLIND, NONE = Estimate(value=0.9, low=0.85, high=0.95), Estimate(value=0.47, low=0.36, high=0.58), None
UNSEEN = Estimate(value=0.5, low=0.46, high=0.54)


def correlated(drawn: Estimate | None, on_films: Estimate | None, patients: int = 50) -> Correlation:
    one = ((0.6,),)
    return Correlation.model_construct(
        findings=("Mass",), pearson=one, pearson_low=((0.5,),), pearson_high=((0.7,),),
        own_auc={"Mass": drawn} if drawn else {},
        on_films={"Mass": JudgeOnFilms(auc=on_films, patients=patients)} if on_films else {},
    )  # fmt: skip


def audited(films: Estimate, images: Estimate) -> AuditReport:
    found = Fidelity(finding="Mass", positives=9, patients=50, auc_real=films, auc_synthetic=images)
    return AuditReport.model_construct(fidelity=(found,))


def mapped(auroc: float | None = None, *, collapsed: bool = False) -> MapResult:
    score = auroc and RegionScore.model_construct(auroc=auroc, moves_as_high=0.0, auroc_others=None)
    return MapResult.model_construct(findings=("Mass",), collapsed=collapsed, score=score)


def found(
    correlation: Correlation | None = None, audit: AuditReport | None = None, map_: MapResult | None = None,
    chosen: FindingSet = ("Mass",),
) -> Evidence:  # fmt: skip
    maps = (map_,) if map_ else ()
    return evidence(chosen, Explanation.model_construct(correlation=correlation, maps=maps), audit)


def test_the_classifier_that_correlated_the_labels_is_believed_if_its_own_auc_is_known() -> None:
    seen = found(correlated(GOOD, GOOD))
    assert seen.outcome == "learned" and seen.judge == seen.films_judge == "the classifier of this page"
    assert seen.correlation == Estimate(value=0.6, low=0.5, high=0.7) and seen.on_films == GOOD and not seen.few
    blind = found(correlated(UNSEEN, BLIND))
    assert blind.outcome == "cannot tell" and "so it cannot tell what the generator learned" in blind.reason
    assert found(correlated(GOOD, GOOD, patients=9)).few


@pytest.mark.parametrize("correlation", [None, correlated(GOOD, NONE), correlated(NONE, GOOD)])
def test_without_a_classifier_tested_on_films_nothing_is_claimed(correlation: Correlation | None) -> None:
    nothing = found(correlation)
    assert nothing.outcome == "cannot tell" and nothing.on_films is None and nothing.judge == ""
    assert "no classifier that was tested on films" in nothing.reason


def test_the_audits_word_counts_unless_it_cannot_tell_and_the_classifier_here_can() -> None:
    both = found(correlated(UNSEEN, GOOD), audited(GOOD, GOOD))
    assert (both.outcome, both.judge) == ("learned", "the audit's classifier")
    assert both.films_judge == "the classifier of this page", "beside the correlation stands that classifier's own AUC"
    other = found(correlated(UNSEEN, GOOD), audited(BLIND, GOOD))
    assert (other.outcome, other.judge) == ("not learned", "the classifier of this page")
    alone = found(correlated(GOOD, NONE), audited(GOOD, UNSEEN))
    assert (alone.outcome, alone.films_judge) == ("not learned", "the audit's classifier")
    neither = found(correlated(UNSEEN, BLIND), audited(BLIND, GOOD))
    assert (neither.outcome, neither.judge) == ("cannot tell", "the audit's classifier")


def test_a_label_that_changes_no_image_is_not_learned_whatever_a_classifier_says() -> None:
    still = found(audit=audited(GOOD, GOOD), map_=mapped(collapsed=True))
    assert still.outcome == "not learned" and still.reason == "the label does not change the image" and not still.judge


def test_a_place_that_speaks_against_the_word_is_said() -> None:
    assert found(correlated(UNSEEN, GOOD), map_=mapped(0.9)).reason.endswith("; yet the change sits in its region")
    assert found(correlated(GOOD, GOOD), map_=mapped(0.4)).reason.endswith(
        "; yet the change does not sit in its region"
    )
    for word, score in ((GOOD, 0.9), (UNSEEN, 0.4), (GOOD, None)):
        assert "yet" not in found(correlated(word, GOOD), map_=mapped(score)).reason


def test_several_labels_together_are_not_judged() -> None:
    assert found(correlated(GOOD, GOOD), chosen=("Mass", "Nodule")).outcome == "not judged"


def test_outcomes_are_counted_from_learned_to_unknown() -> None:
    assert counted(["cannot tell", "learned", "not judged", "learned"]) == [("learned", 2), ("cannot tell", 1)]
