"""Fig. 2 on phantoms: what every arm is made of, the same films over arms, and a result that survives a stop."""

import json
import shutil
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from radcommons.classify import trials
from radcommons.classify.training_data import Examples
from radcommons.classify.trials import Trial, TrialResult
from radcommons.data.store import Store
from radcommons.errors import PathInUse, TooFewImages
from radcommons.experiments import enrich as module
from radcommons.experiments import results
from radcommons.experiments.enrich import CONTROLS, ENRICHED, REAL_ONLY, descriptions, enrich
from radcommons.experiments.settings import EnrichSettings
from radcommons.gan import training
from radcommons.gan.settings import TrainSettings
from radcommons.records import ExperimentResult

Make = Callable[..., EnrichSettings]
Arms = dict[str, tuple[Examples, ...]]


@pytest.fixture(scope="module")
def finished(enrich_settings: Make, tmp_path_factory: pytest.TempPathFactory) -> tuple[ExperimentResult, Path]:
    out = tmp_path_factory.mktemp("enrich") / "out"
    return enrich(enrich_settings(), out), out


@pytest.fixture
def composed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[EnrichSettings], list[Trial]]:
    """The trials that an experiment would train."""

    def made(settings: EnrichSettings) -> list[Trial]:
        found: list[Trial] = []

        def instead(asked: list[Trial], *arguments: object, **options: object) -> list[TrialResult]:
            found.extend(asked)
            raise InterruptedError

        monkeypatch.setattr(results, "run_trials", instead)
        with pytest.raises(InterruptedError):
            enrich(settings, tmp_path / "composed")
        return found

    return made


def of_repeat(made: list[Trial], repeat: int) -> dict[str, Trial]:
    return {t.arm: t for t in made if t.repeat == repeat}


def films(trial: Trial, *, present: bool) -> list[int]:
    """Rows of the store that an arm learns from, with the finding or without."""
    real = [p for p in trial.all_parts if not p.source.startswith("synthetic")]
    return [row for p in real for row, label in zip(p.rows, p.labels[:, 0], strict=True) if (label >= 0.5) == present]


def synthetic(trial: Trial) -> tuple[int, int]:
    """Synthetic images without the finding, and with it."""
    labels = [p.labels for p in trial.all_parts if p.source.startswith("synthetic")]
    joined = np.concatenate(labels) if labels else np.empty((0, 1))
    return int((joined < 0.5).sum()), int((joined >= 0.5).sum())


# --- what the arms are made of ---------------------------------------------------------------------------------------


def test_every_arm_has_the_numbers_that_the_settings_ask_for(
    composed: Callable[..., list[Trial]], enrich_settings: Make
) -> None:
    arms = of_repeat(composed(enrich_settings()), 0)
    counted = {
        name: (len(films(t, present=False)), len(films(t, present=True)), *synthetic(t)) for name, t in arms.items()
    }
    assert counted == {
        "real only": (28, 4, 0, 0),
        "fewer real": (13, 3, 0, 0),
        "oversampled": (24, 8, 0, 0),
        "reweighted": (28, 4, 0, 0),
        "augmented": (28, 4, 0, 0),
        "enriched": (13, 3, 11, 5),
        "added": (28, 4, 11, 5),
        "pre-trained": (28, 4, 11, 5),
        "synthetic only": (0, 0, 24, 8),
        "all real (reference)": (24, 8, 0, 0),
    }
    assert set(descriptions(enrich_settings())) == set(counted)


def test_the_arms_films_are_nested_so_that_they_differ_by_what_their_names_say(
    composed: Callable[..., list[Trial]], enrich_settings: Make
) -> None:
    arms = of_repeat(composed(enrich_settings()), 0)
    for present in (True, False):
        local = films(arms["real only"], present=present)
        assert len(set(local)) == len(local)
        for same in ("reweighted", "augmented", "added"):
            assert films(arms[same], present=present) == local
        fewer = films(arms["fewer real"], present=present)
        assert set(fewer) < set(local) and films(arms["enriched"], present=present) == fewer
    reference, local = (films(arms[name], present=True) for name in ("all real (reference)", "real only"))
    assert set(local) < set(reference) and len(set(reference)) == 8, "real positives that the local site does not have"
    enriched, added = ([p for p in arms[n].parts if p.source.startswith("synthetic")] for n in ("enriched", "added"))
    assert [p.rows.tolist() for p in enriched] == [p.rows.tolist() for p in added]


def test_oversampling_repeats_local_films_to_the_size_and_prevalence_of_the_enriched_set(
    composed: Callable[..., list[Trial]], enrich_settings: Make
) -> None:
    arms = of_repeat(composed(enrich_settings(synthetic_images=60, synthetic_positives=7)), 0)
    for present, count in ((True, 10), (False, 66)):
        repeated, local = films(arms["oversampled"], present=present), films(arms["real only"], present=present)
        assert repeated == [local[i % len(local)] for i in range(count)], (
            "also where the local site has too few without"
        )


def test_reweighting_and_augmentation_are_the_only_settings_that_differ_between_arms(
    composed: Callable[..., list[Trial]], enrich_settings: Make
) -> None:
    settings = enrich_settings()
    arms = of_repeat(composed(settings), 0)
    plain = arms["real only"].settings
    assert arms["augmented"].settings == plain.model_copy(update={"augment": settings.augment})
    weight = arms["reweighted"].settings.positive_weight
    assert arms["reweighted"].settings == plain.model_copy(update={"positive_weight": weight})
    assert isinstance(weight, float)
    assert 4 * weight / (4 * weight + 28) == pytest.approx(8 / 32), (
        "the weighted share is the enriched set's prevalence"
    )
    others = arms.keys() - {"augmented", "reweighted", "pre-trained"}
    assert len(others) == 7 and all(arms[name].settings == plain for name in others)


def test_pre_training_has_the_synthetic_images_of_added_and_fine_tuning_its_films(
    composed: Callable[..., list[Trial]], enrich_settings: Make
) -> None:
    arms = of_repeat(composed(enrich_settings(fine_tuning_rate=0.25)), 0)
    then, added = arms["pre-trained"], arms["added"]
    first = then.pretraining
    assert first is not None and all(t.pretraining is None for name, t in arms.items() if name != "pre-trained")
    parts = (*then.parts, *first.parts)
    assert [(p.source, p.rows.tolist()) for p in parts] == [(p.source, p.rows.tolist()) for p in added.parts]
    assert all(p.source.startswith("synthetic") for p in first.parts) and then.parts == arms["real only"].parts
    assert first.validation is then.validation is added.validation


@pytest.mark.parametrize("epochs", [2, 7])
def test_pre_training_and_fine_tuning_together_are_shown_as_many_images_as_another_arm(
    composed: Callable[..., list[Trial]], enrich_settings: Make, epochs: int
) -> None:
    classifier = enrich_settings().classifier.model_dump() | {"epochs": epochs}
    arms = of_repeat(composed(enrich_settings(classifier=classifier, fine_tuning_rate=0.25)), 0)
    plain, then, first = arms["added"].settings, arms["pre-trained"].settings, arms["pre-trained"].pretraining
    assert first is not None
    assert first.settings == plain.model_copy(update={"epochs": epochs // 2})
    assert then == plain.model_copy(update={"epochs": epochs - epochs // 2, "learning_rate": 0.00025})


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"synthetic_positives": 0, "kept_positives": 4}, "the synthetic images that are added are all of one class"),
        ({"synthetic_positives": 16, "kept_positives": 2}, "the synthetic images that are added are all of one class"),
        ({"epochs": 1}, "one epoch cannot be divided between pre-training and fine-tuning"),
        ({"pretrained": False}, None),
    ],
)
def test_without_pre_training_there_are_the_other_arms_and_a_note_says_why(
    enrich_settings: Make, tmp_path: Path, changes: dict[str, object], reason: str | None
) -> None:
    classifier = enrich_settings().classifier.model_dump() | {"epochs": changes.pop("epochs", 2)}
    result = enrich(enrich_settings(**changes, classifier=classifier), tmp_path / "out")
    assert len(result.arms) == 9 and len(result.comparisons) == 8
    notes = [note for note in result.notes if "pre-trained" in note]
    assert notes == ([] if reason is None else [f"there is no arm 'pre-trained': {reason}"])


def test_arms_of_a_repeat_share_films_and_seed_and_another_repeat_has_others(
    composed: Callable[..., list[Trial]], enrich_settings: Make
) -> None:
    made = composed(enrich_settings(repeats=3))
    assert len(made) == 30
    assert all(t.test is made[0].test and t.validation is made[0].validation for t in made)
    for first, second in pairwise(of_repeat(made, r) for r in range(3)):
        assert len({t.settings.seed for t in first.values()}) == 1
        assert first["real only"].settings.seed != second["real only"].settings.seed
        assert set(films(first["real only"], present=False)) != set(films(second["real only"], present=False))
        ours, theirs = (t["synthetic only"].parts[0] for t in (first, second))
        assert not np.array_equal(ours.images, theirs.images)


def test_no_arm_learns_from_a_validation_or_test_patient(
    composed: Callable[..., list[Trial]], enrich_settings: Make, hospital: Store
) -> None:
    for trial in composed(enrich_settings()):
        held_out = set(trial.test.patients) | set(trial.validation.patients)
        assert not held_out & {p for part in trial.parts for p in part.patients}


def test_several_generators_give_equal_shares(
    composed: Callable[..., list[Trial]],
    enrich_settings: Make,
    generator: Path,
    hospital: Store,
    tiny: Callable[..., TrainSettings],
    tmp_path: Path,
) -> None:
    training.train(hospital, tiny(seed=1), tmp_path / "other-run")
    arms = of_repeat(composed(enrich_settings(generators=[generator, tmp_path / "other-run"])), 0)
    shares = {(p.source, len(p)) for p in arms["enriched"].parts if p.source.startswith("synthetic")}
    assert shares == {
        ("synthetic own-run", 3), ("synthetic other-run", 2), ("synthetic own-run", 6), ("synthetic other-run", 5)
    }  # fmt: skip
    assert synthetic(arms["enriched"]) == (11, 5)


# --- refusals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"real_positives": 30, "synthetic_positives": 30, "real_images": 60, "synthetic_images": 40},
         r"arm 'real only' asks for 30 training films with the finding and hospital \(train\) has 18"),
        ({"synthetic_positives": 16},
         r"arm 'all real \(reference\)' asks for 19 training films with the finding and .* has 18"),
        ({"real_images": 4_000}, r"arm 'real only' asks for 3,996 training films without the finding and .* has 124"),
    ],
)  # fmt: skip
def test_too_few_films_name_the_arm_and_how_many_before_anything_is_drawn(
    enrich_settings: Make, tmp_path: Path, changes: dict[str, int], message: str
) -> None:
    with pytest.raises(TooFewImages, match=message):
        enrich(enrich_settings(**changes), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_other_settings_in_the_same_folder_are_refused(
    finished: tuple[ExperimentResult, Path], enrich_settings: Make
) -> None:
    with pytest.raises(PathInUse, match=r"was begun with real_images = 32, not 33; use those, or choose another --out"):
        enrich(enrich_settings(real_images=33), finished[1])


def test_more_repeats_are_added_to_those_that_are_there(
    finished: tuple[ExperimentResult, Path], enrich_settings: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result, out = finished
    shutil.copytree(out, tmp_path / "out")
    trained: list[int] = []
    train = trials.train_one
    monkeypatch.setattr(trials, "train_one", lambda trial, place: trained.append(trial.repeat) or train(trial, place))
    repeats = result.settings["repeats"]
    more = enrich(enrich_settings(repeats=repeats + 1), tmp_path / "out")
    assert trained == [repeats] * len(result.arms)
    for before, after in zip(result.arms, more.arms, strict=True):
        assert after.aucs["Effusion"][:repeats] == before.aucs["Effusion"]


def test_trainings_that_an_older_version_finished_under_other_names_are_not_repeated(
    finished: tuple[ExperimentResult, Path], enrich_settings: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(finished[1], tmp_path / "out")
    done = tmp_path / "out" / "trials"
    for before, now in {"local": "real-only", "kept": "fewer-real", "oracle": "all-real-reference"}.items():
        (done / now).rename(done / before)
    monkeypatch.setattr(trials, "train_one", None)
    assert enrich(enrich_settings(), tmp_path / "out") == finished[0]


def test_the_arm_that_is_pre_trained_is_added_to_an_experiment_that_an_older_version_finished(
    finished: tuple[ExperimentResult, Path], enrich_settings: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(finished[1], tmp_path / "out")
    shutil.rmtree(tmp_path / "out" / "trials" / "pre-trained")
    config = tmp_path / "out" / "config.toml"
    known = [line for line in config.read_text().splitlines() if not line.startswith(("pretrained", "fine_tuning"))]
    config.write_text("\n".join(known))
    trained: list[str] = []
    train = trials.train_one
    monkeypatch.setattr(trials, "train_one", lambda trial, place: (trained.append(trial.arm), train(trial, place)))
    without = enrich(enrich_settings(pretrained=False), tmp_path / "out")
    assert trained == [] and [a for a in finished[0].arms if a.name != "pre-trained"] == list(without.arms)
    assert enrich(enrich_settings(), tmp_path / "out") == finished[0]
    assert trained == ["pre-trained"]


def test_a_result_with_the_older_names_of_its_arms_is_read(finished: tuple[ExperimentResult, Path]) -> None:
    text = finished[0].to_json()
    for before, now in {"local": "real only", "kept": "fewer real", "oracle": "all real (reference)"}.items():
        text = text.replace(f'"{now}"', f'"{before}"')
    assert ExperimentResult.model_validate_json(text) == finished[0]


# --- the result ------------------------------------------------------------------------------------------------------


def test_the_result_holds_every_arm_and_the_comparisons_that_separate_the_causes(
    finished: tuple[ExperimentResult, Path], hospital: Store
) -> None:
    result, out = finished
    assert ExperimentResult.model_validate_json((out / "result.json").read_text()) == result
    assert [a.name for a in result.arms] == list(descriptions(EnrichSettings.model_validate(result.settings)))
    pairs = [(c.arm, c.against) for c in result.comparisons]
    assert pairs[: 1 + len(CONTROLS)] == [(ENRICHED, REAL_ONLY), *((ENRICHED, control) for control in CONTROLS)]
    assert pairs[5:] == [
        ("added", "real only"), ("synthetic only", "real only"), ("all real (reference)", "real only"),
        ("pre-trained", "real only"), ("pre-trained", "enriched"), ("pre-trained", "added"),
    ]  # fmt: skip
    assert result.sentence.count("Pre-training on synthetic images and fine-tuning on films") == 1
    test = hospital.rows("test")
    assert result.test_images == len(test) and result.test_positives == {"Effusion": 4}
    assert result.test_patients == hospital.manifest["patient"][test].n_unique()
    assert all(a.diversity is not None and 0 <= a.diversity < 1 for a in result.arms)


def test_the_files_are_strict_json_a_table_and_a_picture(finished: tuple[ExperimentResult, Path]) -> None:
    result, out = finished

    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is not JSON")

    json.loads((out / "result.json").read_text(), parse_constant=refuse)
    assert (out / "table.md").read_text().startswith(result.sentence)
    assert "<svg" in (out / "figure.svg").read_text()


def test_notes_say_what_the_intervals_leave_out(finished: tuple[ExperimentResult, Path]) -> None:
    notes = finished[0].notes
    assert any("local training patients were in this generator's training" in n for n in notes)
    assert "the generators are the same in every repeat: the intervals do not include luck in training them" in notes
    assert "one repeat: the intervals do not include luck in training the classifiers" in notes


@pytest.mark.slow
def test_stopped_after_some_trainings_and_called_again_it_ends_in_the_same_bytes(
    finished: tuple[ExperimentResult, Path], enrich_settings: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained: list[str] = []
    train = trials.train_one

    def counted(trial: Trial, place: Path) -> None:
        if len(trained) == 4:
            raise KeyboardInterrupt
        trained.append(trial.arm)
        train(trial, place)

    monkeypatch.setattr(trials, "train_one", counted)
    with pytest.raises(KeyboardInterrupt):
        enrich(enrich_settings(), tmp_path / "out")
    assert not (tmp_path / "out" / "result.json").exists()
    monkeypatch.setattr(trials, "train_one", lambda trial, place: (trained.append(trial.arm), train(trial, place)))
    enrich(enrich_settings(), tmp_path / "out")
    assert len(trained) == len(set(trained)) == 10, "none is trained twice"
    for name in ("result.json", "table.md"):
        assert (tmp_path / "out" / name).read_bytes() == (finished[1] / name).read_bytes()


def test_called_again_when_done_it_trains_and_draws_nothing(
    finished: tuple[ExperimentResult, Path], enrich_settings: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*arguments: object, **options: object) -> None:
        raise AssertionError("already there")

    monkeypatch.setattr(trials, "train_one", never)
    monkeypatch.setattr(module, "generate_with_and_without", never)
    assert enrich(enrich_settings(), finished[1]) == finished[0]
