"""A run's folder belongs to one set of settings, saved in its ``config.toml``."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from radcommons.errors import PathInUse, SettingRefused
from radcommons.folders import holds_other_than
from radcommons.settings import Settings

S = TypeVar("S", bound=Settings)


def claim_folder(run: Path, settings: S, changed: Callable[[S, S], list[str]]) -> None:
    """Save the settings in the run's folder, or check that they are the ones it began with.

    Args:
        changed: of the settings begun with and those asked for, what a run cannot change on the way.
    """
    saved = run / "config.toml"
    if saved.is_file():
        try:
            begun = type(settings).load(saved)
        except SettingRefused as error:
            raise PathInUse(f"{run} is not a run that this command began ({error}); choose another --out") from None
        if differing := changed(begun, settings):
            raise PathInUse(f"{run} was begun with {'; '.join(differing)}; use those, or choose another --out")
    elif holds_other_than(run):
        raise PathInUse(f"{run} already holds something else; choose another --out")
    settings.save(saved)


def differing(begun: Settings, asked: Settings, free: set[str]) -> list[str]:
    """The settings that differ and are not free to, as texts."""
    fields = [n for n in type(begun).model_fields if getattr(begun, n) != getattr(asked, n) and n not in free]
    return [f"{n} = {getattr(begun, n)}, not {getattr(asked, n)}" for n in fields]
