"""Trainings one by one: kept once done, gone on with after a kill, the same however many at a time."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from radcommons.classify import trials
from radcommons.classify.settings import ClassifierSettings
from radcommons.classify.training_data import Examples, of_images
from radcommons.classify.trials import Trial, run_trials, take
from radcommons.errors import TooFewImages
from radcommons.progress import silent

SETTINGS = ClassifierSettings(network="densenet-small", side=32, epochs=2, optimiser="adam", learning_rate=0.001)


def films(count: int, *, seed: int, name: str = "films") -> Examples:
    """Noise; every third film has the finding and a bright square."""
    drawn = np.random.default_rng(seed).integers(0, 128, (count, 32, 32), np.uint8)
    labels = (np.arange(count) % 3 == 0).astype(np.float32)[:, None]
    drawn[::3, 8:20, 8:20] += 100
    return of_images(name, drawn, labels, ["Effusion"], f"{name}/{seed}")


@pytest.fixture
def two() -> list[Trial]:
    shared = films(12, seed=1), films(15, seed=2)
    return [Trial(arm, 0, (films(24, seed=s),), *shared, SETTINGS) for arm, s in (("first arm", 3), ("second", 4))]


def run(asked: list[Trial], folder: Path, workers: int = 1) -> list[trials.TrialResult]:
    return run_trials(asked, folder, workers=workers, track=silent)


def test_scores_come_in_the_order_of_the_trials_one_row_a_test_film(two: list[Trial], tmp_path: Path) -> None:
    both, reversed_ = run(two, tmp_path / "a"), run(two[::-1], tmp_path / "a")
    assert both[0].scores.shape == (15, 1) and 1 <= both[0].epochs <= 2
    np.testing.assert_array_equal(both[0].scores, reversed_[1].scores)
    assert not np.array_equal(both[0].scores, both[1].scores)
    assert not list(tmp_path.rglob("*.pt")) and not list(tmp_path.rglob("run"))


def test_what_is_done_is_not_trained_again_and_what_has_changed_is(
    two: list[Trial], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained = []

    def counted(trial: Trial, place: Path) -> None:
        trained.append(trial.arm)
        train(trial, place)

    train = trials.train_one
    monkeypatch.setattr(trials, "train_one", counted)
    run(two[:1], tmp_path)
    run(two, tmp_path)
    assert trained == ["first arm", "second"]
    longer = replace(two[1], settings=SETTINGS.model_copy(update={"epochs": 1}))
    run([two[0], longer], tmp_path)
    assert trained == ["first arm", "second", "second"]
    (tmp_path / "second" / "0" / "trial.json").write_text("{ half")
    run([two[0], longer], tmp_path)
    assert trained[3:] == ["second"]


@pytest.mark.parametrize("change", ["training", "validation", "test", "seed", "order", "labels"])
def test_a_trial_is_known_by_all_that_its_outcome_depends_on(two: list[Trial], change: str) -> None:
    trial, other = two[0], films(15, seed=9)
    changed = {
        "training": replace(trial, parts=(other,)),
        "validation": replace(trial, validation=other),
        "test": replace(trial, test=other),
        "seed": replace(trial, settings=SETTINGS.model_copy(update={"seed": 1})),
        "order": replace(trial, parts=(trial.parts[0].take(np.arange(24)[::-1]),)),
        "labels": replace(trial, parts=(replace(trial.parts[0], labels=1 - trial.parts[0].labels),)),
    }[change]
    assert changed.digest != trial.digest == replace(trial, repeat=4).digest


@pytest.mark.slow  # two processes import torch and MONAI
def test_two_at_a_time_come_to_the_same_as_one_even_where_torch_has_two_threads(
    two: list[Trial], tmp_path: Path
) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        alone = run(two, tmp_path / "one")
        assert torch.get_num_threads() == 2, "given back"
    finally:
        torch.set_num_threads(before)
    together = run(two, tmp_path / "two", workers=2)
    for a, b in zip(alone, together, strict=True):
        np.testing.assert_array_equal(a.scores, b.scores)


def test_a_training_stopped_midway_is_gone_on_with_and_ends_the_same(
    two: list[Trial], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (whole,) = run(two[:1], tmp_path / "whole")

    def stop(*arguments: object, **options: object) -> None:
        raise KeyboardInterrupt

    validate = trials.Classifier.load
    monkeypatch.setattr(trials.Classifier, "load", stop)  # trained, not yet scored
    with pytest.raises(KeyboardInterrupt):
        run(two[:1], tmp_path / "broken")
    monkeypatch.setattr(trials.Classifier, "load", validate)
    assert (tmp_path / "broken" / "first-arm" / "0" / "run" / "checkpoint.pt").is_file()
    (resumed,) = run(two[:1], tmp_path / "broken")
    np.testing.assert_array_equal(whole.scores, resumed.scores)
    assert not list((tmp_path / "broken").rglob("begun.txt"))


@pytest.fixture
def pretrained(two: list[Trial]) -> Trial:
    return replace(two[0], pretraining=two[1])


def test_a_pre_trained_classifier_begins_with_the_best_one_of_its_pre_training(
    two: list[Trial], pretrained: Trial, tmp_path: Path
) -> None:
    still = replace(pretrained, settings=SETTINGS.model_copy(update={"epochs": 1, "learning_rate": 1e-30}))
    (found,) = run([still], tmp_path / "still")
    (before,) = run(two[1:], tmp_path / "before")
    assert found.epochs == 1 + before.epochs, "validations of both"
    # Batch norms follow the new films, so the scores are near those of before but not the same.
    (fresh,) = run([replace(still, pretraining=None)], tmp_path / "fresh")
    distance = np.abs(found.scores - before.scores).mean()
    assert distance < np.abs(found.scores - fresh.scores).mean() / 2
    assert not list(tmp_path.rglob("*.pt")) and not list(tmp_path.rglob("pre-training"))


def test_a_trial_is_known_by_its_pre_training_and_without_one_as_before(two: list[Trial], pretrained: Trial) -> None:
    other = replace(two[1], settings=SETTINGS.model_copy(update={"epochs": 1}))
    digests = {two[0].digest, pretrained.digest, replace(pretrained, pretraining=other).digest}
    assert len(digests) == 3
    assert [p.source for p in pretrained.all_parts] == ["films", "films"] and two[0].all_parts == two[0].parts


@pytest.mark.parametrize("stopped_in", ["pre-training", "between", "fine-tuning"])
def test_a_training_stopped_in_or_after_its_pre_training_ends_the_same_also_in_a_folder_that_was_moved(
    pretrained: Trial, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stopped_in: str
) -> None:
    (whole,) = run([pretrained], tmp_path / "whole")
    train, stops = trials.train_classifier, {"pre-training": 1, "fine-tuning": 2}
    asked: list[bool] = []

    def stopped(*arguments: Any, **options: Any) -> Any:
        asked.append(True)
        if stopped_in == "between" and len(asked) == 2:
            raise KeyboardInterrupt
        if stops.get(stopped_in) != len(asked):
            return train(*arguments, **options)
        train(*arguments, **options, should_stop=lambda: True)  # a checkpoint after the first step
        raise KeyboardInterrupt

    monkeypatch.setattr(trials, "train_classifier", stopped)
    with pytest.raises(KeyboardInterrupt):
        run([pretrained], tmp_path / "broken")
    monkeypatch.setattr(trials, "train_classifier", train)
    (tmp_path / "broken").rename(tmp_path / "moved")
    (resumed,) = run([pretrained], tmp_path / "moved")
    np.testing.assert_array_equal(whole.scores, resumed.scores)
    assert {p.name for p in (tmp_path / "moved" / "first-arm" / "0").iterdir()} == {"scores.npy", "trial.json"}


def test_a_training_stopped_midway_of_something_else_begins_anew(
    two: list[Trial], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed = replace(two[0], settings=SETTINGS.model_copy(update={"epochs": 1}))
    (whole,) = run([changed], tmp_path / "whole")
    load = trials.Classifier.load
    monkeypatch.setattr(trials.Classifier, "load", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        run(two[:1], tmp_path / "broken")
    monkeypatch.setattr(trials.Classifier, "load", load)
    (anew,) = run([changed], tmp_path / "broken")
    np.testing.assert_array_equal(whole.scores, anew.scores)


def test_an_arm_of_one_class_is_named_before_anything_is_trained(two: list[Trial], tmp_path: Path) -> None:
    negatives = films(9, seed=5).take(np.array([1, 2, 4]))
    with pytest.raises(TooFewImages, match="0 positive and 3 negative images in the training images of arm 'bare'"):
        run([two[0], Trial("bare", 0, (negatives,), two[0].validation, two[0].test, SETTINGS)], tmp_path)
    with pytest.raises(TooFewImages, match="0 positive and 3 negative images in the training images of arm 'second'"):
        run([replace(two[1], pretraining=replace(two[1], parts=(negatives,)))], tmp_path)
    assert not list(tmp_path.iterdir())


def test_too_few_images_name_the_arm_and_how_many_there_are() -> None:
    part = films(9, seed=5, name="store-a (train)")
    with pytest.raises(TooFewImages) as refusal:
        take(part, np.array([0, 3, 6]), arm="oracle", what="training films with the finding", count=1_150)
    assert str(refusal.value) == (
        "arm 'oracle' asks for 1,150 training films with the finding and store-a (train) has 3; lower the numbers"
    )
