"""Settings: TOML, key=value and saved TOML are one thing; a fault names the key, the value and the nearest key."""

from pathlib import Path

import pytest
from pydantic import Field, field_validator

from radcommons.errors import PathMissing, SettingRefused
from radcommons.settings import Settings, chosen_values, override, preset_path, read_toml


class Optimiser(Settings):
    learning_rate: float = Field(0.1, gt=0)


class Example(Settings):
    batch_size: int = Field(8, ge=1)
    name: str = "example"
    clip: float | None = 1.0
    channels: dict[int, int] = Field({4: 8})
    optimiser: Optimiser = Optimiser()


def test_saved_settings_load_as_they_were_off_included(tmp_path: Path) -> None:
    settings = Example(batch_size=3, clip=None, channels={4: 16, 8: 9})
    settings.save(tmp_path / "config.toml")
    assert 'clip = "off"' in (tmp_path / "config.toml").read_text()
    assert Example.load(tmp_path / "config.toml") == settings


def test_off_means_none_only_where_a_setting_may_be_off(tmp_path: Path) -> None:
    assert Example.parse({"clip": "off", "name": "off"}, source="x") == Example(clip=None, name="off")
    with pytest.raises(SettingRefused, match="x: 'batch_size' is 'off'"):
        Example.parse({"batch_size": "off"}, source="x")


def test_overrides_lie_over_the_file_and_reach_into_tables(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text("batch_size = 2\n[optimiser]\nlearning_rate = 0.5\n")
    overrides = ["batch_size=4", "name=plain words", "optimiser.learning_rate = 0.25", "channels.8=3", "clip=off"]
    settings = Example.load(tmp_path / "a.toml", overrides)
    assert (settings.batch_size, settings.name, settings.optimiser.learning_rate) == (4, "plain words", 0.25)
    assert (settings.channels, settings.clip) == ({8: 3}, None)


def test_an_override_leaves_the_given_values_alone() -> None:
    given = {"a": {"b": {"c": 1}}}
    assert override(given, ["a.b.c=2"]) == {"a": {"b": {"c": 2}}}
    assert given == {"a": {"b": {"c": 1}}}


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ("batch_size", "--set batch_size: write it as KEY=VALUE"),
        ("=3", "--set =3: write it as KEY=VALUE"),
        ("name.first=3", "--set name.first=3: 'name' is not a table of settings"),
    ],
)
def test_an_override_that_cannot_be_read_is_refused(item: str, message: str) -> None:
    with pytest.raises(SettingRefused, match=message):
        override({"name": "x"}, [item])


def test_all_faults_are_told_at_once_with_the_nearest_key() -> None:
    with pytest.raises(SettingRefused) as refused:
        Example.parse({"batchsize": 3, "clip": "often", "optimiser": {"learning_rat": 1}}, source="a.toml")
    text = str(refused.value)
    assert text.startswith("a.toml: ") and "\n" not in text
    assert "'batchsize' is not a setting; the nearest is 'batch_size'" in text
    assert "'clip' is 'often'" in text
    assert "'optimiser.learning_rat' is not a setting; the nearest is 'optimiser.learning_rate'" in text


def test_a_path_is_told_as_text() -> None:
    class Folders(Settings):
        folders: tuple[Path, ...]

        @field_validator("folders")
        @classmethod
        def _none_is_good(cls, folders: tuple[Path, ...]) -> tuple[Path, ...]:
            raise ValueError("wrong")

    with pytest.raises(SettingRefused, match=r"x: 'folders' is \['runs/a', 'b'\]: wrong"):
        Folders.parse({"folders": [Path("runs/a"), "b"]}, source="x")


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Example().batch_size = 2


def test_a_file_that_is_absent_or_not_toml_is_named(tmp_path: Path) -> None:
    with pytest.raises(PathMissing, match=r"a\.toml does not exist"):
        read_toml(tmp_path / "a.toml")
    for content in (b"a = ", b"\xff\xfe"):
        (tmp_path / "a.toml").write_bytes(content)
        with pytest.raises(SettingRefused, match=r"a\.toml is not a TOML file"):
            read_toml(tmp_path / "a.toml")
    with pytest.raises(SettingRefused, match="is not a TOML file"):
        read_toml(tmp_path)


def test_an_unknown_preset_gets_the_nearest_one() -> None:
    assert preset_path("train", "paper-256").is_file()
    with pytest.raises(SettingRefused, match="preset 'paper-255' is not known; the nearest is 'paper-"):
        preset_path("train", "paper-255")


def test_an_empty_preset_name_is_refused_not_replaced_by_the_default() -> None:
    with pytest.raises(SettingRefused, match="preset '' is not known"):
        chosen_values("train", None, "paper-256", preset="", config=None)


@pytest.mark.parametrize("name", ["../train/small-64", "../classify/small-64", "/small-64"])
def test_the_name_of_a_preset_leads_out_of_no_folder(name: str) -> None:
    with pytest.raises(SettingRefused, match="is not known"):
        preset_path("train", name)
