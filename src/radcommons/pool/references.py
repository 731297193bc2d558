"""References to generators."""

from pathlib import Path

from radcommons.errors import SettingRefused


def local_folder(reference: str) -> Path:
    """The folder on this machine that a reference names: a run or a package."""
    if "://" in reference:
        raise SettingRefused(f"reference '{reference}' is not a folder; fetch the generator and name its folder")
    return Path(reference)
