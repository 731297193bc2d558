"""The demo's hub: a server on this machine. Both hospitals deposit their generators; the pool is drawn from it."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import ProxyHandler, build_opener

from pydantic import BaseModel

from radcommons.audit.reference import reference_statistics
from radcommons.data.listing import PARTS
from radcommons.data.store import Store
from radcommons.errors import HubRefused
from radcommons.extractors import load_extractor
from radcommons.files import write_whole
from radcommons.packages.card import CardWords
from radcommons.packages.hub_client import Hub
from radcommons.packages.signatures import PRIVATE, PUBLIC, new_keys
from radcommons.packages.trusted_keys import VARIABLE as HOME_VARIABLE
from radcommons.packing import Contents, shipped_rules, write_package
from radcommons.pool.pool import Pool
from radcommons.pool.settings import PoolSettings
from radcommons.progress import Track
from radcommons.records.reference import FEWEST_FILMS
from radcommons.settings import preset_path
from radcommons.signals import ends_with_parent

LICENSE = """CC0 1.0 Universal

The films behind this generator are simulated; no patient is involved. Its makers waive all rights in it:
https://creativecommons.org/publicdomain/zero/1.0/
"""
COMMAND = (sys.executable, "-m", "radcommons", "hub")
SECONDS_TO_START = 120
RESULT = "hub.json"
GATE = preset_path("gate", "demo")


class Published(BaseModel):
    """A generator of the hub, and what the gate found: step, rule, found, limit, outcome."""

    site: str
    reference: str
    lines: list[dict[str, str]]
    seconds: float


def deposit_and_draw(
    out: Path, sites: Sequence[tuple[str, Path, Path]], films: Store, pooled: Path, count: int, *, track: Track
) -> list[Published]:
    """Package, deposit and publish each site's generator, and draw a pool from the hub; done once.

    Args:
        out: the demo's folder.
        sites: name, run and audit of each.
        films: a store whose statistics the hub's operator registers, numbers that the gate compares with.
        pooled, count: folder and size of the pool.
    Raises:
        GateRefused: the gate refuses a generator.
        HubRefused: the server does not start.
    """
    if (out / RESULT).is_file():
        return [Published.model_validate(one) for one in json.loads((out / RESULT).read_text(encoding="utf-8"))]
    for part in (out / "hub", out / "user", pooled):  # of a demo that was stopped meanwhile
        shutil.rmtree(part, ignore_errors=True)
    if films.record.images >= FEWEST_FILMS:
        statistics, extractor = out / "reference.npz", load_extractor("efficientnet-lite0")
        reference_statistics(films, extractor, parts=PARTS, sides=films.resolutions[-1:], track=track).save(statistics)
        _operate(out / "hub", "reference", statistics, "--name", "hospital-c")
    (out / "hub").mkdir(exist_ok=True)
    shutil.copyfile(GATE, out / "hub" / "gate.toml")
    for site, run, audit in sites:
        _package(out, site, run, audit, track)
    with _home(out / "user"), _running(out / "hub", out / "hub.log") as address:
        published = [_deposit(out, address, site, track) for site, _, _ in sites]
        tables = [{"reference": one.reference} for one in published]
        asked = {"total_images": count, "seed": 1, "balanced": True, "generator": tables}
        Pool(PoolSettings.parse(asked, source="demo"), device="cpu", track=track).write(pooled, track=track)
    write_whole(out / RESULT, json.dumps([one.model_dump() for one in published], indent=2) + "\n")
    return published


def _package(out: Path, site: str, run: Path, audit: Path, track: Track) -> None:
    """What leaves the hospital: generator, card, audit, samples and signature."""
    keys, package = out / f"keys-{site.lower()}", out / f"package-{site.lower()}"
    if package.exists():
        return
    if not (keys / PUBLIC).exists():
        new_keys(keys)
    license_file = out / "LICENSE-of-packages"
    write_whole(license_file, LICENSE)
    words = CardWords(
        name=f"Hospital {site}, simulated", license="cc0-1.0", contact="nobody: this hospital is simulated"
    )
    contents = Contents(words, license_file, allow_failed=True)
    write_package(run, audit, package, contents, private_key=keys / PRIVATE, rules=shipped_rules(), track=track)


def _deposit(out: Path, address: str, site: str, track: Track) -> Published:
    """What the operator and a member of the site do."""
    organisation = f"hospital-{site.lower()}"
    user, public_key = f"physicist-{site.lower()}", out / f"keys-{site.lower()}" / PUBLIC
    _operate(out / "hub", "account", "add", user, "--organisation", organisation)
    _operate(out / "hub", "account", "key", public_key, "--organisation", organisation)
    token = _operate(out / "hub", "account", "token", user, "--organisation", organisation)["token"]
    started = time.monotonic()
    done = Hub(address, token).push(out / f"package-{site.lower()}", f"{organisation}/chest", track=track)
    assert done.verdict is not None
    return Published(
        site=site,
        reference=f"hub://{address.removeprefix('http://')}/{organisation}/chest@{done.revision}",
        lines=[
            {name: line[name] for name in ("step", "rule", "found", "limit", "outcome")}
            for line in done.verdict["lines"]
        ],
        seconds=time.monotonic() - started,
    )


def _operate(data: Path, *arguments: object) -> dict[str, Any]:
    """Run a command of the hub's operator; returns what it prints."""
    command = [*COMMAND, *map(str, arguments), "--data", str(data), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise HubRefused(done.stderr.strip().removeprefix("radcommons: ") or "the hub's command failed")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@contextmanager
def _running(data: Path, log: Path) -> Iterator[str]:
    """A server with a worker on a free port of this machine; yields its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [*COMMAND, "serve", "--data", str(data), "--port", str(port), "--processes", "1", "--worker"]
    address = f"http://127.0.0.1:{port}"
    with log.open("wb") as file:
        server = subprocess.Popen(command, stdout=file, stderr=file, preexec_fn=ends_with_parent)
        try:
            until = time.monotonic() + SECONDS_TO_START
            while not _answers(address):
                if server.poll() is not None or time.monotonic() > until:
                    raise HubRefused(f"the demo's hub does not start; see {log}")
                time.sleep(0.1)
            yield address
        finally:
            server.terminate()
            server.wait()


def _answers(address: str) -> bool:
    try:
        with build_opener(ProxyHandler({})).open(f"{address}/healthz", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


@contextmanager
def _home(folder: Path) -> Iterator[None]:
    """Trusted keys and fetched generators of the demo stay in its folder."""
    before = os.environ.get(HOME_VARIABLE)
    os.environ[HOME_VARIABLE] = str(folder)
    try:
        yield
    finally:
        if before is None:
            del os.environ[HOME_VARIABLE]
        else:
            os.environ[HOME_VARIABLE] = before
