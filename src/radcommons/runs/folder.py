"""A run's folder belongs to one set of settings, saved in its ``config.toml``."""

from collections.abc import Callable, Collection
from pathlib import Path
from typing import TypeVar

from radcommons.errors import PathInUse, SettingRefused
from radcommons.folders import claim
from radcommons.settings import Settings

S = TypeVar("S", bound=Settings)


def claim_folder(
    run: Path, settings: S, free: Callable[[S, S], Collection[str]], *, ours: Collection[str] = ()
) -> None:
    """Save the settings in the run's folder; raises PathInUse if it was begun with others or holds something else.

    Args:
        free: names of the settings that may change on the way, given those begun with and those asked for.
        ours: names of files and folders that may be there before.
    """
    require_claimable(run, settings, free, ours=ours)
    settings.save(run / "config.toml")


def require_claimable(
    run: Path, settings: S, free: Callable[[S, S], Collection[str]], *, ours: Collection[str] = ()
) -> None:
    """Raise what `claim_folder` would, and change nothing."""
    saved = run / "config.toml"
    begun, kept = None, settings
    if saved.is_file():
        try:
            kept = type(settings).load(saved)
        except SettingRefused as error:
            raise PathInUse(f"{run} is not a run that this command began ({error}); choose another --out") from None
        begun = kept.model_dump(mode="json")
    asked = settings.model_dump(mode="json", exclude=set(free(kept, settings)))
    claim(run, asked, file=None, begun=begun, ours=ours)
