"""What a worker of a cluster does to draw a block, and what it says where it cannot."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from radcommons.errors import ClusterRefused, GeneratorRefused, PathMissing
from radcommons.models.families.progan import GeneratorNetwork, ProganConfig
from radcommons.models.generator import Generator, LabelChoice
from radcommons.models.generator_files import save_generator
from radcommons.records import FindingsRecord
from radcommons.synthetic import cluster as cluster_sampling
from radcommons.synthetic.cluster import Source, draw_block


@pytest.fixture
def generator(tmp_path: Path) -> Generator:
    torch.manual_seed(0)
    config = ProganConfig(resolution=16, channels={4: 6, 8: 5, 16: 4}, latent_size=5, findings=1)
    findings = FindingsRecord(findings=("Effusion",), combinations=(((0,), 60), ((1,), 30)), smallest_cell=5)
    network = GeneratorNetwork(config)
    save_generator(tmp_path / "package", network, findings, name="site", family="progan", config=config, images_seen=1)
    return Generator.load(tmp_path / "package", device="cpu")


@pytest.fixture
def source(generator: Generator) -> Source:
    assert generator.folder is not None
    return Source(generator.folder, generator.digest, "cpu")


def test_a_worker_draws_the_images_that_are_drawn_here(generator: Generator, source: Source) -> None:
    whole = generator.generate(150, seed=4)
    for start, stop in ((0, 64), (70, 128), (128, 150)):
        batch = draw_block(source, start, stop, LabelChoice(), 4)
        assert batch.first == start
        assert np.array_equal(batch.images, whole.images[start:stop])
        assert np.array_equal(batch.labels, whole.labels[start:stop])


def test_a_worker_opens_a_generator_once(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = []
    load = Generator.load
    monkeypatch.setattr(cluster_sampling.Generator, "load", lambda *a: opened.append(a) or load(*a))
    for start in (0, 64, 128):
        draw_block(source, start, start + 1, LabelChoice(), 0)
    assert len(opened) == 1


def test_a_worker_that_does_not_see_the_folder_names_it(source: Source, tmp_path: Path) -> None:
    gone = tmp_path / "not-mounted" / "run"
    with pytest.raises(PathMissing, match=f"a worker of the cluster does not see {gone}; put the generator where"):
        draw_block(replace(source, folder=gone), 0, 1, LabelChoice(), 0)


def test_a_worker_that_sees_other_weights_refuses(source: Source) -> None:
    with pytest.raises(GeneratorRefused, match=f"a worker of the cluster sees another generator at {source.folder}"):
        draw_block(replace(source, digest="0" * 64), 0, 1, LabelChoice(), 0)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_worker_without_a_gpu_does_not_draw_what_another_kind_of_device_would(source: Source) -> None:
    with pytest.raises(ClusterRefused, match="a worker of the cluster has no GPU and this machine has one"):
        draw_block(replace(source, device="cuda"), 0, 1, LabelChoice(), 0)
