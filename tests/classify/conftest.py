"""Films that a small network learns in seconds, and settings of a training that short."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from radcommons.classify.settings import ClassifierSettings
from radcommons.classify.training import train_classifier
from radcommons.classify.training_data import Examples, Mixture, Split, of_images
from radcommons.data.ingest import ingest_phantoms
from radcommons.data.store import Store

FINDINGS = ("Effusion", "Nodule")


def squares(count: int, *, seed: int, findings: tuple[str, ...] = FINDINGS, side: int = 32) -> Examples:
    """Noise; a film with the first finding is brighter below, one with the second brighter above."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, (count, len(findings))).astype(np.float32)
    labels[:2] = [[0] * len(findings), [1] * len(findings)]  # both classes, whatever was drawn
    images = rng.normal(90, 20, (count, side, side))
    for column, rows in enumerate((slice(side // 2, None), slice(0, side // 2))[: len(findings)]):
        images[:, rows] += 40 * labels[:, column, None, None]
    return of_images(f"squares {seed}", images.clip(0, 255).astype(np.uint8), labels, findings, f"squares/{seed}")


def quick_settings(**changes: object) -> ClassifierSettings:
    """Settings of a training of a second or two."""
    values: dict[str, object] = {
        "network": "densenet-small",
        "side": 32,
        "optimiser": "adam",
        "learning_rate": 0.002,
        "batch_size": 16,
        "epochs": 2,
        "log_every": 16,
    }
    return ClassifierSettings.model_validate({**values, **changes})


def write_pictures(
    folder: Path, labels: NDArray[np.float32], *, finding: str = "Effusion", side: int = 32, seed: int = 5
) -> Path:
    """A folder of PNG files with a labels.csv, brighter below where the finding is."""
    (folder / "images").mkdir(parents=True)
    rng, lines = np.random.default_rng(seed), [f"image,{finding}"]
    for number, label in enumerate(labels):
        picture = rng.normal(90, 20, (side, side))
        picture[side // 2 :] += 40 * label
        cv2.imwrite(str(folder / "images" / f"{number}.png"), picture.clip(0, 255).astype(np.uint8))
        lines.append(f"{number}.png,{label}")
    (folder / "labels.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def quick() -> Callable[..., ClassifierSettings]:
    return quick_settings


@pytest.fixture(scope="session")
def films() -> Callable[..., Examples]:
    return squares


@pytest.fixture(scope="session")
def pictures() -> Callable[..., Path]:
    return write_pictures


@pytest.fixture(scope="session")
def split() -> Split:
    """56 images to learn from, in batches of 14, and 24 to stop by."""
    parts = (squares(56, seed=1), squares(24, seed=2))
    return Split(*(Mixture([part], FINDINGS, side=32) for part in parts))


@pytest.fixture(scope="session")
def clinic(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A phantom hospital of 120 patients, up to 32 x 32 pixels."""
    out = tmp_path_factory.mktemp("classify") / "clinic"
    ingest_phantoms(out, patients=120, site="A", resolution=32, seed=11)
    return Store.open(out)


@pytest.fixture(scope="session")
def trained(split: Split, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run of a classifier of `split` in two epochs."""
    run = tmp_path_factory.mktemp("classifiers") / "trained"
    assert train_classifier(split, quick_settings(), run).finished
    return run
