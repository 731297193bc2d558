"""Settings of the experiments: presets, nearest keys, and sizes that do not fit."""

import re
from pathlib import Path
from typing import Any

import pytest

from radcommons.errors import PathMissing, SettingRefused
from radcommons.experiments.settings import EnrichSettings, MergeSettings
from radcommons.settings import read_settings

ENRICH = {"store": "site", "generators": ["a-run"]}
MERGE = {"store": "site", "generator_a": "a-run", "generator_b": "b-run"}


def write(folder: Path, text: str) -> Path:
    path = folder / "experiment.toml"
    path.write_text(text, encoding="utf-8")
    return path


def enrich(**changes: Any) -> EnrichSettings:
    return EnrichSettings.parse({**ENRICH, **changes}, source="enrich.toml")


@pytest.mark.parametrize("preset", ["paper", "small"])
def test_the_shipped_sizes_parse_and_give_every_arm_as_many_images_an_epoch(tmp_path: Path, preset: str) -> None:
    file = write(tmp_path, f'preset = "{preset}"\nstore = "site"\ngenerators = ["a-run"]')
    enriching: EnrichSettings = read_settings(EnrichSettings, "enrich", file, [])
    assert enriching.total == enriching.real_images, "films at the same total are the arm 'real only'"
    assert enriching.positives / enriching.total == pytest.approx(0.15)
    assert enriching.real_positives / enriching.real_images == pytest.approx(0.05)
    assert enriching.training(0).epoch_images == enriching.total
    file = write(tmp_path, f'preset = "{preset}"\nstore = "site"\ngenerator_a = "a-run"\ngenerator_b = "b-run"')
    merging: MergeSettings = read_settings(MergeSettings, "merge", file, [])
    assert merging.training(0).epoch_images == merging.images


def test_without_a_preset_too_every_arm_is_shown_as_many_images() -> None:
    assert enrich().training(3).epoch_images == 1_000
    assert enrich(classifier={"epoch_images": "off"}).training(3).epoch_images == 1_000
    assert enrich(classifier={"epoch_images": 64}).training(3, positive_weight=2.0).epoch_images == 64
    assert enrich().training(0).seed != enrich().training(1).seed
    assert MergeSettings.parse(MERGE, source="m").training(0).epoch_images == 10_000


def test_an_arm_may_not_begin_from_a_run_that_knows_more_than_the_arm() -> None:
    with pytest.raises(SettingRefused, match="'classifier.initial' is another run"):
        enrich(classifier={"initial": "classifiers/site-a"})


def test_an_override_that_makes_a_table_of_a_number_is_one_line(tmp_path: Path) -> None:
    file = write(tmp_path, 'preset = "small"\nstore = "site"\ngenerators = ["a-run"]')
    with pytest.raises(SettingRefused, match="repeats"):
        read_settings(EnrichSettings, "enrich", file, ["repeats.x=1"])


def test_the_file_lies_over_its_preset_and_the_command_line_over_both(tmp_path: Path) -> None:
    text = 'preset = "small"\nstore = "site"\ngenerators = ["a-run"]\nrepeats = 2\n[classifier]\nepochs = 7'
    overrides = ["seed=5", "classifier.patience=4", "preset=paper", "finding=Effusion"]
    settings = read_settings(EnrichSettings, "enrich", write(tmp_path, text), overrides)
    assert (settings.repeats, settings.seed, settings.finding, settings.real_images) == (2, 5, "Effusion", 1_000)
    assert (settings.classifier.epochs, settings.classifier.patience, settings.classifier.side) == (7, 4, 224)


def test_without_a_preset_the_sizes_are_the_papers() -> None:
    settings = enrich()
    assert (settings.real_images, settings.real_positives, settings.kept_images) == (1_000, 50, 500)
    assert (settings.total, settings.positives) == (1_000, 150)


def test_paths_stay_as_written(tmp_path: Path) -> None:
    settings = enrich(store="../stores/site", generators=["runs/a", "/far/b"])
    assert settings.store == Path("../stores/site") and settings.generators == (Path("runs/a"), Path("/far/b"))
    settings.save(tmp_path / "config.toml")
    assert EnrichSettings.load(tmp_path / "config.toml") == settings


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('preset = "smal"', "preset 'smal' is not known; the nearest is 'small'"),
        ('stores = "x"\ngenerators = ["r"]', "'store' is missing; 'stores' is not a setting; the nearest is 'store'"),
        ('store = "x"\ngenerators = ["r"]\n[classifier]\nepoch = 3', "'classifier.epoch' is not a setting; the"),
        ('store = "x"\ngenerators = []', "'generators' is"),
        ("store = ", "is not a TOML file"),
    ],
)  # fmt: skip
def test_a_file_that_is_wrong_is_told_the_nearest_word(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(SettingRefused, match=re.escape(message)):
        read_settings(EnrichSettings, "enrich", write(tmp_path, text), [])


def test_an_absent_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(PathMissing, match=r"absent\.toml does not exist"):
        read_settings(MergeSettings, "merge", tmp_path / "absent.toml", [])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"real_positives": 1_001}, "'real_positives' is 1001, more than 'real_images', 1000"),
        ({"kept_positives": 51}, "'real_positives', 50"),
        ({"kept_images": 1_001}, "'kept_images' is 1001, more than 'real_images', 1000"),
        ({"synthetic_positives": 501}, "'synthetic_positives' is 501, more than 'synthetic_images', 500"),
        ({"kept_images": 980, "kept_positives": 20}, "keeps more films without the finding than the local set has"),
        ({"kept_positives": 5, "synthetic_positives": 10}, "15 images with the finding, fewer than the local set, 50"),
        ({"generators": ["a", "b", "a"]}, "'generators' names one twice"),
        ({"classifier": {"findings": ["Edema"]}}, "'classifier.findings' is decided by the experiment"),
        ({"classifier": {"seed": 3}}, "'classifier.seed' follows from 'seed' and the repeat; set 'seed'"),
        ({"classifier": {"oversample": True}}, "'classifier.oversample' are arms of it"),
        ({"classifier": {"positive_weight": "balanced"}}, "'classifier.positive_weight' and"),
        ({"classifier": {"network": "densenet-small", "initial": "imagenet"}}, "'initial' is imagenet"),
    ],
)
def test_what_does_not_fit_together_or_would_be_ignored_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingRefused, match=re.escape(message)):
        enrich(**changes)


def test_one_generator_cannot_be_merged_with_itself() -> None:
    with pytest.raises(SettingRefused, match="'generator_a' and 'generator_b' are both a-run"):
        MergeSettings.parse({**MERGE, "generator_b": "a-run"}, source="merge.toml")


def test_findings_on_the_command_line_are_a_list_with_commas(tmp_path: Path) -> None:
    file = write(tmp_path, 'preset = "small"\nstore = "site"\ngenerator_a = "a-run"\ngenerator_b = "b-run"')
    named = read_settings(MergeSettings, "merge", file, ["findings=Effusion, Nodule"])
    assert named.findings == ("Effusion", "Nodule")
    assert read_settings(MergeSettings, "merge", file, ["findings=off"]).findings is None


def test_settings_saved_under_an_older_name_are_read_and_saved_under_the_new_one(tmp_path: Path) -> None:
    older = enrich(redraws=300)
    assert older.bootstrap_samples == 300
    older.save(tmp_path / "config.toml")
    assert "bootstrap_samples = 300" in (tmp_path / "config.toml").read_text()
    assert EnrichSettings.load(tmp_path / "config.toml") == older
