from pathlib import Path

import pytest

from radcommons.errors import SettingRefused
from radcommons.gan.recipes import RECIPES, load_settings, parse_settings
from radcommons.gan.recipes.progan.settings import ProganSettings
from radcommons.models.families import FAMILIES
from radcommons.settings import preset_path

CHANNELS = {"channels": {4: 4}, "batch_size": {4: 4}, "resolution": 4}


def test_every_family_of_generators_has_a_recipe_and_no_other_has() -> None:
    assert RECIPES.keys() == FAMILIES.keys()


def test_settings_without_a_family_are_those_of_the_progressive_gan() -> None:
    settings = load_settings(preset_path("train", "progan-64"))
    assert isinstance(settings, ProganSettings) and settings.family == "progan"


def test_a_family_that_is_not_known_gets_the_nearest_name() -> None:
    with pytest.raises(SettingRefused, match="'family' is 'progam'; the nearest is 'progan'"):
        parse_settings({"family": "progam", **CHANNELS}, source="run.toml")


def test_the_old_name_of_the_emas_decay_is_read_and_the_new_one_is_saved(tmp_path: Path) -> None:
    settings = parse_settings({"average_decay": 0.5, **CHANNELS}, source="run.toml")
    assert isinstance(settings, ProganSettings) and settings.ema_decay == 0.5
    settings.save(tmp_path / "config.toml")
    assert "ema_decay = 0.5" in (tmp_path / "config.toml").read_text()
    assert load_settings(tmp_path / "config.toml") == settings
