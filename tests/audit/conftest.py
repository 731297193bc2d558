"""A phantom hospital large enough to be audited, a generator for it, and sizes that take seconds."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from radcommons.audit import flow
from radcommons.audit.inputs.material import Material, gather
from radcommons.audit.inputs.privacy import PrivacyInputs
from radcommons.audit.inputs.subject import open_subject
from radcommons.audit.settings import AuditSettings
from radcommons.data.ingest import ingest_phantoms
from radcommons.data.store import Store
from radcommons.extractors import Extractor, ExtractorRecord
from radcommons.gan import training
from radcommons.gan.settings import TrainSettings
from radcommons.policy.settings import Policy
from radcommons.progress import silent
from radcommons.resume import Kept


@pytest.fixture(scope="session")
def hospital(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """160 patients, up to 32 x 32 pixels."""
    out = tmp_path_factory.mktemp("audit") / "site-a"
    ingest_phantoms(out, patients=160, site="A", resolution=32, seed=3)
    return Store.open(out)


@pytest.fixture(scope="session")
def short_run(hospital: Store, tmp_path_factory: pytest.TempPathFactory, tiny: Callable[..., TrainSettings]) -> Path:
    """A run of a second: it has learned next to nothing."""
    run = tmp_path_factory.mktemp("audit-run") / "run"
    training.train(hospital, tiny(), run)
    return run


@pytest.fixture(scope="session")
def sizes() -> AuditSettings:
    """An audit of seconds."""
    return AuditSettings(
        images=150,
        balanced_images=120,
        bootstrap_samples=100,
        permutations=1200,
        fid_halves=10,
        classifier_images=160,
        sensitivity=False,
        pairs=30,
        fewest=8,
        inverted_films=16,
        inversion_steps=3,
        sheet_images=2,
    )


@pytest.fixture(scope="session")
def audited(
    hospital: Store,
    short_run: Path,
    sizes: AuditSettings,
    projection: Extractor,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """The folder of a finished audit."""
    out = tmp_path_factory.mktemp("audited") / "a"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(flow, "load_extractor", lambda name, *, weights=None, device="cpu": projection)
        flow.run(short_run, hospital, out, settings=sizes)
    return out


@pytest.fixture(scope="session")
def projection() -> Extractor:
    """Features by a random projection: the tests here are not about the network."""
    record = ExtractorRecord(name="projection", digest="f" * 64, dimension=24, side=8, resize="mean")
    matrix = torch.from_numpy(np.random.default_rng(0).normal(size=(64, 24)).astype(np.float32))

    def prepare(grey: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.adaptive_avg_pool2d(grey / 255, 8)

    return Extractor(record, prepare, lambda x: x.flatten(1) @ matrix, torch.device("cpu"))


@pytest.fixture(scope="session")
def gathered(
    hospital: Store, short_run: Path, projection: Extractor, tmp_path_factory: pytest.TempPathFactory
) -> Material:
    sizes = AuditSettings(images=150, balanced_images=60, permutations=1200, fewest=8, bootstrap_samples=100)
    subject = open_subject(short_run, hospital, track=silent)
    work = Kept(tmp_path_factory.mktemp("inputs") / "a")
    return gather(hospital, subject, sizes, projection, work, silent)


@pytest.fixture(scope="session")
def inputs(gathered: Material) -> PrivacyInputs:
    return PrivacyInputs.of(gathered, Policy().significance)


@pytest.fixture(autouse=True)
def _quick_extractor(projection: Extractor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flow, "load_extractor", lambda name, *, weights=None, device="cpu": projection)
