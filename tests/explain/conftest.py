"""A generator that paints: what each label does is known, so that maps, scores and words can be checked."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import torch

from radcommons.data.store import Store
from radcommons.data.truth import read_truth
from radcommons.explain import flow
from radcommons.extractors import Extractor, ExtractorRecord
from radcommons.gan import training
from radcommons.gan.settings import TrainSettings
from radcommons.models.generator import Generator
from radcommons.records import (
    AuditReport,
    ClassifierRecord,
    Diversity,
    Estimate,
    Fidelity,
    Histogram,
    Judgement,
    QualityScore,
)

SIDE = 16


@dataclass(frozen=True)
class Painter(Generator):
    """Draws a film of its own for each latent and adds, for each finding, its label times a picture."""

    paint: Mapping[str, np.ndarray] = field(default_factory=dict)

    def draw(self, latents: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """uint8 (n, R, R)."""
        rng = np.random.default_rng(0)
        texture = rng.normal(0, 6, (latents.shape[1], SIDE, SIDE))
        films = body() * (110 + np.tensordot(latents.astype(np.float64), texture, axes=1))
        effects = np.stack([self.paint.get(name, np.zeros((SIDE, SIDE))) for name in self.findings])
        return np.clip(np.rint(films + np.tensordot(labels, effects, axes=1)), 0, 255).astype(np.uint8)


def body() -> np.ndarray:
    """1 in the body, 0.15 in the air on both sides."""
    film = np.ones((SIDE, SIDE))
    film[:, :2] = film[:, -2:] = 0.15
    return film


@pytest.fixture(scope="session")
def short_run(
    phantom_store: Store, tmp_path_factory: pytest.TempPathFactory, tiny: Callable[..., TrainSettings]
) -> Path:
    """A run of a second."""
    run = tmp_path_factory.mktemp("explain") / "run"
    training.train(phantom_store, tiny(), run)
    return run


@pytest.fixture(scope="session")
def heats(phantom_store: Store) -> dict[str, np.ndarray]:
    """Where the phantom's findings sit, (16, 16) each."""
    return read_truth(phantom_store, SIDE)


@pytest.fixture
def painter(short_run: Path) -> Callable[[Mapping[str, np.ndarray]], Painter]:
    """Makes a painting generator from the pictures of its findings."""
    loaded = Generator.load(short_run, device="cpu")

    def make(paint: Mapping[str, np.ndarray]) -> Painter:
        record = replace_digest(loaded, paint)
        return Painter(loaded.network, record, loaded.findings_record, loaded.device, short_run, paint)

    return make


def replace_digest(loaded: Generator, paint: Mapping[str, np.ndarray]):
    """Its record, with a digest that depends on the paint."""
    mark = float(sum(np.abs(picture).sum() for picture in paint.values()))
    return loaded.record.model_copy(update={"weights_sha256": f"{hash(mark) & (2**64 - 1):064x}"})


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> Callable[[Generator], None]:
    """Makes the commands load a given generator."""

    def set_(generator: Generator) -> None:
        monkeypatch.setattr(flow.Generator, "load", lambda reference, **_: generator)

    return set_


@pytest.fixture(autouse=True)
def _quick_extractor(monkeypatch: pytest.MonkeyPatch) -> None:
    """Features by averaging: the tests here are not about the network."""
    record = ExtractorRecord(name="projection", digest="f" * 64, dimension=64, side=8, resize="mean")

    def load(name: str, *, weights: object = None, device: object = "cpu") -> Extractor:
        return Extractor(record, lambda grey: torch.nn.functional.adaptive_avg_pool2d(grey / 255, 8),
                         lambda x: x.flatten(1), torch.device("cpu"))  # fmt: skip

    monkeypatch.setattr(flow, "load_extractor", load)


@pytest.fixture
def works(painter, heats, loads):
    """A generator whose labels for Effusion and Cardiomegaly do what they say, and whose others do nothing."""
    loads(painter({name: 40 * heats[name] for name in ("Effusion", "Cardiomegaly")}))


JUDGED = ("Cardiomegaly", "Effusion", "Nodule", "Edema")


@dataclass
class Eye:
    """A classifier that sees how bright the region of each finding is."""

    heats: dict[str, np.ndarray]
    findings: tuple[str, ...] = JUDGED
    digest: str = "e" * 64
    images: int = 0

    @property
    def record(self) -> ClassifierRecord:
        return ClassifierRecord(
            name="the eye", network={}, findings=self.findings, images_seen=1, validation_loss=None, thresholds={},
            weights_sha256=self.digest,
        )  # fmt: skip

    def scores(self, images: np.ndarray) -> np.ndarray:
        self.images += len(images)
        regions = [self.heats[f] > self.heats[f].max() / 2 for f in self.findings]
        bright = np.stack([images[:, region].mean(axis=1) for region in regions], axis=1)
        return (1 / (1 + np.exp(-(bright - 110) / 20))).astype(np.float32)


@pytest.fixture
def classifier(heats, monkeypatch: pytest.MonkeyPatch) -> Eye:
    """Replaces every classifier that is loaded."""
    eye = Eye(heats)
    monkeypatch.setattr(flow.Classifier, "load", lambda reference: eye)
    return eye


def a_judgement(privacy: str) -> Judgement:
    statement = "No leak was found, and one image in 200 would have been."
    return Judgement(privacy=privacy, quality="failed", statement=statement, quality_statement="Too blurred.", lines=())


def an_audit(generator: Generator, folder: Path, **changes: object) -> Path:
    """The folder of a finished audit of a generator, made up of little."""
    folder.mkdir()
    values: dict[str, object] = {
        "subject": "run",
        "kind": "generator",
        "digest": generator.digest,
        "findings": generator.findings,
        "resolution": 16,
        "images_seen": 9,
        "trained_on_store": True,
        "store": "own",
        "store_manifest_sha256": "0" * 64,
        "counts": {
            "films in training": 60,
            "patients in training": 40,
            "patients held out": 20,
            "synthetic images": 100,
        },
        "detection_limit": 0.005,
        "settings": {},
        "request_sha256": "0" * 64,
        "versions": {},
        "quality": [
            QualityScore(
                images="synthetic images",
                reference="held-out films",
                image_count=100,
                reference_count=50,
                extractor="toy",
                extractor_sha256="0" * 64,
                resize="none",
                fid=Estimate(value=12.3, low=11, high=14),
            )
        ],
        "diversity": [
            Diversity(
                finding="Nodule",
                pairs=9,
                scales=2,
                side=16,
                real=0.31,
                real_sd=0.1,
                synthetic=0.42,
                synthetic_sd=0.1,
                spread=Histogram(edges=(0, 1), shares={}),
            )
        ],
        "fidelity": [
            Fidelity(
                finding="Effusion",
                positives=9,
                auc_real=Estimate(value=0.81),
                auc_synthetic=Estimate(value=0.93),
                strengths=(),
                scores=(),
            )
        ],
        "privacy": (),
        "controls": (),
        "judgement": a_judgement("passed"),
        **changes,
    }
    (folder / "audit.json").write_text(AuditReport(**values).to_json())
    return folder


@pytest.fixture
def audited() -> Callable[..., Path]:
    return an_audit


@pytest.fixture
def judgement() -> Callable[[str], Judgement]:
    return a_judgement
