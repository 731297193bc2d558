"""Fixtures for every test: the real radiographs, a phantom store, a run that takes a second."""

import contextlib
import csv
import itertools
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import cv2
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

from radcommons.data.ingest import ingest_phantoms
from radcommons.data.store import Store
from radcommons.gan.recipes.progan.settings import ProganSettings
from radcommons.models.families.progan import GeneratorNetwork, ProganConfig
from radcommons.models.generator_files import RUN_SUBFOLDER, save_generator
from radcommons.packages.card import CardWords
from radcommons.packages.contents import Package, open_package
from radcommons.packages.signatures import new_keys
from radcommons.packing import Contents, write_package
from radcommons.policy.judge import judge
from radcommons.policy.settings import Policy
from radcommons.records import (
    AuditReport,
    AuditResults,
    FindingsRecord,
    GeneratorRecord,
    PatientsRecord,
    sha256_file,
)
from radcommons.signals import STOP_SIGNALS
from radcommons.study.analysis import analyse

torch.set_num_threads(1)  # networks this small are slower on several, and the tests run side by side
os.environ["OMP_NUM_THREADS"] = "1"  # the same for the commands that tests start
hypothesis_settings.register_profile("any speed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
hypothesis_settings.load_profile("any speed")


with contextlib.suppress(ImportError):  # of the accountant of differential privacy; it would close pytest's own stream
    from absl import logging as absl_logging

    absl_logging.get_absl_handler().python_handler.stream = sys.__stderr__


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real radiographs beside the project; skips with the reason where it is absent."""
    folder = Path(__file__).parents[1].parent / "shared" / "data"
    if not (folder / "nih").is_dir():
        pytest.skip(f"no real radiographs: {folder} is absent")
    return folder


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def device(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[torch.device]:
    """The CPU, and a GPU if there is one; in full float32, because TF32 is too coarse to compare the two."""
    if request.param == "cpu":
        monkeypatch.setattr(torch.cuda, "is_available", lambda: False)  # for what chooses the device by itself
    elif not torch.cuda.is_available():
        pytest.skip("no CUDA GPU")
    with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False):
        yield torch.device("cpu") if request.param == "cpu" else torch.device("cuda", 0)


@pytest.fixture(scope="session")
def phantom_store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A small phantom hospital, up to 32 x 32 pixels."""
    out = tmp_path_factory.mktemp("stores") / "site-a"
    ingest_phantoms(out, patients=40, site="A", resolution=32, seed=7)
    return Store.open(out)


@pytest.fixture(scope="session")
def film_table() -> Callable[..., Path]:
    """Writes a folder of grey films with a labels.csv for 'data import table', and returns it."""
    return write_film_table


def write_film_table(
    folder: Path, *, films: int = 12, side: int = 40, prefix: str = "film", suffix: str = ".png"
) -> Path:
    """Ten different PNG pictures in turn, whatever the suffix, two films a patient, findings Pneumonia and Effusion."""
    folder.mkdir(parents=True, exist_ok=True)
    pictures = []
    for seed in range(min(10, films)):
        noise = np.random.default_rng(seed).integers(0, 256, (side + 8, side), np.uint8)
        pictures.append(cv2.imencode(".png", cv2.blur(noise, (3, 3)))[1].tobytes())
    lines = ["image,patient,age,sex,view,Pneumonia,Effusion"]
    for number in range(films):
        (folder / f"{prefix}-{number}{suffix}").write_bytes(pictures[number % 10])
        lines.append(f"{prefix}-{number}{suffix},{prefix}-patient-{number // 2},{40 + number % 30},F,PA,{number % 2},0")
    (folder / "labels.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def tiny() -> Callable[..., ProganSettings]:
    """Settings of a run that takes a second, with changes."""
    return tiny_settings


def tiny_settings(**changes: object) -> ProganSettings:
    """Settings of a run that takes a second: 4 to 16 pixels, a few channels, batches of 8."""
    values: dict[str, object] = {
        "total_images": 160,
        "images_per_phase": 32,
        "resolution": 16,
        "channels": {4: 6, 8: 5, 16: 4},
        "latent_size": 5,
        "batch_size": {4: 8, 8: 8, 16: 8},
        "learning_rate": {4: 0.002},
        "checkpoint_every": 40,
        "samples_every": 80,
        "log_every": 16,
    }
    return ProganSettings.model_validate({**values, **changes})


@dataclass(frozen=True)
class AuditedRun:
    """A run whose generator was never trained, and an audit that finds nothing: enough to be packaged."""

    run: Path
    audit: Path
    report: AuditReport


@pytest.fixture(scope="session")
def audited_run(tmp_path_factory: pytest.TempPathFactory) -> AuditedRun:
    """Shared by all tests, which leave it as it is."""
    folder = tmp_path_factory.mktemp("audited")
    run, audit = folder / "run", folder / "audit"
    config = ProganConfig(resolution=16, channels={4: 4, 8: 3, 16: 3}, latent_size=5, findings=2)
    findings = FindingsRecord(
        findings=("Effusion", "Pleural_Thickening"),
        combinations=(((0, 0), 70), ((1, 0), 25), ((0, 1), 5)),
        smallest_cell=5,
        withheld_images=3,
    )
    patients = PatientsRecord(salt="0a" * 16, source="nih", key_fingerprint="0b" * 8, hashes=("0c" * 8, "0d" * 8))
    torch.manual_seed(0)
    save_generator(
        run / RUN_SUBFOLDER,
        GeneratorNetwork(config),
        findings,
        family="progan",
        config=config,
        name="site-a",
        images_seen=1200,
        patients=patients,
    )
    (run / "checkpoint.pt").write_bytes(b"the critic")
    record = GeneratorRecord.model_validate_json((run / RUN_SUBFOLDER / "config.json").read_bytes())
    report = clean_report(record.weights_sha256, findings.findings)
    audit.mkdir()
    (audit / "audit.json").write_text(report.to_json(), encoding="utf-8")
    (audit / "report.html").write_text("films of patients", encoding="utf-8")
    return AuditedRun(run, audit, report)


def clean_report(digest: str, findings: tuple[str, ...]) -> AuditReport:
    """What an audit of a generator of 16 x 16 pixels says that meets the shipped policy."""
    access = {"membership inference: white-box": "weights", "train-test duplicates": "films"}
    kinds = (
        "near-duplicates",
        "data copying",
        "distance to closest record",
        "membership inference: black-box",
        *access,
    )
    scores = {"synthetic images": 62.0, "training films": 27.0, "blurred training films": 240.0, "noise": 390.0}
    compared = {"extractor": "toy", "extractor_sha256": "e" * 64, "resize": "none", "reference": "held-out films"}
    results = AuditResults.model_validate(
        {
            "subject": "site-a",
            "kind": "generator",
            "digest": digest,
            "findings": findings,
            "resolution": 16,
            "images_seen": 1200,
            "patients": {"in_training": 80, "held_out": 0, "for_reference": 0, "incomparable": None},
            "trained_on_store": True,
            "store": "site-a",
            "store_manifest_sha256": "0" * 64,
            "counts": {
                "films in training": 103,
                "patients in training": 80,
                "films held out": 40,
                "patients held out": 30,
                "films for reference": 20,
                "patients for reference": 15,
            },
            "detection_limit": 0.005,
            "settings": {"seed": 0, "extractor_weights": "/mnt/radiology/mueller/weights.pt"},
            "request_sha256": "0" * 64,
            "versions": {"radcommons": "0.1.0"},
            "quality": [
                {"images": images, "image_count": 40, "reference_count": 40, **compared, "fid": {"value": fid},
                 "precision": 0.7, "recall": 0.6, "density": 0.8, "coverage": 0.5}
                for images, fid in scores.items()
            ],
            "diversity": [],
            "fidelity": [],
            "privacy": [
                {"kind": kind, "access": access.get(kind, "samples"), "question": "?", "result": {"value": 0.0},
                 "p_value": 0.4, "detection_limit": 0.55 if kind.startswith("membership") else 0.02}
                for kind in kinds
            ],
            "controls": [],
        }
    )  # fmt: skip
    return AuditReport(**results.model_dump(), judgement=judge(results, Policy()))


# ---- packages: keys, and a function that packages the audited run ----


@dataclass(frozen=True)
class Keys:
    private: Path
    public: Path


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    folder = tmp_path_factory.mktemp("keys") / "keys"
    new_keys(folder)
    return Keys(folder / "private.pem", folder / "public.pem")


@pytest.fixture(scope="session")
def words() -> CardWords:
    return CardWords(name="Site A", license="cc-by-nc-4.0", contact="radiology@example.org")


@pytest.fixture(scope="session")
def pack(
    audited_run: Any, keys: Keys, words: CardWords, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., Package]:
    """Packages the audited run, with changes."""
    license_file = tmp_path_factory.mktemp("license") / "LICENSE"
    license_file.write_text("You may.", encoding="utf-8")

    def make(out: Path, *, rules: Policy | None = None, **contents: Any) -> Package:
        return write_package(
            contents.pop("run", audited_run.run),
            contents.pop("audit", audited_run.audit),
            out,
            Contents(**{"words": words, "license_file": license_file, **contents}),
            private_key=keys.private,
            rules=rules or Policy(),
        )

    return make


@pytest.fixture(scope="session")
def packaged(pack: Callable[..., Package], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A package for all tests, which leave it as it is."""
    return pack(tmp_path_factory.mktemp("packaged") / "package").folder


@pytest.fixture
def package(packaged: Path, tmp_path: Path) -> Package:
    """A copy of the package for one test."""
    shutil.copytree(packaged, tmp_path / "package")
    return open_package(tmp_path / "package")


# ---- a reader study of its generator ----

READERS = ("Dr Ampel", "Dr Birne", "Dr Chur", "Ingo Dachs", "Ingo Esel", "Ingo Fuchs")


@pytest.fixture(scope="session")
def studied(audited_run: Any, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Analyses a study of readers who are right in 80%: two groups of three, images of 16 and 32 pixels.

    Half of the synthetic images are of the audited run, unless `drawn_by` gives the digests of generators in turn.
    Returns its study.json.
    """

    def make(
        drawn_by: Sequence[str] | None = None, readers: Sequence[str] = READERS, groups: Sequence[str] | None = None
    ) -> Path:
        folder = tmp_path_factory.mktemp("studied")
        groups = groups or ["radiologists"] * 3 + ["engineers"] * (len(readers) - 3)
        rng, drew = np.random.default_rng(0), drawn_by or (audited_run.report.digest, "f" * 64)
        with (folder / "answers.csv").open("w", newline="") as file:
            out = csv.writer(file)
            out.writerow(["reader", "group", "block", "position", "image", "truth", "answer"])
            for block in ("16", "32"):
                for reader, group in zip(readers, groups, strict=True):
                    for image in range(40):
                        kinds = ("synthetic", "real") if image % 2 else ("real", "synthetic")
                        called = "timed out" if image == 7 else kinds[int(rng.random() > 0.8)]
                        out.writerow([reader, group, block, image + 1, f"{block}-{image}", kinds[0], called])
        names = [f"{block}-{image}" for block in ("16", "32") for image in range(1, 40, 2)]
        made_by = {name: drew[number % len(drew)] for number, name in enumerate(names)}
        answered = date(2026, 3, 1)
        analyse(folder / "answers.csv", folder / "out", bootstrap_samples=100, drawn_by=made_by, last_answer=answered)
        return folder / "out" / "study.json"

    return make


# ---- databases ----

OLDEST_POSTGRESQL = 15  # whose names can be sorted as people sort them, everywhere alike


@pytest.fixture
def database(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str | None]:
    """None for SQLite; the address of an empty database for tests with the parameter "PostgreSQL"."""
    if getattr(request, "param", "SQLite") == "SQLite":
        yield None
        return
    with request.getfixturevalue("postgresql").new_database() as address:
        monkeypatch.setenv("RADCOMMONS_DATABASE", address)  # for the commands that the test starts
        yield address


@pytest.fixture(scope="session")
def postgresql(migrated: Path, in_database: Callable[..., Any]) -> Iterator["PostgreSQL"]:
    """A server of PostgreSQL for the tests alone; skips with the reason where it is not installed."""
    found = [path for path in Path("/usr/lib/postgresql").glob("*/bin") if int(path.parent.name) >= OLDEST_POSTGRESQL]
    if not found:
        pytest.skip(f"no PostgreSQL {OLDEST_POSTGRESQL} or newer: Debian's package is postgresql")
    pytest.importorskip("psycopg", reason="psycopg is not installed: pip install '.[dev]'")
    server = PostgreSQL(found[0])
    try:
        server.start()
        server.make_template(in_database)
        yield server
    finally:
        server.end()


class PostgreSQL:
    """A server of PostgreSQL, with its data in a temporary folder; as it does not run as root, "nobody" runs it."""

    TEMPLATE = "migrated"
    USER, PASSWORD = "tests", "p@ss:w/rd 100%"

    def __init__(self, programs: Path) -> None:
        self.programs, self.folder = programs, Path(tempfile.mkdtemp(prefix="radcommons-postgresql-"))
        self.port, self.names = a_free_port(), (f"test_{number}" for number in itertools.count())
        self.process: subprocess.Popen[bytes] | None = None
        secret = self.folder / "password"
        secret.write_text(self.PASSWORD)
        self.user: dict[str, Any] = {"cwd": self.folder}
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            self.user |= {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
            for path in (self.folder, secret):
                os.chown(path, nobody.pw_uid, nobody.pw_gid)
        command = [programs / "initdb", "-D", "data", "-U", self.USER, f"--pwfile={secret}", "--auth=scram-sha-256"]
        command += ["-E", "UTF8", "--locale=C.UTF-8", "--locale-provider=icu", "--icu-locale=en-US", "--no-sync"]
        subprocess.run(command, check=True, capture_output=True, **self.user)

    def address(self, name: str) -> str:
        """As for the option --database."""
        return f"postgresql://{self.USER}:{quote(self.PASSWORD, safe='')}@127.0.0.1:{self.port}/{name}"

    def start(self) -> None:
        """Start, and wait until it answers."""
        quick = {"fsync": "off", "full_page_writes": "off", "autovacuum": "off", "jit": "off", "shared_buffers": "16MB"}
        chosen = {**quick, "listen_addresses": "127.0.0.1", "port": self.port, "unix_socket_directories": ""}
        command = [self.programs / "postgres", "-D", "data", *(f"--{name}={value}" for name, value in chosen.items())]
        import psycopg

        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, **self.user)
        while True:
            try:
                return psycopg.connect(self.address("postgres"), connect_timeout=10).close()
            except psycopg.OperationalError:
                assert self.process.poll() is None, (self.folder / "log").read_text()
                time.sleep(0.05)

    def stop(self, how: int = signal.SIGINT) -> None:
        """Send everybody away, and end."""
        if self.process is not None:
            self.process.send_signal(how)
            self.process.wait()

    def end(self) -> None:
        """End, and leave nothing."""
        self.stop(signal.SIGQUIT)
        shutil.rmtree(self.folder, ignore_errors=True)

    def execute(self, statement: str) -> None:
        import psycopg

        with psycopg.connect(self.address("postgres"), autocommit=True) as connection:
            connection.execute(statement)

    def make_template(self, in_database: Callable[..., Any]) -> None:
        """A database with empty tables, of which each test gets a copy."""
        self.execute(f"CREATE DATABASE {self.TEMPLATE}")
        with in_database(self.folder, self.address(self.TEMPLATE)):
            from radcommons.web.site import migrate

            migrate()

    @contextlib.contextmanager
    def new_database(self) -> Iterator[str]:
        """The address of a copy of the template."""
        name = next(self.names)
        self.execute(f"CREATE DATABASE {name} TEMPLATE {self.TEMPLATE}")
        yield self.address(name)
        if self.process is None or self.process.poll() is not None:  # the test has stopped the server
            self.start()
        self.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="session")
def free_port() -> Callable[[], int]:
    return a_free_port


def a_free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


# ---- pages in a browser ----

DESKTOP, TABLET, PHONE = ({"width": 1280, "height": 900}, {"width": 768, "height": 1024}, {"width": 390, "height": 844})
LAID_OUT = """async () => {
  for (let frames = 0; frames < 3; frames++) await new Promise(requestAnimationFrame);  // scripts answer too
  const wide = document.documentElement.scrollWidth - innerWidth, start = one => one.outerHTML.slice(0, 120);
  const faults = wide > 0 ? [`the page is ${wide} pixels wider than ${innerWidth}`] : [];
  for (const one of document.querySelectorAll("main *")) {
    const style = getComputedStyle(one), right = one.getBoundingClientRect().right;
    if (!one.innerText || one.tagName === "OPTION" || one.closest(".hidden, .skip, svg, .stack thead")) continue;
    const cut = style.overflowX === "hidden" || style.overflowX === "clip";
    if (cut && one.scrollWidth > one.clientWidth + 1) faults.push(`clipped at ${innerWidth}: ${start(one)}`);
    if (right > innerWidth + 1 && !one.closest(".scroll, pre")) faults.push(`off at ${innerWidth}: ${start(one)}`);
  }
  return faults;
}"""
TEXTS = """() => {
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT), found = [];
  for (let text; (text = walker.nextNode()); )
    if (!text.parentElement.closest("code, pre, script, style")) found.push(text.data);
  return found;
}"""
TOGETHER = re.compile(r"\w*[a-z)]\.[A-Z][a-z]+")  # the end of a sentence and the next without a space


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """A browser; skips with the reason where there is none."""
    playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed: pip install '.[dev]'")
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("no chromium here: apt-get install chromium")
    options = ["--no-sandbox"] if os.geteuid() == 0 else []
    with playwright.sync_playwright() as engine:
        browser = engine.chromium.launch(executable_path=program, args=options)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def faults_of_page() -> Callable[[Any], list[str]]:
    """What axe finds in a page, and what is too wide, clipped or off the screen, and sentences without a space between
    them: on a desktop, a tablet and a phone, in light and in the dark."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")

    def look(page: Any) -> list[str]:
        options = {"preload": False, "resultTypes": ["violations"]}
        faults = []
        for size in (TABLET, DESKTOP):
            page.set_viewport_size(size)
            faults += page.evaluate(LAID_OUT)
        faults += [f"no space in '{found}'" for text in page.evaluate(TEXTS) for found in TOGETHER.findall(text)]
        page.emulate_media(color_scheme="light")
        found = axe.Axe().run(page, options=options).response["violations"]
        page.emulate_media(color_scheme="dark")
        page.set_viewport_size(PHONE)
        options["runOnly"] = ["color-contrast", "target-size", "scrollable-region-focusable"]
        found += page.evaluate("options => axe.run(document, options)", options)["violations"]
        faults += page.evaluate(LAID_OUT)
        return [
            *(f"{page.url} {fault}" for fault in faults),
            *(f"{page.url} {rule['id']}: {node['html'][:200]}" for rule in found for node in rule["nodes"]),
        ]

    return look


HEAVY = 3_000_000  # bytes of a page that has to say that it is heavy


@pytest.fixture
def faults_of_file(chromium: Any, faults_of_page: Callable[[Any], list[str]]) -> Callable[[Path], list[str]]:
    """`faults_of_page` of a page that is a file, with all that is folded opened; that it has one heading and a title,
    asks nobody for anything, and says so if it is heavy."""

    def look(path: Path) -> list[str]:
        window = chromium.new_page()
        asked: set[str] = set()
        window.on("request", lambda request: asked.add(urlsplit(request.url).scheme))
        window.goto(path.as_uri())
        window.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
        faults = faults_of_page(window)
        if window.locator("h1").count() != 1 or not window.title():
            faults.append(f"{path} has not one heading and a title")
        if path.stat().st_size > HEAVY and "MB" not in window.inner_text("main"):
            faults.append(f"{path} has {path.stat().st_size:,} bytes and does not say so")
        window.close()
        return faults + [f"{path} asks by {scheme}" for scheme in asked - {"file", "data"}]

    return look


# ---- a hub in this process ----


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Django, set up once in this process; returns the empty database that every test gets a copy of."""
    from django.conf import settings

    from radcommons.hub.server import hub_site
    from radcommons.web.site import migrate, open_site

    if not settings.configured:  # tests/hub/conftest.py and tests/study/conftest.py have to be earlier
        place = tmp_path_factory.mktemp("site")
        open_site(replace(hub_site(place, None), apps=("radcommons.hub", "radcommons.study")))
    migrate()
    from django.db import connections

    connections.close_all()
    return Path(connections.settings["default"]["NAME"])


@contextlib.contextmanager
def in_another_database(data: Path, address: str | None) -> Iterator[None]:
    """Django works in the database of an address; None for the SQLite file in `data`."""
    from django.db import connections

    from radcommons.hub.server import hub_site
    from radcommons.web.site import database as settings_of

    def change_to(settings: dict[str, Any]) -> None:
        connections["default"].close()
        del connections["default"]
        connections.settings["default"] = settings

    before = connections.settings["default"]
    change_to(connections.configure_settings({"default": settings_of(hub_site(data, address))})["default"])
    try:
        yield
    finally:
        change_to(before)


@pytest.fixture(scope="session")
def in_database() -> Callable[..., Any]:
    return in_another_database


@contextlib.contextmanager
def hub_in(data: Path, empty: Path, database: str | None = None) -> Iterator[Path]:
    """Make a new hub in a folder, with an empty database; Django takes it for its own until the end."""
    from django.conf import settings
    from django.test import override_settings

    data.mkdir()
    if database is None:
        shutil.copyfile(empty, data / empty.name)
    storages = {**settings.STORAGES}
    storages["default"] = {
        **storages["default"],
        "OPTIONS": {"location": data / "files", "file_permissions_mode": 0o600},
    }
    quick = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    with in_another_database(data, database):
        with override_settings(RADCOMMONS_DATA=data, STORAGES=storages, PASSWORD_HASHERS=quick):
            yield data


@pytest.fixture
def hub_data(migrated: Path, database: str | None, tmp_path: Path) -> Iterator[Path]:
    """The folder of a new and empty hub, which Django takes for its own during the test."""
    with hub_in(tmp_path / "hub-data", migrated, database) as data:
        yield data


@pytest.fixture(scope="session")
def new_hub(migrated: Path) -> Callable[[Path], contextlib.AbstractContextManager[Path]]:
    """The same in a folder of one's choice, for tests that share a hub."""
    return lambda data: hub_in(data, migrated)


@dataclass(frozen=True)
class Member:
    """A user of an organisation, with a token for each scope."""

    name: str
    organisation: str
    token: str
    withdrawing_token: str

    def headers(self, *, scope: str = "deposit") -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token if scope == 'deposit' else self.withdrawing_token}"}


def make_member(name: str, organisation: str, public_key: Path | None = None) -> Member:
    """A member of an organisation, which is made if it is new, and whose key is registered."""
    from radcommons.hub import accounts

    accounts.add_user(name, organisation)
    if public_key is not None:
        accounts.add_key(organisation, public_key)
    tokens = (
        accounts.add_token(name, organisation, name="tests", scope=scope, days=1) for scope in ("deposit", "withdraw")
    )
    return Member(name, organisation, *tokens)


@pytest.fixture
def anna(hub_data: Path, keys: Keys) -> Member:
    return make_member("anna", "clinic-a", keys.public)


@pytest.fixture
def bert(hub_data: Path) -> Member:
    return make_member("bert", "clinic-b")


@pytest.fixture
def browser(hub_data: Path) -> Iterator[Any]:
    """Django's client, which gets the answers that anybody gets, whatever goes wrong."""
    from django.test import Client

    class Browser(Client):
        def request(self, **request: Any) -> Any:
            answers.append(super().request(**request))
            return answers[-1]

    answers: list[Any] = []
    yield Browser(raise_request_exception=False, SERVER_NAME="localhost")
    for answer in answers:  # the files that they would have sent
        answer.close()


def announcement(package: Path, generator: str) -> dict[str, Any]:
    """What a depositor says of a package before it comes."""
    names = [path.relative_to(package).as_posix() for path in sorted(package.rglob("*")) if path.is_file()]
    files = {name: {"size": (package / name).stat().st_size, "sha256": sha256_file(package / name)} for name in names}
    return {"generator": generator, "files": files}


@pytest.fixture(scope="session")
def announce() -> Callable[[Path, str], dict[str, Any]]:
    return announcement


@pytest.fixture
def deposited(browser: Any) -> Callable[..., dict[str, Any]]:
    """Uploads a package in small pieces and submits it; the gate has not looked yet."""

    def deposit(package: Path, member: Member, name: str, *, piece: int = 2**20, submit: bool = True) -> dict[str, Any]:
        headers = member.headers()
        asked = announcement(package, f"{member.organisation}/{name}")
        begun = browser.post("/api/deposits", asked, content_type="application/json", headers=headers)
        assert begun.status_code == 201, begun.content
        about: dict[str, Any] = begun.json()
        for path in asked["files"]:
            content, offset = (package / path).read_bytes(), about["here"][path]
            while offset < len(content):
                answer = browser.patch(
                    f"/api/deposits/{about['id']}/files/{path}",
                    content[offset : offset + piece],
                    headers={**headers, "Upload-Offset": str(offset)},
                    content_type="application/offset+octet-stream",
                )
                assert answer.status_code == 204, answer.content
                offset = int(answer["Upload-Offset"])
        if submit:
            answer = browser.post(f"/api/deposits/{about['id']}/submit", headers=headers)
            assert answer.status_code == 202, answer.content
            about = answer.json()
        return about

    return deposit


@pytest.fixture
def published(deposited: Callable[..., dict[str, Any]]) -> Callable[..., Any]:
    """Deposits a package and lets it through, whatever the gate would say; returns the revision."""
    from radcommons.hub.models import Deposit
    from radcommons.hub.publishing import publish

    def put(package: Path, member: Member, name: str) -> Any:
        deposit = Deposit.objects.get(pk=deposited(package, member, name)["id"])
        verdict = {"passed": True, "reasons": [], "lines": [], "key_fingerprint": _fingerprint_of(member)}
        return publish(deposit, verdict, who="the tests")

    return put


def _fingerprint_of(member: Member) -> str:
    from radcommons.hub.models import SigningKey

    key = SigningKey.objects.filter(organisation__name=member.organisation).first()
    return key.fingerprint if key else ""


class Started:
    """A command under way, in a process group of its own that ends with the test; no machine is too slow for it."""

    def __init__(self, command: Sequence[str | Path], **environment: str) -> None:
        self.process = subprocess.Popen(
            [str(part) for part in command],
            env={**os.environ, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def wait_until(self, reached: Callable[[], object]) -> None:
        """Wait for what the command does; it must be running then."""
        while not reached():
            assert self.process.poll() is None, self.process.communicate()
            time.sleep(0.01)

    def signal_all(self, number: int) -> None:
        """Send a signal to the command and its workers, as terminals and schedulers do."""
        os.killpg(self.process.pid, number)

    def end(self) -> tuple[int, str, str]:
        """Exit status, stdout and stderr, once the command and all that hold its pipes have ended."""
        out, err = self.process.communicate()
        return self.process.returncode, out, err

    def kill(self) -> None:
        """End everything that is left."""
        with contextlib.suppress(ProcessLookupError):
            self.signal_all(signal.SIGKILL)
        self.process.communicate()


@pytest.fixture
def start() -> Iterator[Callable[..., Started]]:
    """Starts a command that does not outlive the test, with the stop signals as a shell in front gives them."""
    started: list[Started] = []
    before = {number: signal.getsignal(number) for number in STOP_SIGNALS}
    for number, handler in before.items():  # under nohup, or behind a script, some are ignored
        if handler is signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)

    def begin(command: Sequence[str | Path], **environment: str) -> Started:
        started.append(Started(command, **environment))
        return started[-1]

    yield begin
    for one in started:
        one.kill()
    for number, handler in before.items():
        signal.signal(number, handler)
