"""How each family of generators is trained, by the same names as `models.families.FAMILIES`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from radcommons.errors import SettingRefused, nearest_hint
from radcommons.gan.recipe import Recipe
from radcommons.gan.recipes.progan.schedule import stages
from radcommons.gan.recipes.progan.settings import ProganSettings
from radcommons.gan.recipes.progan.training import ProganTraining
from radcommons.gan.recipes.rgan.settings import RganSettings
from radcommons.gan.recipes.rgan.training import RganTraining
from radcommons.gan.recipes.rgan.training import stages as rgan_stages
from radcommons.gan.settings import DEFAULT_FAMILY, TrainSettings
from radcommons.settings import override, read_toml

RECIPES: dict[str, Recipe] = {
    "progan": Recipe(settings=ProganSettings, stages=stages, training=ProganTraining),
    "rgan": Recipe(settings=RganSettings, stages=rgan_stages, training=RganTraining),
}


def parse_settings(values: Mapping[str, Any], *, source: str) -> TrainSettings:
    """The settings of a training; `family` says of which family. Raises SettingRefused as `Settings.parse` does."""
    family = values.get("family", DEFAULT_FAMILY)
    if family not in RECIPES:
        raise SettingRefused(f"{source}: 'family' is {family!r}; {nearest_hint(str(family), RECIPES)}")
    return RECIPES[family].settings.parse(values, source=source)


def load_settings(path: Path, overrides: Sequence[str] = ()) -> TrainSettings:
    """Read the settings of a training from a TOML file and lay ``key=value`` overrides over them."""
    return parse_settings(override(read_toml(path), overrides), source=str(path))
