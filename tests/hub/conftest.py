"""Packages of untrained generators of 16 pixels with an audit of the right digest; reference statistics; databases."""

import atexit
import json
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import ProxyHandler, build_opener

import numpy as np
import pytest
import torch
from django.conf import settings

from radcommons.extractors import extract, load_extractor
from radcommons.extractors.reference_statistics import ReferenceStatistics
from radcommons.hub.gate_settings import GateRules
from radcommons.hub.measures import measure
from radcommons.hub.server import hub_site
from radcommons.metrics.smoothed_gaussian import frechet_distance_to, smoothed_gaussian
from radcommons.models.families.rgan import GeneratorNetwork, RganConfig
from radcommons.models.generator import Generator
from radcommons.models.generator_files import save_generator
from radcommons.packages.card import CardWords
from radcommons.packages.signatures import new_keys, sign
from radcommons.packing import Contents, write_package
from radcommons.policy.settings import Policy
from radcommons.records import (
    AuditReport,
    Diversity,
    FindingsRecord,
    Histogram,
    ReferenceRecord,
    ReferenceSide,
    sha256_file,
)
from radcommons.web.site import open_site

if not settings.configured:  # a test file can import the hub's models only after this
    place = Path(tempfile.mkdtemp(prefix="radcommons-tests-"))
    atexit.register(shutil.rmtree, place, ignore_errors=True)
    open_site(replace(hub_site(place, None), apps=("radcommons.hub", "radcommons.study")))  # also for tests/study

ROOT = Path(__file__).parents[2]
SIDE, FINDINGS = 16, ("Effusion", "Nodule")
RULES = GateRules(images=100, images_per_finding=30, pairs=60)


@dataclass(frozen=True)
class Deposit:
    """A package in a folder of its own, and the keys that signed it."""

    folder: Path
    public: Path
    private: Path

    def change(self, name: str, **values: Any) -> None:
        """Change entries of a JSON file."""
        path = self.folder / name
        path.write_text(json.dumps({**json.loads(path.read_text()), **values}))

    def sign(self) -> None:
        """Sign what is there now."""
        (self.folder / "model.sig").unlink(missing_ok=True)
        sign(self.folder, self.private)

    def about_its_weights(self) -> None:
        """Let the records name the weights that are there now, as somebody who cheats would, and sign."""
        digest = sha256_file(self.folder / "generator.safetensors")
        self.change("config.json", weights_sha256=digest)
        self.change("audit.json", digest=digest)
        self.sign()


@pytest.fixture(scope="session")
def rules() -> GateRules:
    """An examination of seconds."""
    return RULES


@pytest.fixture(scope="session")
def deposit_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Deposit]:
    """Makes the package of a network; `change` is done to the network before."""

    def make(
        change: Callable[[GeneratorNetwork], object] = lambda network: None, seed: int = 0, **config: Any
    ) -> Deposit:
        folder = tmp_path_factory.mktemp("deposit")
        values = {"latent_size": 8, "style": 8, "findings": 2, "resolution": SIDE, "channels": {4: 8, 8: 8, 16: 8}}
        shape = RganConfig.model_validate({**values, **config})
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            network = GeneratorNetwork(shape)
        with torch.no_grad():
            network.start.mul_(0.3)
            change(network)
        combinations = (((0, 0), 60), ((1, 0), 30), ((0, 1), 20))
        findings = FindingsRecord(findings=FINDINGS, combinations=combinations, smallest_cell=5)
        run, audit = folder / "run", folder / "audit"
        save_generator(run, network, findings, family="rgan", config=shape, name="toy", images_seen=100)
        audit.mkdir()
        (audit / "audit.json").write_text(audit_of(run).to_json())
        new_keys(folder / "keys")
        public, private = folder / "keys" / "public.pem", folder / "keys" / "private.pem"
        words = CardWords(name="Toy", license="cc-by-4.0", contact="somebody")
        contents = Contents(words, ROOT / "LICENSE", allow_failed=True)
        write_package(run, audit, folder / "package", contents, private_key=private, rules=Policy())
        return Deposit(folder / "package", public, private)

    return make


def audit_of(run: Path) -> AuditReport:
    """A passed audit with the diversity that the generator has."""
    example = AuditReport.model_validate_json((ROOT / "docs/examples/audit-rgan-nih-64.json").read_bytes())
    generator = Generator.load(run, device="cpu")
    found = measure(generator, FINDINGS, images=100, per_finding=60, pairs=60, seed=5).figures.ms_ssim_by_finding
    spread = Histogram(edges=(0, 1), shares={})
    diversity = tuple(
        Diversity(finding=finding, pairs=60, scales=1, side=SIDE, real=value, real_sd=0.1, synthetic=value,
                  synthetic_sd=0.1, spread=spread)
        for finding, value in found.items()
    )  # fmt: skip
    changes = {"digest": generator.digest, "findings": FINDINGS, "resolution": SIDE, "diversity": diversity}
    return example.model_copy(update=changes)


@pytest.fixture(scope="session")
def good(deposit_of: Callable[..., Deposit]) -> Deposit:
    """A package that passes; tests change a copy of it."""
    return deposit_of()


@pytest.fixture
def deposit(good: Deposit, tmp_path: Path) -> Deposit:
    """A copy of the good package."""
    shutil.copytree(good.folder, tmp_path / "package")
    return Deposit(tmp_path / "package", good.public, good.private)


@pytest.fixture(scope="session")
def reference(good: Deposit, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Statistics of what takes the place of films: other images of the good generator."""
    extractor = load_extractor("efficientnet-lite0")
    films = Generator.load(good.folder, device="cpu").generate(120, seed=9).images
    noise = np.random.default_rng(0).integers(0, 256, (100, SIDE, SIDE), np.uint8)
    gaussian = smoothed_gaussian(extract(extractor, films).values, 10)
    distance = frechet_distance_to(gaussian, extract(extractor, noise).values)
    side = ReferenceSide(
        side=SIDE, fid_films=1, fid_blurred=distance, fid_noise=distance, control_count=100, ms_ssim=0.5,
        membership_auc=0.5,
    )  # fmt: skip
    record = ReferenceRecord(
        name="toy films", extractor=extractor.record.name, extractor_sha256=extractor.record.digest,
        dimension=extractor.record.dimension, extractor_side=extractor.record.side, resize=extractor.record.resize,
        parts=("train",), films=1_000, patients=500, components=10, sides=(side,), versions={},
    )  # fmt: skip
    arrays = {
        name: np.asarray(getattr(gaussian, name), np.float64) for name in ("mean", "components", "variances", "rest")
    }
    path = tmp_path_factory.mktemp("reference") / "toy.npz"
    ReferenceStatistics(record, {SIDE: arrays}).save(path)
    return path


@pytest.fixture(params=["SQLite", "PostgreSQL"])
def database(database: str | None) -> str | None:
    """Every test of the hub is run on both."""
    return database


# ---- the real server ----


@dataclass(frozen=True)
class Server:
    """A hub that answers at an address: its process, and the file in which it says what it does."""

    address: str
    command: Any
    log_file: Path

    def get(self, path: str) -> tuple[int, str]:
        """Status and text of an answer; (0, "") where nothing answers."""
        try:
            with build_opener(ProxyHandler({})).open(self.address + path, timeout=60) as answer:
                return answer.status, answer.read().decode()
        except HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def log(self) -> str:
        return self.log_file.read_text()

    def wait_until(self, reached: Callable[[], object]) -> None:
        """Wait for what the server does; it must be running then."""

        def now() -> object:
            time.sleep(0.1)
            return reached()

        self.command.wait_until(now)

    def kill(self) -> None:
        """Kill all of its processes."""
        self.command.signal_all(signal.SIGKILL)
        self.command.process.wait()


@pytest.fixture
def serve(start: Callable[..., Any], database: str | None, free_port: Callable[[], int]) -> Callable[..., Server]:
    """Starts the server of a hub on this machine, and waits until it answers."""

    def begin(data: Path, *options: str, port: int | None = None) -> Server:
        port, log = port or free_port(), data.parent / f"{data.name}.log"
        command = [sys.executable, "-m", "radcommons", "hub", "serve", "--data", str(data), "--port", str(port)]
        quietly = ["sh", "-c", f'exec "$0" "$@" 2>>"{log}"']  # a pipe that nobody reads would stop the server
        server = Server(f"http://127.0.0.1:{port}", start([*quietly, *command, "--processes", "1", *options]), log)
        server.wait_until(lambda: server.get("/healthz")[0] == 200)
        return server

    return begin
