from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import beta, ttest_1samp
from statsmodels.stats.inter_rater import fleiss_kappa

from radcommons.errors import PathInUse
from radcommons.metrics.comparison import holm
from radcommons.records import GroupResult, StudyResult, StudyTest
from radcommons.study.analysis import analyse, analyse_answers
from radcommons.study.answers import TimedOut, read_answers

Write = Callable[..., Path]
Simulate = Callable[..., list[tuple[object, ...]]]
COIN, EXPERT, ALWAYS_REAL, BIASED, TIRING = (0.5, 0.5, 0), (0.8, 0.8, 0), (0.0, 1.0, 0), (0.3, 0.9, 0), (0.9, 0.9, -0.5)


def analysed(path: Path, *, timed_out: TimedOut = "half", bootstrap_samples: int = 500) -> StudyResult:
    return analyse_answers(
        read_answers(path), answers_sha256="0", timed_out=timed_out, bootstrap_samples=bootstrap_samples, seed=0
    )


def holds(result: GroupResult, accuracy: float) -> bool:
    assert result.accuracy.low is not None and result.accuracy.high is not None
    return result.accuracy.low <= accuracy <= result.accuracy.high


def chance(result: StudyResult, group: str, block: str = "256") -> StudyTest:
    (found,) = [t for t in result.tests if (t.question, t.group, t.block) == ("against chance", group, block)]
    return found


@pytest.fixture
def mixed(simulate: Simulate, write_answers: Write) -> StudyResult:
    groups = {"coins": [COIN] * 4, "experts": [EXPERT] * 4, "biased": [BIASED] * 4}
    return analysed(write_answers(simulate(groups, images=200)))


def test_groups_of_known_readers_are_recovered(mixed: StudyResult) -> None:
    coins, experts, biased, everyone = mixed.results
    assert [r.group for r in mixed.results] == ["coins", "experts", "biased", "all readers"]
    assert holds(coins, 0.5) and holds(experts, 0.8) and holds(biased, 0.6) and holds(everyone, 1.9 / 3)
    assert biased.sensitivity is not None and biased.specificity is not None
    assert biased.sensitivity.value == pytest.approx(0.3, abs=0.06)
    assert biased.specificity.value == pytest.approx(0.9, abs=0.04)
    assert everyone.readers == 12 and everyone.images == 200 and everyone.answers == 2400
    assert experts.auc is not None and coins.auc is not None
    assert experts.auc.value > 0.8 > 0.65 > coins.auc.value > 0.5  # they are more confident when they are right


def test_only_readers_who_can_tell_are_told_apart_from_chance(mixed: StudyResult) -> None:
    p = {group: chance(mixed, group).p_corrected for group in ("coins", "experts", "biased")}
    assert p["experts"] is not None and p["biased"] is not None and p["coins"] is not None
    assert p["experts"] < 0.01 and p["biased"] < 0.05 and p["coins"] > 0.2


def test_groups_are_compared_in_pairs_with_holms_correction(mixed: StudyResult) -> None:
    tests = [t for t in mixed.tests if t.question == "between groups"]
    assert [t.what for t in tests] == [
        "256: coins minus experts",
        "256: coins minus biased",
        "256: experts minus biased",
    ]
    assert tests[0].difference.value == pytest.approx(-0.3, abs=0.07)
    corrected = holm(np.array([t.p_value for t in tests], float))
    assert [t.p_corrected for t in tests] == pytest.approx(corrected)
    assert tests[0].p_corrected is not None and tests[0].p_corrected < 0.01


def test_kappa_is_that_of_statsmodels_over_the_calls(simulate: Simulate, write_answers: Write) -> None:
    lines = simulate({"experts": [EXPERT] * 3})
    (found,) = analysed(write_answers(lines)).results
    calls: dict[object, list[int]] = {}
    for line in lines:
        calls.setdefault(line[4], [0, 0])[int(line[6] == "synthetic")] += 1
    assert found.kappa is not None and found.kappa.low is not None and found.kappa.high is not None
    assert found.kappa.value == pytest.approx(fleiss_kappa(list(calls.values())))
    assert found.kappa.low < 0.36 < found.kappa.high  # of pairs, 0.8^2 + 0.2^2 agree


def test_accuracy_and_its_spread_among_readers_are_the_textbooks(mixed: StudyResult) -> None:
    coins = mixed.results[0]
    readers = [r.accuracy.value for r in mixed.by_reader if r.group == "coins" and r.accuracy]
    assert coins.accuracy.value == pytest.approx(np.mean(readers))
    assert coins.standard_deviation == pytest.approx(np.std(readers, ddof=1))
    assert coins.standard_error == pytest.approx(np.std(readers, ddof=1) / 2)


def test_a_reader_has_exact_intervals(simulate: Simulate, write_answers: Write) -> None:
    lines = simulate({"experts": [EXPERT] * 2})
    first = analysed(write_answers(lines)).by_reader[0]
    right = sum(line[5] == line[6] for line in lines if line[0] == "experts-0")
    assert first.images == 100 and first.accuracy is not None
    expected = (beta.ppf(0.025, right, 101 - right), beta.ppf(0.975, right + 1, 100 - right))
    assert (first.accuracy.low, first.accuracy.high) == pytest.approx(expected)
    assert first.sensitivity is not None and first.specificity is not None
    assert (first.sensitivity.value + first.specificity.value) / 2 == pytest.approx(first.accuracy.value)


def test_readers_who_always_say_real_are_right_in_half_and_agree_on_nothing_that_can_be_measured(
    simulate: Simulate, write_answers: Write
) -> None:
    result = analysed(write_answers(simulate({"sceptics": [ALWAYS_REAL] * 3})))
    (found,) = result.results
    assert found.accuracy.value == 0.5 and found.kappa is None
    assert found.sensitivity is not None and found.specificity is not None
    assert found.sensitivity.value == 0 and found.specificity.value == 1
    assert found.exact and found.accuracy.low is not None and found.accuracy.low < 0.45
    assert chance(result, "sceptics").p_value == 1
    assert any("kappa is not defined" in note for note in result.notes)


def test_always_real_is_no_better_than_chance_where_most_images_are_real(
    simulate: Simulate, write_answers: Write
) -> None:
    lines = [line for line in simulate({"sceptics": [ALWAYS_REAL] * 3}) if line[5] == "real" or line[3] < 20]  # type: ignore[operator]
    result = analysed(write_answers(lines))
    assert result.results[0].accuracy.value == 0.5 and chance(result, "sceptics").p_value == 1


def test_readers_who_are_always_right_have_an_interval_and_are_better_than_chance(
    simulate: Simulate, write_answers: Write
) -> None:
    result = analysed(write_answers(simulate({"perfect": [(1, 1, 0)] * 3})))
    (found,) = result.results
    assert found.accuracy.high == 1 and found.accuracy.low is not None and 0.97 < found.accuracy.low < 1
    assert result.sentence == (
        "In block 256 the 3 readers were right in 100% (95% interval 99% to 100%): more often than chance."
    )


def test_tiring_readers_get_worse_over_the_order_and_others_do_not(simulate: Simulate, write_answers: Write) -> None:
    result = analysed(write_answers(simulate({"tiring": [TIRING] * 5}, blocks=("a", "b"))))
    (order,) = [t for t in result.tests if t.question == "order"]
    assert order.difference.value == pytest.approx(-0.25, abs=0.07) and order.p_value is not None
    assert order.p_value < 0.01
    quarters = np.array(result.results[0].quarters, float)
    assert (np.diff(quarters) < 0).all() and quarters.mean() == pytest.approx(result.results[0].accuracy.value)
    steady = analysed(write_answers(simulate({"experts": [EXPERT] * 5}, blocks=("a", "b"))))
    (order,) = [t for t in steady.tests if t.question == "order"]
    assert order.p_value is not None and order.p_value > 0.05


def test_blocks_with_other_images_are_compared_by_the_readers_differences(
    simulate: Simulate, write_answers: Write
) -> None:
    lines = [
        *simulate({"readers": [(0.55, 0.55, 0)] * 5}, blocks=("256",)),
        *simulate({"readers": [EXPERT] * 5}, blocks=("1024",)),
    ]
    result = analysed(write_answers(lines))
    (test,) = [t for t in result.tests if t.question == "between blocks"]
    assert test.what == "1024 minus 256"
    accuracies = {(r.reader, r.block): r.accuracy.value for r in result.by_reader if r.accuracy}
    differences = [accuracies[f"readers-{n}", "1024"] - accuracies[f"readers-{n}", "256"] for n in range(5)]
    assert test.difference.value == pytest.approx(np.mean(differences))
    # Independent answers share nothing over images, so the test is about that of the readers' differences.
    assert test.p_value is not None
    assert np.log10(test.p_value) == pytest.approx(np.log10(ttest_1samp(differences, 0).pvalue), abs=1.5)


def test_the_same_images_in_two_blocks_are_left_out_together(simulate: Simulate, write_answers: Write) -> None:
    def p_value(copies_of_images: bool) -> float:
        lines = simulate({"readers": [EXPERT] * 4}, blocks=("a", "b"))
        if copies_of_images:  # block b repeats block a exactly
            lines = [line for line in lines if line[2] == "a"]
            lines += [(*line[:2], "b", *line[3:]) for line in lines]
        (test,) = [t for t in analysed(write_answers(lines)).tests if t.question == "between blocks"]
        assert test.p_value is not None
        return test.p_value

    assert p_value(True) == 1 > p_value(False)


@pytest.mark.parametrize(("way", "accuracy"), [("half", 0.5), ("wrong", 0.4), ("excluded", 0.5)])
def test_timed_out_answers_of_guessing_readers_bias_nothing_unless_they_count_as_wrong(
    simulate: Simulate, write_answers: Write, way: TimedOut, accuracy: float
) -> None:
    path = write_answers(simulate({"coins": [COIN] * 6}, images=200, late=0.2))
    result = analysed(path, timed_out=way)
    (found,) = result.results
    assert found.accuracy.value == pytest.approx(accuracy, abs=0.04)
    assert found.accuracy == found.accuracy_if[way] and set(found.accuracy_if) == {"half", "wrong", "excluded"}
    assert found.timed_out == pytest.approx(240, abs=40)
    assert result.notes[0].startswith(f"{found.timed_out} of 1,200 answers timed out; they count")
    below = chance(result, "coins").p_corrected
    assert below is not None and (below < 0.01) == (way == "wrong")


def test_a_reader_without_any_answer_in_time_is_left_out_only_where_such_answers_do_not_count(
    simulate: Simulate, write_answers: Write
) -> None:
    lines = simulate({"experts": [EXPERT] * 3})
    lines = [(*line[:6], "timed out", "", 30) if line[0] == "experts-2" else line for line in lines]
    path = write_answers(lines)
    assert analysed(path).results[0].readers == 3
    excluded = analysed(path, timed_out="excluded")
    assert excluded.results[0].readers == 2
    assert excluded.by_reader[2].accuracy is None and excluded.by_reader[2].timed_out == 100


def test_one_reader_has_a_result_that_holds_for_that_reader_only(simulate: Simulate, write_answers: Write) -> None:
    result = analysed(write_answers(simulate({"one": [EXPERT]}, blocks=("a", "b"))))
    first = result.results[0]
    assert first.exact and first.standard_error is None and first.kappa is None and first.auc is not None
    assert {t.question for t in result.tests} == {"against chance"}
    assert "one (1)" in result.notes[0] and "the reader was right" in result.sentence


def test_without_confidence_there_is_no_auc_and_a_note_says_so(simulate: Simulate, write_answers: Write) -> None:
    result = analysed(write_answers(simulate({"experts": [EXPERT] * 2}, confident=False)))
    assert result.results[0].auc is None and result.results[0].roc == ()
    assert "there is no ROC curve, because not every answer has a confidence" in result.notes


def test_times_are_medians_of_readers_and_their_mean(simulate: Simulate, write_answers: Write) -> None:
    result = analysed(write_answers(simulate({"experts": [EXPERT] * 3})))
    assert [r.seconds for r in result.by_reader] == [10, 11, 12] and result.results[0].seconds == 11


def test_the_sentence_says_what_would_have_been_detected_where_nothing_was(
    simulate: Simulate, write_answers: Write
) -> None:
    result = analysed(write_answers(simulate({"coins": [COIN] * 8}, images=200)))
    found = result.results[0]
    assert found.detectable is not None and 0.52 < found.detectable < 0.6
    assert f"could not be told apart from chance; this study would have detected {found.detectable:.0%} or more" in (
        result.sentence
    )
    assert "guess" not in result.sentence
    few = analysed(write_answers(simulate({"coins": [COIN] * 2}, blocks=("a", "b", "c", "d"), images=10)))
    assert "no accuracy was sure to be found by this study" in few.sentence


def test_more_tests_need_a_larger_accuracy_to_be_detected(simulate: Simulate, write_answers: Write) -> None:
    lines = simulate({"coins": [COIN] * 8}, blocks=("a", "b"))
    both = analysed(write_answers(lines)).results[0]
    alone = analysed(write_answers([line for line in lines if line[2] == "a"])).results[0]
    assert both.accuracy == alone.accuracy and both.detectable is not None and alone.detectable is not None
    assert both.detectable > alone.detectable


def test_an_analysis_is_written_once_per_folder_and_the_same_again(
    simulate: Simulate, write_answers: Write, tmp_path: Path
) -> None:
    path = write_answers(simulate({"experts": [EXPERT] * 2, "coins": [COIN] * 2}, images=20))
    out = tmp_path / "study"
    analyse(path, out, bootstrap_samples=100)
    names = {"study.json", "study.html", "table.md", "table.csv", "figure.svg", "imrmc.csv", "request.json"}
    assert {p.name for p in out.iterdir()} == names
    before = {p.name: p.read_bytes() for p in out.iterdir()}
    analyse(path, out, bootstrap_samples=100)
    assert before == {p.name: p.read_bytes() for p in out.iterdir()}
    assert all(p.stat().st_mode & 0o077 == 0 for p in out.iterdir())
    record = StudyResult.model_validate_json((out / "study.json").read_bytes())
    assert record.format_version == 1 and record.readers == 4
    with pytest.raises(PathInUse, match=r"timed_out = half, not wrong"):
        analyse(path, out, bootstrap_samples=100, timed_out="wrong")
