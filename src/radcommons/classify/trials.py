"""The trainings of an experiment: one for each arm and repeat, several at a time; a finished one is not repeated."""

import hashlib
import json
import re
import shutil
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from radcommons.classify.settings import ClassifierSettings
from radcommons.classify.training import train_classifier
from radcommons.classify.training_data import Examples, Mixture, Split, require_both_classes
from radcommons.errors import TooFewImages
from radcommons.files import write_array, write_whole
from radcommons.models.classifier_files import Classifier
from radcommons.progress import Track
from radcommons.resume import record_of
from radcommons.threads import one_core
from radcommons.workers import in_order

RECORD, SCORES = "trial.json", "scores.npy"
RUN, PRETRAINING = "run", "pre-training"  # trainings on their way
BEGUN = "begun.txt"  # the digest of their trial


@dataclass(frozen=True)
class Trial:
    """One training.

    Attributes:
        arm, repeat: what it is of.
        parts: training images.
        validation: films that decide when training stops.
        test: films that the classifier scores.
        settings: of the training.
        pretraining: another training, whose classifier this one begins with; None = with `settings.initial`.
    """

    arm: str
    repeat: int
    parts: tuple[Examples, ...]
    validation: Examples
    test: Examples
    settings: ClassifierSettings
    pretraining: "Trial | None" = None

    @property
    def all_parts(self) -> tuple[Examples, ...]:
        """Training images, those of the pre-training included."""
        return self.parts if self.pretraining is None else (*self.parts, *self.pretraining.all_parts)

    @property
    def digest(self) -> str:
        """Digest of everything that the result depends on."""
        text = [self.settings.model_dump_json()]
        for part in (*self.parts, self.validation, self.test):
            chosen = hashlib.sha256(np.ascontiguousarray(part.rows, np.int64).tobytes())
            chosen.update(np.ascontiguousarray(part.labels, np.float32).tobytes())
            text.append(f"{part.digest} {' '.join(part.findings)} {chosen.hexdigest()}")
        if self.pretraining is not None:
            text.append(self.pretraining.digest)
        return hashlib.sha256("\n".join(text).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class TrialResult:
    """The result of one training: scores of the test films, (n, F), and the number of validations until it stopped."""

    scores: np.ndarray
    epochs: int


def run_trials(trials: Sequence[Trial], folder: Path, *, workers: int, track: Track) -> list[TrialResult]:
    """Run the trials that are not finished yet; returns the results of all, in order.

    Args:
        folder: where results are kept; a stopped experiment continues from them.
        workers: trainings at a time, each on a core of its own; 1 on a GPU.
    Raises:
        TooFewImages: an arm has one class only; before anything is trained.
    """
    for trial in trials:
        for training in (trial, trial.pretraining):
            if training is not None:
                labels = np.concatenate([p.labels for p in training.parts])
                require_both_classes(labels, training.parts[0].findings, f"the training images of arm '{trial.arm}'")
        require_both_classes(trial.validation.labels, trial.validation.findings, f"the validation of arm '{trial.arm}'")
    places = [folder / folder_of(trial.arm) / str(trial.repeat) for trial in trials]
    unfinished = [(t, p) for t, p in zip(trials, places, strict=True) if record_of(p / RECORD, t.digest) is None]
    done = len(trials) - len(unfinished)
    with track("Training", total=len(trials), done=done, unit="classifiers") as advance:
        with in_order(train_one, unfinished, workers=workers) as results:
            for _ in results:
                advance(1)
    return [
        TrialResult(np.load(place / SCORES), json.loads((place / RECORD).read_text(encoding="utf-8"))["epochs"])
        for place in places
    ]


def folder_of(arm: str) -> str:
    """The name of an arm's folder."""
    return re.sub("[()]", "", arm).replace(" ", "-")


def train_one(trial: Trial, place: Path) -> None:
    """Train a classifier, score the test films and keep the scores; continues a training that was stopped."""
    started = time.monotonic()
    run, pretraining = _begin(trial, place)
    trainings = []
    # One core, so that the result does not depend on how many trainings run at a time.
    with nullcontext() if torch.cuda.is_available() else one_core():
        if trial.pretraining is not None:  # returns at once if a stopped call has finished it
            trainings.append(train_classifier(_split(trial.pretraining), trial.pretraining.settings, pretraining))
        begin_with = pretraining if trainings else None
        trainings.append(train_classifier(_split(trial), trial.settings, run, pretrained=begin_with))
        scores = Classifier.load(run).scores(trial.test.images, rows=trial.test.rows)
    write_array(place / SCORES, scores)
    record = {
        "digest": trial.digest,
        "epochs": sum(t.epochs for t in trainings),
        "images_seen": sum(t.images_seen for t in trainings),
        "validation_loss": trainings[-1].validation_loss,
        "seconds": round(time.monotonic() - started, 1),
    }
    write_whole(place / RECORD, json.dumps(record, indent=2) + "\n")
    shutil.rmtree(run)  # the scores are what is compared
    if trial.pretraining is not None:
        shutil.rmtree(pretraining)
    (place / BEGUN).unlink()


def _split(trial: Trial) -> Split:
    findings, side = trial.parts[0].findings, trial.settings.side
    return Split(Mixture(trial.parts, findings, side=side), Mixture([trial.validation], findings, side=side))


def _begin(trial: Trial, place: Path) -> tuple[Path, Path]:
    """The folders to train and pre-train in; they keep what a stopped call left there if that was the same trial."""
    run, pretraining, begun = place / RUN, place / PRETRAINING, place / BEGUN
    if not begun.is_file() or begun.read_text(encoding="utf-8") != trial.digest:
        for folder in (run, pretraining):
            shutil.rmtree(folder, ignore_errors=True)
        place.mkdir(parents=True, exist_ok=True)
        write_whole(begun, trial.digest)
    return run, pretraining


def take(part: Examples, places: np.ndarray, *, arm: str, what: str, count: int) -> Examples:
    """The first `count` of `places`; raises TooFewImages, which names the arm, where there are fewer."""
    if len(places) < count:
        raise TooFewImages(
            f"arm '{arm}' asks for {count:,} {what} and {part.source} has {len(places):,}; lower the numbers"
        )
    return part.take(places[:count])
