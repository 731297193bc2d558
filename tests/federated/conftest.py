from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from radcommons.data.store import Store
from radcommons.federated.settings import SimulationSettings

FAMILIES: dict[str, dict[str, Any]] = {
    "progan": {
        "family": "progan", "total_images": 192, "images_per_phase": 32, "resolution": 16, "latent_size": 5,
        "channels": {4: 6, 8: 5, 16: 4}, "batch_size": {4: 8, 8: 8, 16: 8}, "learning_rate": {4: 0.003},
        "critic_steps": 2, "checkpoint_every": 64, "samples_every": 96, "log_every": 16,
    },
    "rgan": {
        "family": "rgan", "total_images": 96, "resolution": 16, "latent_size": 5, "channels": {4: 6, 8: 5, 16: 4},
        "noise": [16], "batch_size": 8, "checkpoint_every": 48, "samples_every": 48, "log_every": 16,
    },
}  # fmt: skip


@pytest.fixture(params=sorted(FAMILIES))
def family(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def federation(phantom_store: Store) -> Callable[..., SimulationSettings]:
    """Settings of a federation that takes a second or two; `train` changes those of the training."""

    def make(family: str = "rgan", *, train: dict[str, Any] | None = None, **changes: Any) -> SimulationSettings:
        values = {"stores": [phantom_store.path], "clients": 3, "local_iterations": 2}
        return SimulationSettings.parse({**values, "train": FAMILIES[family] | (train or {}), **changes}, source="test")

    return make


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"
