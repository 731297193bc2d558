"""Fig. 3 on phantoms: arms of equal and of double size, findings in common, and a result for several findings."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from radcommons.classify.trials import Trial, TrialResult
from radcommons.errors import FindingUnknown, TooFewImages
from radcommons.experiments import results
from radcommons.experiments.merge import merge
from radcommons.experiments.settings import MergeSettings
from radcommons.models.generator import Generator
from radcommons.records import ExperimentResult

Make = Callable[..., MergeSettings]


@pytest.fixture(scope="module")
def finished(merge_settings: Make, tmp_path_factory: pytest.TempPathFactory) -> tuple[ExperimentResult, Path]:
    out = tmp_path_factory.mktemp("merge") / "out"
    return merge(merge_settings(findings=["Nodule", "Cardiomegaly"], images=100), out), out


@pytest.fixture
def composed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[MergeSettings], list[Trial]]:
    def made(settings: MergeSettings) -> list[Trial]:
        found: list[Trial] = []

        def instead(asked: list[Trial], *arguments: object, **options: object) -> list[TrialResult]:
            found.extend(asked)
            raise InterruptedError

        monkeypatch.setattr(results, "run_trials", instead)
        with pytest.raises(InterruptedError):
            merge(settings, tmp_path / "composed")
        return found

    return made


def test_the_merged_arm_is_as_large_as_one_site_and_the_full_one_twice_that(
    composed: Callable[..., list[Trial]], merge_settings: Make
) -> None:
    made = composed(merge_settings(repeats=2))
    assert [t.repeat for t in made] == [0] * 5 + [1] * 5
    sizes = {t.arm: [(p.source, len(p)) for p in t.parts] for t in made[:5]}
    a, b, films = "synthetic own-run", "synthetic other-run", "hospital (train)"
    assert sizes == {
        "A": [(a, 41)],
        "A + B": [(a, 20), (b, 21)],
        "A + B full": [(a, 41), (b, 41)],
        "real A": [(films, 41)],
        "real A + B": [(films, 41), (b, 41)],
    }
    arms = {t.arm: t for t in made[:5]}
    assert set(arms["A + B"].parts[0].rows) < set(arms["A"].parts[0].rows)
    assert arms["real A"].parts[0].rows.tolist() == arms["real A + B"].parts[0].rows.tolist()
    assert arms["real A"].parts[0].rows.tolist() != made[8].parts[0].rows.tolist(), "other films in another repeat"


def test_findings_are_by_default_those_in_common_that_every_part_has_and_has_not(
    composed: Callable[..., list[Trial]], merge_settings: Make
) -> None:
    settings = merge_settings()
    findings = composed(settings)[0].parts[0].findings
    known = [Generator.load(path).findings for path in (settings.generator_a, settings.generator_b)]
    assert set(findings) == set(known[0]) & set(known[1]) - {"Pneumothorax"}, "no validation film has that"
    assert "Edema" in findings


def test_no_finding_in_common_is_one_line_with_all_three_lists(
    merge_settings: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = merge_settings()
    theirs = property(lambda self: ("Fibrosis",) if self.folder == settings.generator_b else ("Edema",))
    monkeypatch.setattr(Generator, "findings", theirs)
    with pytest.raises(FindingUnknown, match=r"have no finding in common \(Cardiomegaly, .*; Edema; Fibrosis\)$"):
        merge(settings, tmp_path / "out")


def test_a_finding_that_one_generator_lacks_is_told_the_common_ones(merge_settings: Make, tmp_path: Path) -> None:
    with pytest.raises(FindingUnknown, match="finding 'Fibrosis' is not labelled"):
        merge(merge_settings(findings=["Fibrosis"]), tmp_path / "out")


def test_more_images_than_the_site_has_films_names_the_arm(merge_settings: Make, tmp_path: Path) -> None:
    with pytest.raises(TooFewImages, match=r"arm 'real A' asks for 900 training films and hospital \(train\) has 142"):
        merge(merge_settings(images=900), tmp_path / "out")
    assert not (tmp_path / "out" / "synthetic").exists()


def test_several_findings_are_compared_each_and_corrected_together(finished: tuple[ExperimentResult, Path]) -> None:
    result, out = finished
    pairs = {("A + B", "A"), ("A + B full", "A"), ("real A + B", "real A"), ("real A", "A")}
    assert {(c.arm, c.against) for c in result.comparisons} == pairs
    assert len(result.comparisons) == 8 and {c.finding for c in result.comparisons} == {"Nodule", "Cardiomegaly"}
    assert all(c.p_corrected >= c.p_value for c in result.comparisons)
    assert all(set(a.auc) == {"Nodule", "Cardiomegaly"} for a in result.arms)
    assert [a.images for a in result.arms][2:4] == [{"synthetic all": 200}, {"real all": 100}]
    assert result.sentence.startswith("Merging ('A + B' against 'A')")
    assert "Nodule" in result.sentence and "Cardiomegaly" in result.sentence
    assert any("their pseudonyms were made with another key" in note for note in result.notes)
    assert ExperimentResult.model_validate(json.loads((out / "result.json").read_text())) == result
    assert (out / "figure.svg").is_file()
