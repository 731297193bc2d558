"""A phantom hospital, a generator that has learned from it in a second, and experiments of seconds on the two."""

from collections.abc import Callable
from pathlib import Path

import pytest

from radcommons.data.ingest import ingest_phantoms
from radcommons.data.store import Store
from radcommons.experiments.federated.settings import FederatedExperimentSettings
from radcommons.experiments.settings import EnrichSettings, MergeSettings
from radcommons.gan import training
from radcommons.gan.settings import TrainSettings
from radcommons.records import Comparison, Estimate

CLASSIFIER = {"network": "densenet-small", "side": 32, "epochs": 2, "optimiser": "adam", "learning_rate": 0.001}
QUICK = {"bootstrap_samples": 200, "diversity_pairs": 20, "repeats": 1, "classifier": CLASSIFIER}
SIZES = {
    "finding": "Effusion",
    "real_images": 32,
    "real_positives": 4,
    "kept_images": 16,
    "kept_positives": 3,
    "synthetic_images": 16,
    "synthetic_positives": 5,
}
TINY_RGAN = {
    "family": "rgan", "total_images": 96, "resolution": 16, "latent_size": 5, "channels": {4: 6, 8: 5, 16: 4},
    "noise": [16], "batch_size": 8, "checkpoint_every": 48, "samples_every": 96, "log_every": 16,
}  # fmt: skip
QUICK_FEDERATION = {
    "clients": 3, "local_iterations": 1, "concentration": 2.0, "points": 2, "images": 12, "critic_images": 32,
}  # fmt: skip


@pytest.fixture(scope="session")
def quick() -> dict[str, object]:
    """Settings of an experiment that takes seconds."""
    return QUICK


@pytest.fixture(scope="session")
def hospital(tmp_path_factory: pytest.TempPathFactory) -> Store:
    out = tmp_path_factory.mktemp("experiments") / "hospital"
    ingest_phantoms(out, patients=120, site="A", resolution=32, seed=7)
    return Store.open(out)


@pytest.fixture(scope="session")
def generator(hospital: Store, tiny: Callable[..., TrainSettings], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of 16 pixels on the hospital's training part."""
    run = tmp_path_factory.mktemp("experiments") / "own-run"
    training.train(hospital, tiny(), run)
    return run


@pytest.fixture(scope="session")
def other_generator(tiny: Callable[..., TrainSettings], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on another hospital, whose patients are named under another key."""
    folder = tmp_path_factory.mktemp("experiments")
    ingest_phantoms(folder / "elsewhere", patients=60, site="B", resolution=16, seed=8)
    training.train(Store.open(folder / "elsewhere"), tiny(), folder / "other-run")
    return folder / "other-run"


@pytest.fixture(scope="session")
def enrich_settings(hospital: Store, generator: Path) -> Callable[..., EnrichSettings]:
    def make(**changes: object) -> EnrichSettings:
        values = {"store": hospital.path, "generators": [generator], **SIZES, **QUICK, **changes}
        return EnrichSettings.parse(values, source="test")

    return make


@pytest.fixture(scope="session")
def merge_settings(hospital: Store, generator: Path, other_generator: Path) -> Callable[..., MergeSettings]:
    def make(**changes: object) -> MergeSettings:
        values = {
            "store": hospital.path,
            "generator_a": generator,
            "generator_b": other_generator,
            "images": 41,
            **QUICK,
            **changes,
        }
        return MergeSettings.parse(values, source="test")

    return make


@pytest.fixture(scope="session")
def comparison() -> Callable[..., Comparison]:
    """A comparison whose verdict follows from its interval and p value."""
    from radcommons.experiments.compare import verdict

    def make(low: float, high: float, p: float, *, arm: str = "enriched", against: str = "real only") -> Comparison:
        return Comparison(
            arm=arm,
            against=against,
            finding="Pneumonia",
            difference=Estimate(value=(low + high) / 2, low=low, high=high),
            p_value=p,
            p_corrected=p,
            p_permutation=p,
            p_delong=p,
            detectable=0.05,
            verdict=verdict(low, high, p),
        )

    return make


@pytest.fixture(scope="session")
def federated_settings(hospital: Store) -> Callable[..., FederatedExperimentSettings]:
    """Settings of the experiment of Fig. 4 that takes some seconds; `train` changes those of the training."""

    def make(*, train: dict[str, object] | None = None, **changes: object) -> FederatedExperimentSettings:
        values = {"stores": [hospital.path], "train": TINY_RGAN | (train or {}), **QUICK_FEDERATION, **changes}
        return FederatedExperimentSettings.parse(values, source="test")

    return make
