"""A run's folder belongs to one set of settings, saved in its ``config.toml``."""

from pathlib import Path

from radcommons.errors import PathInUse
from radcommons.train.settings import TrainSettings

FREE = ("checkpoint_every", "samples_every", "log_every")  # they change no weight


def claim_folder(run: Path, settings: TrainSettings) -> None:
    """Make the run's folder and save its settings, or check that they are the ones it began with."""
    saved = run / "config.toml"
    if saved.is_file():
        begun = TrainSettings.load(saved)
        if differing := changed_settings(begun, settings):
            raise PathInUse(f"{run} was begun with {'; '.join(differing)}; use those, or choose another --out")
    elif run.exists() and (not run.is_dir() or any(run.iterdir())):
        raise PathInUse(f"{run} already holds something else; choose another --out")
    run.mkdir(mode=0o700, parents=True, exist_ok=True)  # the critic lies in it
    settings.save(saved)


def changed_settings(begun: TrainSettings, asked: TrainSettings) -> list[str]:
    """What a run cannot change on the way, one text a setting.

    A later end may be asked for where phases have lengths of their own, since nothing before it moves.
    """
    fields = [n for n in TrainSettings.model_fields if getattr(begun, n) != getattr(asked, n)]
    fields = [n for n in fields if n not in FREE]
    if asked.images_per_phase is not None and asked.total_images >= begun.total_images:
        fields = [n for n in fields if n != "total_images"]
    return [f"{n} = {getattr(begun, n)}, not {getattr(asked, n)}" for n in fields]
