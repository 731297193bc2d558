"""The folder of an experiment: its settings, the synthetic images it has drawn, its trainings, its results."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from radcommons.classify.material import Examples
from radcommons.experiments.settings import ExperimentSettings
from radcommons.files import write_array, write_whole
from radcommons.resume import record_of
from radcommons.runs.folder import claim_folder

FREE = {"repeats", "bootstrap_samples", "diversity_pairs"}  # what is trained does not depend on them


@dataclass(frozen=True)
class Work:
    """A claimed folder."""

    out: Path

    @classmethod
    def claim(cls, out: Path, settings: ExperimentSettings) -> Self:
        """Make the folder, or go on in the one that began with these settings; raises PathInUse.

        More repeats are added to those that are there.
        """
        claim_folder(out, settings, lambda *_: FREE)
        return cls(out)

    @property
    def trials(self) -> Path:
        """Where outcomes of trainings are kept."""
        return self.out / "trials"

    def kept(self, name: str, draw: Callable[[], Examples], *, generator_digest: str) -> Examples:
        """Images of a name, drawn at the first call and mapped from the disk as long as the generator is the same."""
        folder = self.out / "synthetic" / name
        described = folder / "drawn.json"
        text = record_of(described, f"{generator_digest}/")
        if text is None:
            folder.mkdir(parents=True, exist_ok=True)
            described.unlink(missing_ok=True)  # so that a stop while writing leaves nothing that looks whole
            drawn = draw()
            write_array(folder / "images.npy", drawn.images)
            write_array(folder / "labels.npy", drawn.labels)
            text = {"source": drawn.source, "findings": drawn.findings, "digest": drawn.digest}
            write_whole(described, json.dumps(text, indent=2) + "\n")
        labels = np.load(folder / "labels.npy")
        return Examples(
            source=text["source"],
            images=np.load(folder / "images.npy", mmap_mode="r"),
            rows=np.arange(len(labels)),
            labels=labels,
            patients=np.array([f"{text['source']}#{i}" for i in range(len(labels))]),
            findings=tuple(text["findings"]),
            digest=text["digest"],
        )

    @staticmethod
    def notes(about: Sequence[str | None], settings: ExperimentSettings) -> tuple[str, ...]:
        """What a reader must know besides the numbers."""
        found = [note for note in about if note is not None]
        found.append("the generators are the same in every repeat: luck in their training is not in the intervals")
        if settings.repeats == 1:
            found.append("one repeat: luck in training is not in the intervals")
        if settings.repeats == 2:
            found.append(
                "two repeats tell little of luck in training, and the intervals are as wide as that makes them"
            )
        return tuple(found)
