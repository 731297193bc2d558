"""The folder of an experiment: its settings, its synthetic images, its trainings, its results."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from radcommons.classify.training_data import Examples, of_images
from radcommons.experiments.settings import ExperimentSettings
from radcommons.files import write_array, write_whole
from radcommons.precision import kept
from radcommons.resume import record_of
from radcommons.runs.folder import claim_folder
from radcommons.settings import read_toml

TRIALS, IMAGES = "trials", "synthetic"  # subfolders
FREE = {"repeats", "bootstrap_samples", "diversity_pairs", "pretrained"}  # no training that is there depends on them


def claim_experiment(out: Path, settings: ExperimentSettings) -> None:
    """Make the folder, or continue the experiment that began there with these settings; raises PathInUse.

    More repeats may be asked for: they are added to those that are there.
    """
    claim_folder(out, settings, lambda *_: FREE)


def begun_precision(out: Path, settings: ExperimentSettings) -> str:
    """The precision that the settings ask for; for "auto" that of the experiment in `out`, if there is one."""
    saved = out / "config.toml"
    return kept(settings.precision, read_toml(saved) if saved.is_file() else None)


def kept_images(folder: Path, generate: Callable[[], Examples], *, generator_digest: str) -> Examples:
    """Synthetic images: generated once, then mapped from the disk while the generator is the same."""
    described = folder / "drawn.json"
    text = record_of(described, f"{generator_digest}/")
    if text is None:
        folder.mkdir(parents=True, exist_ok=True)
        described.unlink(missing_ok=True)  # a stop while writing must not leave what looks complete
        made = generate()
        write_array(folder / "images.npy", made.images)
        write_array(folder / "labels.npy", made.labels)
        text = {"source": made.source, "findings": made.findings, "digest": made.digest}
        write_whole(described, json.dumps(text, indent=2) + "\n")
    labels = np.load(folder / "labels.npy")
    images = np.load(folder / "images.npy", mmap_mode="r")
    return of_images(text["source"], images, labels, text["findings"], text["digest"])
