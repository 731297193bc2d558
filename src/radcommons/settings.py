"""Settings: declared once as pydantic fields, read from TOML and ``key=value``, saved as TOML.

``None`` means off. TOML has no null, so files and overrides use ``"off"``.
"""

import copy
import tomllib
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Self, TypeVar, get_args

import tomli_w
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from radcommons.errors import PathMissing, SettingRefused, nearest_hint
from radcommons.files import write_whole

OFF = "off"


def _split(value: Any) -> Any:
    """``--set findings=Effusion,Nodule`` means a list."""
    return [name.strip() for name in value.split(",")] if isinstance(value, str) else value


def _once(names: tuple[str, ...]) -> tuple[str, ...]:
    for name in repeated(names):
        raise ValueError(f"names {name} twice; name it once")
    return names


Names = Annotated[tuple[str, ...], BeforeValidator(_split), AfterValidator(_once)]
Seed = Annotated[int, Field(ge=0, le=2**63 - 1)]  # the seed of settings and of every option --seed


class Settings(BaseModel):
    """Base of all settings: frozen; the error about an unknown key gives the nearest known key."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)

    @model_validator(mode="before")
    @classmethod
    def _off_is_none(cls, values: Any) -> Any:
        if not isinstance(values, Mapping):
            return values
        optional = {name for name, field in cls.model_fields.items() if type(None) in get_args(field.annotation)}
        return {k: None if v == OFF and k in optional else v for k, v in values.items()}

    @classmethod
    def parse(cls, values: Mapping[str, Any], *, source: str) -> Self:
        """Validate `values`; raises SettingRefused with every fault, after `source`."""
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            faults = "; ".join(_fault(cls, e) for e in error.errors())
            raise SettingRefused(f"{source}: {faults}") from None
        except SettingRefused as error:  # of a table that is read by itself
            raise SettingRefused(f"{source}: {error}") from None

    @classmethod
    def load(cls, path: Path, overrides: Sequence[str] = ()) -> Self:
        """Read a TOML file and apply ``key=value`` overrides."""
        return cls.parse(override(read_toml(path), overrides), source=str(path))

    def save(self, path: Path) -> None:
        """Write all settings as TOML, defaults included, so that the file alone documents the run."""
        write_whole(path, tomli_w.dumps(_without_none(self.model_dump(mode="json"))))


S = TypeVar("S", bound=Settings)


def chosen_values(
    kind: str,
    begun: Path | None,
    default: str,
    *,
    preset: str | None,
    config: Path | None,
    overrides: Sequence[str] = (),
) -> tuple[dict[str, Any], str]:
    """The settings of a command, and their source: a preset or a file, or unfinished work, or the default preset.

    Args:
        kind: folder of the presets.
        begun: file with the saved settings of unfinished work, if there can be one.
        default: name of the preset if nothing is named and no work is unfinished.
        overrides: ``key=value``, applied last.
    Raises:
        SettingRefused, PathMissing.
    """
    if preset is not None and config is not None:
        raise SettingRefused("--preset and --config exclude each other; drop one")
    if preset is None and config is None and begun is not None and begun.is_file():
        config = begun
    name = default if preset is None else preset
    path, named = (preset_path(kind, name), f"preset {name}") if config is None else (config, str(config))
    source = f"{named} with --set {' --set '.join(overrides)}" if overrides else named
    return override(read_toml(path), overrides), source


def read_settings(kind: type[S], name: str, path: Path, overrides: Sequence[str]) -> S:
    """Settings from a TOML file, which may name a shipped preset of `configs/NAME` to begin from, and overrides.

    Raises:
        PathMissing, SettingRefused.
    """
    asked = override(read_toml(path), overrides)
    preset = asked.pop("preset", None)
    sizes = {} if preset is None else read_toml(preset_path(name, str(preset)))
    return kind.parse(_laid_over(sizes, asked), source=str(path))


def _laid_over(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """Two tables as one, inner tables likewise; `above` wins."""
    tables = {
        k: _laid_over(below[k], v) for k, v in above.items() if isinstance(v, dict) and isinstance(below.get(k), dict)
    }
    return {**below, **above, **tables}


def read_toml(path: Path) -> dict[str, Any]:
    """The content of a TOML file; raises PathMissing or SettingRefused naming the file."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise PathMissing(f"{path} does not exist") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, IsADirectoryError) as error:
        raise SettingRefused(f"{path} is not a TOML file: {error}") from None


def override(values: Mapping[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """`values` changed by ``key=value`` or ``table.key=value``; a value is TOML, or otherwise plain text."""
    result: dict[str, Any] = copy.deepcopy(dict(values))
    require_once("--set", [item.partition("=")[0].strip() for item in overrides])
    for item in overrides:
        key, equals, text = item.partition("=")
        if not equals or not key.strip():
            raise SettingRefused(f"--set {item}: write it as KEY=VALUE")
        try:
            value = tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            value = text.strip()
        *tables, leaf = key.strip().split(".")
        target = result
        for table in tables:
            target = target.setdefault(table, {})
            if not isinstance(target, dict):
                raise SettingRefused(f"--set {item}: '{table}' is not a table of settings")
        target[leaf] = value
    return result


def checked_seed(seed: int) -> int:
    """The value of an option --seed; raises SettingRefused with the same message as a setting."""
    try:
        return TypeAdapter(Seed).validate_python(seed)
    except ValidationError as error:
        raise SettingRefused(f"--seed is {seed}: {_reason(error.errors()[0])}") from None


def require_once(option: str, values: Sequence[Hashable]) -> None:
    """Raise SettingRefused if a repeatable option is given the same value twice, which is probably a mistake."""
    for value in repeated(values):
        raise SettingRefused(f"{option} {value} is given twice; give it once")


def repeated(values: Sequence[Hashable]) -> list[Hashable]:
    """The values that occur more than once, in order."""
    return [value for value, count in Counter(values).items() if count > 1]


def preset_folder() -> Path:
    """The folder of shipped TOML presets: inside an installed package, or beside a checkout's ``src``."""
    packaged = Path(__file__).parent / "configs"
    return packaged if packaged.is_dir() else Path(__file__).parents[2] / "configs"


def preset_path(kind: str, name: str) -> Path:
    """The TOML file of a shipped preset, e.g. ``preset_path("train", "paper-256")``."""
    folder = preset_folder() / kind
    path = folder / f"{name}.toml"
    if path.parent != folder or not path.is_file():  # a name from another machine stays in the folder
        known = sorted(p.stem for p in folder.glob("*.toml"))
        raise SettingRefused(f"preset '{name}' is not known; {nearest_hint(name, known)}")
    return path


def _without_none(values: Any) -> Any:
    if isinstance(values, dict):
        return {k: _without_none(v) for k, v in values.items()}
    if isinstance(values, list):
        return [_without_none(v) for v in values]
    return OFF if values is None else values


def _fault(cls: type[Settings], error: Any) -> str:
    where = ".".join(str(part) for part in error["loc"])
    if error["type"] == "extra_forbidden":
        return f"'{where}' is not a setting; {nearest_hint(where, _keys_beside(cls, error['loc']))}"
    if not where:
        return _reason(error)
    if error["type"] == "missing":
        return f"'{where}' is missing"
    if error["type"] == "value_error" and isinstance(error["input"], Mapping):
        return f"'{where}': {_reason(error)}"
    return f"'{where}' is {_as_written(error['input'])}: {_reason(error)}"


def _as_written(value: Any) -> str:
    """A value as in a TOML file, a path as its text."""
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_as_written, value))}]"
    return repr(str(value) if isinstance(value, Path) else value)


def _reason(error: Any) -> str:
    message: str = error["msg"].removeprefix("Value error, ")
    return message[:1].lower() + message[1:]


def _keys_beside(cls: type[BaseModel], location: Sequence[str | int]) -> list[str]:
    """The known keys in the table of an unknown key, written as on the command line."""
    for table in (name for name in location[:-1] if isinstance(name, str)):  # a number is a place in a list of tables
        annotation = cls.model_fields[table].annotation if table in cls.model_fields else None
        inner = [a for a in (annotation, *get_args(annotation)) if isinstance(a, type) and issubclass(a, BaseModel)]
        if not inner:
            break
        cls = inner[0]
    return [".".join([*map(str, location[:-1]), name]) for name in cls.model_fields]
