"""A second family of generators, in the two dictionaries only: it trains, samples, is audited and explained."""

from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from radcommons.audit import flow as audit
from radcommons.audit.settings import AuditSettings
from radcommons.data.ingest import ingest_phantoms
from radcommons.data.store import Store
from radcommons.explain.flow import InterpolationRequest, MapRequest, explain
from radcommons.extractors import Extractor, ExtractorRecord
from radcommons.gan import plan, training
from radcommons.gan.batches import DataSummary, TrainingBatch
from radcommons.gan.gradients import Compute, compute_gradients
from radcommons.gan.recipe import Position, Recipe, Stage
from radcommons.gan.recipes import RECIPES, load_settings
from radcommons.gan.recipes.progan.losses import label_loss
from radcommons.gan.settings import TrainSettings
from radcommons.models.families import FAMILIES
from radcommons.models.families.family import Family, FamilyConfig
from radcommons.models.generator import Generator, LabelChoice
from radcommons.runs import checkpoint
from radcommons.seeds import derive
from radcommons.synthetic.sampling import write_set

SIDE, BATCH = 16, 8


# ---- the family: a matrix that draws, a matrix that scores ----


class LinearConfig(FamilyConfig):
    @property
    def side(self) -> int:
        return SIDE


class LinearGenerator(nn.Linear):
    def __init__(self, config: LinearConfig) -> None:
        super().__init__(config.latent_size + config.findings, SIDE**2)

    def forward(self, latents: Tensor, labels: Tensor) -> Tensor:
        return super().forward(torch.cat([latents, labels], 1)).view(-1, 1, SIDE, SIDE)


class LinearCritic(nn.Linear):
    def __init__(self, config: LinearConfig) -> None:
        super().__init__(SIDE**2, 1 + config.findings)

    def forward(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        output = super().forward(images.flatten(1))
        return output[:, 0].tanh(), output[:, 1:]


class LinearSettings(TrainSettings):
    family: Literal["linear"]

    def network(self, findings: int) -> LinearConfig:
        return LinearConfig(latent_size=self.latent_size, findings=findings)


class LinearTraining:
    def __init__(self, settings: LinearSettings, data: DataSummary, compute: Compute) -> None:
        self.config, self.compute = settings.network(len(data.label_means)), compute
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive(settings.seed, "weights"))
            self.networks = nn.ModuleDict(
                {"generator": LinearGenerator(self.config), "critic": LinearCritic(self.config)}
            )
        self.optimisers = {name: torch.optim.SGD(net.parameters(), 0.01) for name, net in self.networks.items()}

    def batch_at(self, images_seen: int) -> tuple[int, int]:
        return BATCH, SIDE

    def step(self, position: Position, batch: TrainingBatch) -> dict[str, Tensor]:
        generator, critic = self.networks["generator"], self.networks["critic"]
        wanted = batch.fake_labels.nan_to_num(0.0)

        def of_critic(part: TrainingBatch) -> tuple[Tensor, dict[str, Tensor]]:
            real, logits = critic(part.images, part.real_labels)
            fake, _ = critic(generator(part.latents, wanted).detach(), wanted)
            loss = (fake - real + label_loss(logits, part.real_labels)).mean()
            return loss, {"critic_loss": loss}

        def of_generator(part: TrainingBatch) -> tuple[Tensor, dict[str, Tensor]]:
            scores, logits = critic(generator(part.latents, wanted), wanted)
            loss = (label_loss(logits, wanted) - scores).mean()
            return loss, {"generator_loss": loss}

        numbers = compute_gradients(critic, of_critic, [batch], self.compute)
        self.optimisers["critic"].step()
        numbers |= compute_gradients(generator, of_generator, [batch], self.compute, through=critic)
        self.optimisers["generator"].step()
        return numbers

    def state(self) -> dict[str, Any]:
        return {name: network.state_dict() for name, network in self.networks.items()}

    def load_state(self, state: dict[str, Any]) -> None:
        for name, network in self.networks.items():
            network.load_state_dict(state[name])

    def published(self, images_seen: int) -> tuple[nn.Module, FamilyConfig]:
        return self.networks["generator"], self.config

    def schedule_at(self, images_seen: int) -> dict[str, float]:
        return {}


def one_stage(settings: LinearSettings) -> list[Stage]:
    return [Stage(SIDE, 0, 0, settings.total_images, BATCH, 0.01)]


# ---- what it goes through ----


@pytest.fixture(scope="module", autouse=True)
def _linear_family() -> object:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(FAMILIES, "linear", Family(LinearConfig, LinearGenerator, LinearCritic))
        patch.setitem(RECIPES, "linear", Recipe(LinearSettings, one_stage, LinearTraining))
        yield


@pytest.fixture(scope="module")
def hospital(tmp_path_factory: pytest.TempPathFactory) -> Store:
    out = tmp_path_factory.mktemp("stores") / "site-a"
    ingest_phantoms(out, patients=120, site="A", resolution=SIDE, seed=3)
    return Store.open(out)


@pytest.fixture(scope="module")
def settings() -> LinearSettings:
    sizes = {"checkpoint_every": 400, "samples_every": 400, "log_every": 200}
    return LinearSettings(family="linear", resolution=SIDE, latent_size=6, total_images=800, **sizes)


@pytest.fixture(scope="module")
def run(hospital: Store, settings: LinearSettings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("runs") / "run"
    outcome = training.train(hospital, settings, run)
    assert outcome.finished and outcome.resolution == SIDE
    return run


def test_it_trains_and_resumes_to_the_bit(hospital: Store, settings: LinearSettings, run: Path, tmp_path: Path) -> None:
    steps = 0

    def should_stop() -> bool:
        nonlocal steps
        steps += 1
        return steps == 31

    assert not training.train(hospital, settings, tmp_path / "run", should_stop=should_stop).finished
    assert training.train(hospital, load_settings(tmp_path / "run" / "config.toml"), tmp_path / "run").finished
    states = [checkpoint.load(path, torch.device("cpu")) for path in (run, tmp_path / "run")]
    digests = [checkpoint.digest(state[0]) for state in states if state is not None]
    assert len(digests) == 2 and digests[0] == digests[1]


def test_its_dry_run_has_one_stage_and_its_own_sizes(hospital: Store, settings: LinearSettings) -> None:
    described = plan.describe(hospital, settings)
    inputs = 6 + len(described.findings)
    assert described.generator_parameters == (inputs + 1) * SIDE**2
    assert [stage.resolution for stage in described.schedule] == [SIDE]
    assert described.model_dump(mode="json")["settings"]["family"] == "linear"


def test_it_samples_into_memory_and_into_a_set(run: Path, tmp_path: Path) -> None:
    generator = Generator.load(run, device="cpu")
    drawn = generator.generate(12, balanced=True, seed=1)
    expected = generator.network(*map(torch.from_numpy, generator.inputs(range(12), LabelChoice(balanced=True), 1)))
    np.testing.assert_allclose(drawn.images, (127.5 * (expected[:, 0] + 1)).clip(0, 255), atol=0.51)
    written = write_set([generator], tmp_path / "set", 12, choice=LabelChoice(balanced=True), seed=1)
    assert written is not None and len(list((tmp_path / "set" / "images").iterdir())) == 12


@pytest.mark.slow
def test_it_is_explained(run: Path, hospital: Store, tmp_path: Path) -> None:
    asked = MapRequest(n=24, singles=2, smoothing=0, store=hospital.path)
    found = explain(
        run, tmp_path / "e", every=True, interpolation=InterpolationRequest(frames=3, patients=2), map_=asked
    )
    assert len(found.maps) == len(found.morphs) == len(found.findings)


@pytest.mark.slow
def test_it_is_audited_with_its_weights_and_its_critic(
    run: Path, hospital: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = ExtractorRecord(name="pixels", digest="f" * 64, dimension=64, side=8, resize="mean")
    prepare = nn.AdaptiveAvgPool2d(8)
    pixels = Extractor(record, lambda grey: prepare(grey / 255), lambda x: x.flatten(1), torch.device("cpu"))
    monkeypatch.setattr(audit, "load_extractor", lambda name, *, weights=None, device="cpu": pixels)
    sizes = {"images": 60, "balanced_images": 60, "permutations": 1_100, "bootstrap_samples": 100, "fid_halves": 10}
    sizes |= {"classifier_images": 100, "pairs": 20, "inverted_films": 16, "inversion_steps": 2, "sheet_images": 2}
    report = audit.run(run, hospital, tmp_path / "audit", settings=AuditSettings(**sizes))
    tests = {test.access: test for test in report.privacy if test.access in ("weights", "critic")}
    assert tests.keys() == {"weights", "critic"} and not any(test.skipped for test in tests.values())
