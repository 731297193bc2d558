"""Words follow from intervals and p values; a null effect is never worded as a gain."""

import re
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radcommons.experiments.compare import RELEVANT, SIGNIFICANCE, verdict
from radcommons.experiments.conclusions import enrich_sentence, merge_sentence
from radcommons.records import Comparison

Make = Callable[..., Comparison]
GAIN = re.compile(r"raised|\bgain|helped|better|caused|improve", re.IGNORECASE)
CREDIT = "stayed below it: the synthetic images caused the gain"
CONTROLS = ("fewer real", "oversampled", "reweighted", "augmented")

ends = st.floats(-1, 1).flatmap(lambda low: st.tuples(st.just(low), st.floats(low, 1)))
p_values = st.floats(0, 1)


def claims(sentence: str) -> bool:
    """Whether a sentence words a gain; that another arm did better is no gain of the enriched one."""
    return bool(GAIN.search(sentence))


@given(interval_=ends, p=p_values)
def test_an_interval_that_includes_0_or_a_p_that_is_not_small_is_never_worded_as_a_gain_or_a_loss(
    comparison: Make, interval_: tuple[float, float], p: float
) -> None:
    low, high = interval_
    found = comparison(low, high, p)
    gain = low > 0 and p < SIGNIFICANCE and high >= RELEVANT
    loss = high < 0 and p < SIGNIFICANCE and low <= -RELEVANT
    for sentence in (enrich_sentence(found, [], found), enrich_sentence(found, [found], None), merge_sentence([found])):
        assert claims(sentence) == gain
        assert ("lowered" in sentence) == loss


@given(controls=st.lists(st.tuples(ends, p_values), min_size=4, max_size=4))
def test_a_gain_is_credited_to_the_synthetic_images_only_where_every_control_stays_below(
    comparison: Make, controls: list[tuple[tuple[float, float], float]]
) -> None:
    made = [comparison(*e, p, against=name) for (e, p), name in zip(controls, CONTROLS, strict=True)]
    sentence = enrich_sentence(comparison(0.05, 0.1, 0.001), made, None)
    all_beaten = all(low > 0 and high >= RELEVANT and p < SIGNIFICANCE for (low, high), p in controls)
    assert (CREDIT in sentence) == all_beaten
    for one in made:
        assert (f"'{one.against}'" in sentence) == (one.verdict != "better")


def test_a_gain_that_a_control_reaches_names_the_control(comparison: Make) -> None:
    beaten = [comparison(0.05, 0.1, 0.001, against=name) for name in CONTROLS[:2]]
    equal = [comparison(-0.03, 0.04, 0.8, against="reweighted"), comparison(-0.01, 0.01, 0.9, against="augmented")]
    sentence = enrich_sentence(comparison(0.05, 0.1, 0.001), beaten + equal, None)
    assert sentence == (
        "Replacing films by synthetic images raised the AUC by +0.075 (+0.050 to +0.100). It is not shown that the "
        "synthetic images caused the gain: without any, 'reweighted' and 'augmented' cannot be told apart from it."
    )


def test_a_control_that_beats_the_enriched_arm_is_said_to(comparison: Make) -> None:
    above = comparison(-0.08, -0.03, 0.001, against="oversampled")
    level = comparison(-0.03, 0.04, 0.8, against="fewer real")
    sentence = enrich_sentence(comparison(0.05, 0.1, 0.001), [level, above], None)
    assert sentence.endswith("without any, 'oversampled' did better and 'fewer real' cannot be told apart from it.")
    assert enrich_sentence(comparison(0.05, 0.1, 0.001), [above], None).endswith("'oversampled' did better.")


def test_a_loss_is_said_as_a_loss(comparison: Make) -> None:
    sentence = enrich_sentence(comparison(-0.1, -0.05, 0.001), [], None)
    assert sentence == "Replacing films by synthetic images lowered the AUC by -0.075 (-0.100 to -0.050)."


def test_no_evidence_is_not_evidence_of_nothing_and_says_what_would_have_been_found(comparison: Make) -> None:
    wide = enrich_sentence(comparison(-0.1, 0.1, 0.9), [], None)
    assert wide == (
        "These data do not show that synthetic images help: AUC difference +0.000 (-0.100 to +0.100), corrected p "
        "0.900; a difference of 0.050 would have been found with a power of 80%."
    )
    narrow = enrich_sentence(comparison(-0.01, 0.01, 0.9), [], None)
    assert "changed nothing that matters" in narrow and "do not show" not in narrow
    hopeless = comparison(-0.9, 0.9, 1.0).model_copy(update={"detectable": 1.0})
    assert "no difference was sure to be found" in enrich_sentence(hopeless, [], None)


def test_the_reference_is_reported_beside_it(comparison: Make) -> None:
    reference = comparison(0.02, 0.04, 0.001, arm="all real (reference)")
    assert enrich_sentence(comparison(-0.1, 0.1, 0.9), [], reference).endswith(
        "As many real positives in their place: +0.030 (+0.020 to +0.040)."
    )


def test_where_the_reference_shows_no_difference_either_the_study_is_said_to_be_blind(comparison: Make) -> None:
    blind = "so this study cannot tell what synthetic images do."
    undecided, gain = comparison(-0.05, 0.05, 0.9), comparison(0.05, 0.1, 0.001)
    assert enrich_sentence(undecided, [], comparison(-0.01, 0.05, 0.2, arm="all real (reference)")).endswith(blind)
    assert blind not in enrich_sentence(undecided, [], comparison(0.01, 0.05, 0.3, arm="all real (reference)"))
    assert blind not in enrich_sentence(gain, [], comparison(-0.01, 0.05, 0.2, arm="all real (reference)"))


def test_pre_training_is_worded_by_its_verdicts(comparison: Make) -> None:
    pretrained = [
        comparison(0.05, 0.1, 0.001, arm="pre-trained"),
        comparison(-0.1, 0.1, 0.9, arm="pre-trained", against="enriched"),
    ]
    assert enrich_sentence(comparison(-0.1, 0.1, 0.9), [], None, pretrained).endswith(
        "power of 80%. Pre-training on synthetic images and fine-tuning on films raised the AUC against 'real only', "
        "+0.075 (+0.050 to +0.100); made no difference that these data could show against 'enriched', +0.000 (-0.100 "
        "to +0.100)."
    )


def test_merging_is_worded_finding_by_finding(comparison: Make) -> None:
    def about(finding: str, *numbers: float) -> Comparison:
        return comparison(*numbers, arm="A + B", against="A").model_copy(update={"finding": finding})

    sentence = merge_sentence(
        [about("Edema", 0.05, 0.1, 0.01), about("Nodule", -0.2, 0.1, 0.7), about("Effusion", -0.01, 0.01, 0.9),
         about("Pneumonia", -0.09, -0.05, 0.001), about("Fibrosis", 0.03, 0.05, 0.02)]
    )  # fmt: skip
    assert sentence == (
        "Merging ('A + B' against 'A') raised the AUC for Edema +0.075 (+0.050 to +0.100); Fibrosis +0.040 (+0.030 to "
        "+0.050), lowered the AUC for Pneumonia -0.070 (-0.090 to -0.050), changed nothing that matters for Effusion "
        "+0.000 (-0.010 to +0.010), made no difference that these data could show for Nodule -0.050 (-0.200 to +0.100)."
    )


@pytest.mark.parametrize(
    ("low", "high", "p", "expected"),
    [
        (0.001, 0.03, 0.049, "better"),
        (0.001, 0.03, 0.05, "undecided"),
        (0.0, 0.03, 0.01, "undecided"),
        (-0.03, -0.001, 0.049, "worse"),
        (-0.03, 0.0, 0.01, "undecided"),
        (-0.0199, 0.0199, 0.9, "no relevant difference"),
        (-0.02, 0.0199, 0.9, "undecided"),
        (-0.0199, 0.02, 0.9, "undecided"),
        (0.001, 0.0199, 1e-9, "no relevant difference"),  # certain, and too small to matter
        (-0.0199, -0.001, 1e-9, "no relevant difference"),
        (0.0, 0.0, 1.0, "no relevant difference"),
    ],
)
def test_boundaries_of_the_verdict(low: float, high: float, p: float, expected: str) -> None:
    assert verdict(low, high, p) == expected
