"""The screen for wrong labels: folds by patient, planted flips, words that follow from the control."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from radcommons.classify import screen as screening
from radcommons.classify.settings import ClassifierSettings
from radcommons.classify.trials import Trial, TrialResult
from radcommons.data.store import Store
from radcommons.errors import FindingUnknown, PathInUse, SettingRefused, TooFewImages
from radcommons.records import FindingScreen

SETTINGS = ClassifierSettings(network="densenet-small", side=32, epochs=1, findings=("Effusion",))


def of_truth(truth: np.ndarray, *, noise: float) -> Callable[..., list[TrialResult]]:
    """Stands for training: classifiers that score every film by its true label, within `noise`."""

    def run(trials: list[Trial], folder: Path, **_: object) -> list[TrialResult]:
        chance = np.random.default_rng(0)
        return [
            TrialResult(np.clip(0.1 + 0.8 * truth[t.test.rows] + noise * chance.normal(size=(len(t.test), 1)), 0, 1), 1)
            for t in trials
        ]

    return run


@pytest.fixture
def truth(phantom_store: Store) -> np.ndarray:
    return phantom_store.labels()[:, [phantom_store.findings.index("Effusion")]]


def finding(**changes: object) -> FindingScreen:
    values = {
        **{"finding": "Effusion", "present": 50, "absent": 150, "auc": 0.8, "suspects": 7},
        **{"wrong_present": 3.0, "wrong_absent": 4.0, "planted": 10, "found_present": 0.6, "found_absent": 0.4},
        **{"listed_present": 5, "listed_absent": 3, "listed_right": 0.071},
    }
    return FindingScreen.model_validate({**values, **changes})


def test_every_film_is_judged_by_a_classifier_that_saw_no_film_of_its_patient(
    phantom_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, truth: np.ndarray
) -> None:
    seen: list[Trial] = []
    run = of_truth(truth, noise=0.05)
    monkeypatch.setattr(screening, "run_trials", lambda t, folder, **k: seen.extend(t) or run(t, folder))
    screening.screen(phantom_store.path, tmp_path / "out", settings=SETTINGS, folds=3)
    assert len(seen) == 6
    for trial in seen:
        learned = {p for part in (*trial.parts, trial.validation) for p in part.patients}
        assert learned and learned.isdisjoint(trial.test.patients)
    judged = np.concatenate([t.test.rows for t in seen if t.arm == screening.GIVEN])
    assert sorted(judged) == list(range(len(phantom_store.manifest)))


def test_a_classifier_that_knows_the_truth_finds_every_label_turned_over(
    phantom_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, truth: np.ndarray
) -> None:
    monkeypatch.setattr(screening, "run_trials", of_truth(truth, noise=0.02))
    (found,) = screening.screen(phantom_store.path, tmp_path / "out", settings=SETTINGS).findings
    assert found.planted >= 2 and (found.found_present, found.found_absent) == (1.0, 1.0)
    assert found.suspects == 0, "the labels as given are right"
    assert (found.listed_present, found.listed_absent) == (found.planted, found.planted) and found.listed_right == 0


def test_the_list_is_measured_by_its_own_rule(
    phantom_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, truth: np.ndarray
) -> None:
    """The number of false alarms that is allowed moves the ranking's rate, not the list."""
    monkeypatch.setattr(screening, "run_trials", of_truth(truth, noise=0.4))
    (strict,), (lax,) = (
        screening.screen(phantom_store.path, tmp_path / str(r), settings=SETTINGS, false_alarm_rate=r).findings
        for r in (0.01, 0.4)
    )
    assert strict.found_present < lax.found_present  # type: ignore[operator]
    assert 0 < strict.listed_right == lax.listed_right < 0.5
    table = pl.read_csv(tmp_path / "0.01" / screening.TABLE)
    assert len(table) == strict.suspects == lax.suspects


def test_a_screen_does_not_begin_from_a_run_that_knows_the_labels(phantom_store: Store, tmp_path: Path) -> None:
    knowing = SETTINGS.model_copy(update={"initial": "classifiers/own"})
    with pytest.raises(SettingRefused, match="set initial to random or imagenet"):
        screening.screen(phantom_store.path, tmp_path / "out", settings=knowing)
    assert not (tmp_path / "out").exists()


def test_a_classifier_that_knows_nothing_is_not_relied_on(
    phantom_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, truth: np.ndarray
) -> None:
    monkeypatch.setattr(screening, "run_trials", of_truth(np.zeros_like(truth) + 0.5, noise=0.2))
    result = screening.screen(phantom_store.path, tmp_path / "out", settings=SETTINGS, planted_share=0.5)
    assert "than chance may find: do not rely on this list" in result.sentence


def test_wrong_labels_are_listed_by_row_worst_first_and_no_patient_is_named(
    phantom_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, truth: np.ndarray
) -> None:
    wrong = int(np.flatnonzero(truth[:, 0] == 1)[3])
    otherwise = truth.copy()
    otherwise[wrong] = -0.1  # clearer than a film without the finding usually is
    monkeypatch.setattr(screening, "run_trials", of_truth(otherwise, noise=0.02))
    out = tmp_path / "out"
    screening.screen(phantom_store.path, out, settings=SETTINGS)
    table = pl.read_csv(out / screening.TABLE)
    assert table.row(0)[:3] == (wrong, "Effusion", 1) and (out / screening.SHEET).is_file()
    names = set(phantom_store.manifest["patient"]) | set(phantom_store.manifest["image_id"])
    text = (out / screening.TABLE).read_text() + (out / screening.RECORD).read_text()
    assert not any(name in text for name in names)
    json.loads((out / screening.RECORD).read_text(), parse_constant=pytest.fail)  # no NaN


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "such a list holds 5 of 10 wrongly present and 3 of 10 wrongly absent, and 7.1% of the right ones;"),
        ({}, "60% of those wrongly present and 40% of those wrongly absent stand above all but 5% of the right"),
        ({"found_absent": None}, "holds 5 of 10 wrongly present, and 7.1%"),
        ({"found_present": 0.2, "found_absent": 0.1}, "than chance may find: do not rely on this list"),
        ({"planted": 2, "found_present": 0.5, "found_absent": 0}, "than chance may find: do not rely on this list"),
        ({"planted": 100, "found_present": 0.12, "found_absent": 0}, "12% of those wrongly present"),
        ({"planted": 0, "found_present": None, "found_absent": None}, "than chance may find: do not rely on this list"),
    ],
)
def test_the_sentence_follows_from_what_was_planted(changes: dict[str, object], said: str) -> None:
    assert said in screening.sentence([finding(**changes)], 0.05)


def test_real_trainings_end_in_all_files_and_a_second_call_trains_nothing(
    phantom_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    settings = SETTINGS.model_copy(update={"epoch_images": 8})
    first = screening.screen(phantom_store.path, out, settings=settings, folds=2)
    from radcommons.classify import trials

    monkeypatch.setattr(trials, "train_one", lambda *_: pytest.fail("trained again"))
    assert screening.screen(phantom_store.path, out, settings=settings, folds=2) == first


def test_a_screen_of_other_images_or_settings_leaves_the_results_that_are_there(
    phantom_store: Store, clinic: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, truth: np.ndarray
) -> None:
    out = tmp_path / "out"
    monkeypatch.setattr(screening, "run_trials", of_truth(truth, noise=0.05))
    screening.screen(phantom_store.path, out, settings=SETTINGS, folds=3)
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    for source, changes, differs in (
        (clinic, {}, "images = "),
        (phantom_store, {"folds": 4}, "folds = 3, not 4"),
        (phantom_store, {"settings": SETTINGS.model_copy(update={"seed": 5})}, "seed = "),
    ):
        with pytest.raises(PathInUse, match=rf"was begun with {differs}.*; use those, or choose another --out"):
            screening.screen(source.path, out, **{"settings": SETTINGS, "folds": 3, **changes})
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    screening.screen(phantom_store.path, out, settings=SETTINGS, folds=3, false_alarm_rate=0.1)  # the same trainings


def test_what_cannot_be_screened_is_said_in_one_line(phantom_store: Store, tmp_path: Path) -> None:
    with pytest.raises(TooFewImages, match="40 patients are too few for 21 folds; pass fewer --folds"):
        screening.screen(phantom_store.path, tmp_path / "out", settings=SETTINGS, folds=21)
    unknown = SETTINGS.model_copy(update={"findings": ("Efusion",)})
    with pytest.raises(FindingUnknown, match="the nearest is 'Effusion'"):
        screening.screen(phantom_store.path, tmp_path / "out", settings=unknown)
    assert not (tmp_path / "out").exists()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").touch()
    with pytest.raises(PathInUse, match="already holds something else"):
        screening.screen(phantom_store.path, tmp_path / "out", settings=SETTINGS)
