from pathlib import Path

import pytest

from radcommons.classify.settings import ClassifierSettings, choose_settings
from radcommons.errors import SettingRefused
from radcommons.settings import preset_folder

PRESETS = sorted(path.stem for path in (preset_folder() / "classify").glob("*.toml"))


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_parses_and_survives_being_saved(name: str, tmp_path: Path) -> None:
    settings = choose_settings(tmp_path, preset=name)
    settings.save(tmp_path / "config.toml")
    assert ClassifierSettings.load(tmp_path / "config.toml") == settings


def test_the_papers_preset_is_densenet_121_at_224_pixels_from_imagenet(tmp_path: Path) -> None:
    paper = choose_settings(tmp_path, preset="paper")
    assert (paper.network, paper.side, paper.initial) == ("densenet-121", 224, "imagenet")


def test_a_begun_run_keeps_its_own_settings_unless_a_preset_is_named(tmp_path: Path) -> None:
    begun = choose_settings(tmp_path, preset="small-32", overrides=["seed=7"])
    begun.save(tmp_path / "config.toml")
    assert choose_settings(tmp_path) == begun
    assert choose_settings(tmp_path, preset="small-32").seed == 0


def test_findings_may_be_written_with_commas(tmp_path: Path) -> None:
    chosen = choose_settings(tmp_path, preset="small-32", overrides=["findings=Effusion, Nodule"])
    assert chosen.findings == ("Effusion", "Nodule")
    assert choose_settings(tmp_path, preset="small-32", overrides=["findings=off"]).findings is None


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("findings=[]", "'findings' is .*at least 1"),
        ("positive_weight=0", "'positive_weight' is 0.*above 0, or balanced"),
        ("positive_weight=inf", "above 0, or balanced"),
        ("positive_weight=equal", "'positive_weight"),
        ("epoch_images=1", "'epoch_images' is 1.*greater than or equal to 2"),
        ("initial=imagenet", "imagenet, whose weights are of densenet-121, not of densenet-small"),
        ("side=16", "'side' is 16.*greater than or equal to 32"),
        ("augment.rotaton=3", "'augment.rotaton' is not a setting; the nearest is 'augment.rotation'"),
        ("rate_factor=1.5", "'rate_factor' is 1.5"),
    ],
)
def test_a_bad_setting_is_one_line(override: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(SettingRefused, match=message) as caught:
        choose_settings(tmp_path, preset="small-32", overrides=[override])
    assert "\n" not in str(caught.value)
