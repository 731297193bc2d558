"""Generators of a few kilobytes with the findings and the resolution that a test wants."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from radcommons.models.families.progan import GeneratorNetwork, ProganConfig
from radcommons.models.generator_files import save_generator
from radcommons.pool.settings import PoolSettings
from radcommons.records import FindingsRecord

MakeGenerator = Callable[..., Path]


@pytest.fixture
def make(tmp_path: Path) -> MakeGenerator:
    """Saves a generator in a folder of its name: each finding alone in 20 training images, none of them in 40."""

    def saved(name: str, findings: Sequence[str], *, resolution: int = 16) -> Path:
        torch.manual_seed(sum(name.encode()))
        channels = {4: 6, 8: 5, 16: 4, 32: 3}
        config = ProganConfig(
            resolution=resolution,
            channels={side: count for side, count in channels.items() if side <= resolution},
            latent_size=5,
            findings=len(findings),
        )
        one_each = [(tuple(int(f == g) for g in findings), 20) for f in findings]
        combinations = (((0,) * len(findings), 40), *one_each)
        record = FindingsRecord(findings=tuple(findings), combinations=combinations, smallest_cell=5)
        network = GeneratorNetwork(config)
        save_generator(tmp_path / name, network, record, name=name, family="progan", config=config, images_seen=1)
        return tmp_path / name

    return saved


@pytest.fixture
def two_sites(make: MakeGenerator) -> tuple[Path, Path]:
    """Two generators that name one finding differently and have one each that the other does not know."""
    return make("a", ["Effusion", "Mass"]), make("b", ["Pneumonia", "Pleural Effusion"])


@pytest.fixture
def spec() -> Callable[..., PoolSettings]:
    """Makes a specification; a generator is its table or its folder."""

    def settings(*generators: Path | dict[str, Any], **changes: Any) -> PoolSettings:
        tables = [{"reference": str(each)} if isinstance(each, Path) else each for each in generators]
        return PoolSettings.parse({"generator": tables, **changes}, source="test")

    return settings
