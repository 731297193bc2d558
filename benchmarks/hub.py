"""Claim: a hub on two cores answers 50 clients' metadata reads with a p99 under 50 ms while its gate examines.

And with 10,000 generators no page of the list, in HTML or JSON, takes 100 ms, whatever is searched, filtered and
sorted. Beside them: weights in MB/s, and as a floor what the same server needs for a static file and for `SELECT 1`
(/healthz).

A real server and worker (`radcommons hub serve --worker`, defaults), on the first two cores of the machine, over
loopback. The clients are connections of this process, which shares the two cores; `client cores` is what it takes of
them. At a given rate each of the 50 clients asks at random moments. Without one each asks again as soon as it has an
answer, so that the server is always full, and the mean wait is 50 / (requests a second), whatever the server does.

It needs two cores for itself: look at `uptime` first, and run it again if others worked meanwhile. `CPU ms` of the
server processes for a request is the figure that stands on a busy machine.
"""

import argparse
import asyncio
import gc
import os
import random
import re
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from support.measuring import print_table, save

from radcommons.hub.server import hub_site
from radcommons.packages.hub_client import Hub
from radcommons.web.server import ready

CORES, CLIENTS, GENERATORS, ORGANISATIONS = 2, 50, 10_000, 40
SECONDS, WARM_UP = 5.0, 1.0
A_SECOND = 200  # requests, of all clients together, at a given rate
TIMES_A_PAGE = 10
READ_MS, PAGE_MS = 50.0, 100.0
LARGE = 128 * 2**20  # bytes of the weights that are fetched
ROOT = Path(__file__).parents[1]
HUB = [sys.executable, "-m", "radcommons", "hub"]
SLOW_GATE = 'images = 20_000\nrepeats = "off"\n'  # an examination that lasts as long as the measurement
WEIGHTS = "generator.safetensors"
LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)

FINDINGS = (
    "Atelectasis", "Cardiomegaly", "Consolidation", "Edema", "Effusion", "Emphysema", "Fibrosis", "Hernia",
    "Infiltration", "Mass", "Nodule", "Pleural_Thickening", "Pneumonia", "Pneumothorax",
)  # fmt: skip
ORDERS = ("createdAt", "fid", "coverage", "recall", "downloads")
LAST_PAGE = -(-GENERATORS // 24)
PAGES = [
    *(f"/?rank={order}" for order in ORDERS),
    *(f"/?rank={order}&page={LAST_PAGE // 2}" for order in ORDERS),
    f"/?page={LAST_PAGE}",
    "/?search=chest-77",
    "/?search=no-such-name",
    "/?search=clinic-7/chest",
    "/?finding=Effusion",
    f"/?finding=Hernia&rank=fid&page={LAST_PAGE // 10}",
    "/?finding=Hernia&family=rgan&resolution=256&license=cc-by-4.0&search=chest&rank=coverage",
    *(f"/api/models?limit=100&sort={order}" for order in ORDERS),
    f"/api/models?limit=100&sort=recall&cursor={GENERATORS - 100}",
    "/api/models?limit=100&search=chest-77",
    "/api/models?limit=100&author=clinic-7",
    "/api/models?limit=100&filter=Effusion,Hernia,rgan&sort=fid",
]


# ---- a hub full of generators ----


def package_to_examine(folder: Path) -> tuple[Path, Path]:
    """A package of an untrained generator of 64 pixels and the public key that signed it."""
    from radcommons.gan.recipes import load_settings
    from radcommons.models.families import FAMILIES
    from radcommons.models.generator_files import save_generator
    from radcommons.packages.card import CardWords
    from radcommons.packages.signatures import new_keys
    from radcommons.packing import Contents, write_package
    from radcommons.policy.settings import Policy
    from radcommons.records import AuditReport, FindingsRecord, GeneratorRecord
    from radcommons.settings import preset_path

    config = load_settings(preset_path("train", "small-64")).network(len(FINDINGS))  # type: ignore[attr-defined]
    torch.manual_seed(0)
    cells = tuple((tuple(int(i == j) for j in range(len(FINDINGS))), 50) for i in range(len(FINDINGS)))
    findings = FindingsRecord(findings=FINDINGS, combinations=cells, smallest_cell=5)
    network = FAMILIES["rgan"].generator(config)
    save_generator(folder / "run", network, findings, family="rgan", config=config, name="toy", images_seen=1)
    record = GeneratorRecord.model_validate_json((folder / "run" / "config.json").read_bytes())
    audit = AuditReport.model_validate_json((ROOT / "docs/examples/audit-rgan-nih-64.json").read_bytes())
    changes = {"digest": record.weights_sha256, "findings": FINDINGS, "resolution": 64}
    (folder / "audit").mkdir()
    (folder / "audit" / "audit.json").write_text(audit.model_copy(update=changes).to_json(), encoding="utf-8")
    new_keys(folder / "keys")
    contents = Contents(CardWords(name="Toy", license="cc-by-4.0", contact="x"), ROOT / "LICENSE", allow_failed=True)
    package = folder / "package"
    private = folder / "keys" / "private.pem"
    write_package(folder / "run", folder / "audit", package, contents, private_key=private, rules=Policy())
    return package, folder / "keys" / "public.pem"


def fill(package: Path, weights_sha256: str) -> None:
    """10,000 generators of 40 organisations, each with a revision that is like that of `package` in size and kind."""
    from radcommons.hub.gate_settings import GateRules
    from radcommons.hub.models import Generator, Organisation, Revision, RevisionFile, RevisionTag
    from radcommons.hub.publishing import fields_of
    from radcommons.packages.contents import open_package

    line = {"step": "images", "rule": "a rule of the gate", "limit": "at most 0.05", "found": "0.013", "outcome": "met"}
    verdict = {
        "passed": True,
        "reasons": [],
        "lines": [line] * 40,
        "rules": GateRules().model_dump(mode="json"),
        "fingerprint": "A" * 5464,  # 16 images of 16 x 16 bytes, as text
    }
    template = fields_of(open_package(package), verdict)
    files = {path.relative_to(package).as_posix(): path.stat().st_size for path in package.rglob("*") if path.is_file()}
    draw = random.Random(0)
    places = [Organisation(name=f"clinic-{n}") for n in range(ORGANISATIONS)]
    Organisation.objects.bulk_create(places)
    generators = [Generator(organisation=draw.choice(places), name=f"chest-{n}") for n in range(GENERATORS)]
    Generator.objects.bulk_create(generators)
    revisions = []
    for generator in generators:
        findings = sorted(draw.sample(FINDINGS, draw.randint(2, len(FINDINGS))))
        family, resolution = draw.choice(("rgan", "progan")), draw.choice((64, 128, 256, 512))
        license_name = draw.choice(("cc-by-4.0", "cc-by-nc-4.0", "cc0-1.0"))
        tags = sorted({family, f"{resolution}px", f"license:{license_name}", "radiology", *findings})
        fields = {
            **template,
            "weights_sha256": secrets.token_hex(32),
            "family": family,
            "resolution": resolution,
            "license": license_name,
            "findings": findings,
            "fid": draw.choice((None, draw.uniform(20, 200), draw.uniform(20, 200))),
            "recall": draw.random(),
            "coverage": draw.random(),
            "summary": {**template["summary"], "tags": tags},
        }
        revisions.append(
            Revision(
                generator=generator,
                sha=secrets.token_hex(20),
                verdict=verdict,
                downloads=draw.randint(0, 500),
                **fields,
            )
        )
    Revision.objects.bulk_create(revisions, batch_size=500)
    RevisionTag.objects.bulk_create(
        RevisionTag(revision=revision, tag=tag) for revision in revisions for tag in revision.summary["tags"]
    )
    RevisionFile.objects.bulk_create(
        RevisionFile(revision=r, path=path, size=size, sha256=r.weights_sha256 if path == WEIGHTS else "0" * 64)
        for r in revisions
        for path, size in files.items()
    )
    RevisionFile.objects.filter(revision=revisions[0], path=WEIGHTS).update(sha256=weights_sha256, size=LARGE)


@contextmanager
def server(data: Path) -> Iterator[tuple[str, int]]:
    """`radcommons hub serve --worker` on a free port; yields its address and process group."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    command = [*HUB, "serve", "--data", str(data), "--port", str(port), "--worker"]
    with (data / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        try:
            end = time.monotonic() + 60
            while not answers(port):
                if process.poll() is not None or time.monotonic() > end:
                    raise SystemExit((data / "log").read_text(encoding="utf-8"))
                time.sleep(0.1)
            yield f"http://127.0.0.1:{port}", process.pid
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def cpu_seconds(group: int) -> float:
    """User and system time of the running processes of a group; the gate has one of its own."""
    ticks = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            fields = stat.read_text(encoding="utf-8").rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12]) if int(fields[2]) == group else 0
    return ticks / os.sysconf("SC_CLK_TCK")


def wait_until_idle(group: int) -> None:
    """The worker starts beside the server, and its imports take seconds."""
    busy = 1.0
    while busy > 0.1:
        before = cpu_seconds(group)
        time.sleep(1)
        busy = cpu_seconds(group) - before


def answers(port: int) -> bool:
    with socket.socket() as tried:
        return tried.connect_ex(("127.0.0.1", port)) == 0


# ---- clients ----


@dataclass
class Load:
    """What the clients saw: seconds of each answer that counts, all that they asked for, and for how long."""

    seconds: list[float]
    asked: int
    wall: float
    client_cores: float

    def row(self, what: str, clients: int, target_ms: float | None = None) -> dict[str, Any]:
        """A line of the table."""
        ordered = sorted(self.seconds)
        middle, late = (1e3 * ordered[min(len(ordered) - 1, int(share * len(ordered)))] for share in (0.5, 0.99))
        met = None if target_ms is None else "met" if late < target_ms else "missed"
        return {
            "what": what,
            "clients": clients,
            "requests": len(ordered),
            "requests/s": len(ordered) / self.wall,
            "median ms": middle,
            "p99 ms": late,
            "target ms": target_ms,
            "target": met,
            "client cores": self.client_cores,
        }


class Connection:
    """One kept-alive connection."""

    def __init__(self, address: str) -> None:
        self.host, port = address.removeprefix("http://").split(":")
        self.port = int(port)

    async def open(self) -> None:
        self.reader, self.writer = await asyncio.open_connection(self.host, self.port, limit=2**20)

    async def ask(self, method: str, path: str) -> float:
        """Seconds until the whole answer is here; raises for an answer that is none of 200."""
        started = time.perf_counter()
        self.writer.write(f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        head = await self.reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            raise SystemExit(f"{method} {path}: {head[:200]!r}")
        if method != "HEAD":
            left = int(LENGTH.search(head)[1])  # type: ignore[index]
            while left:
                left -= len(await self.reader.read(min(left, 2**20)))
        return time.perf_counter() - started


def load(address: str, requests: Callable[[random.Random], tuple[str, str]], *, a_second: float | None = None) -> Load:
    """50 clients ask for some seconds, at a rate of all of them together or as fast as they get answers."""

    async def client(number: int, seconds: list[float], begin: float, end: float) -> int:
        asked = 0
        draw, connection = random.Random(number), Connection(address)
        await connection.open()
        while True:
            if a_second:
                await asyncio.sleep(draw.expovariate(a_second / CLIENTS))
            now = time.monotonic()
            if now >= end:
                connection.writer.close()
                return asked
            took = await connection.ask(*requests(draw))
            asked += 1
            if now >= begin:
                seconds.append(took)

    async def all_of_them() -> Load:
        seconds: list[float] = []
        begin = time.monotonic() + WARM_UP
        busy = time.process_time()
        asked = await asyncio.gather(*(client(n, seconds, begin, begin + SECONDS) for n in range(CLIENTS)))
        return Load(seconds, sum(asked), SECONDS, (time.process_time() - busy) / (WARM_UP + SECONDS))

    return asyncio.run(all_of_them())


def one_by_one(address: str, path: str, times: int, method: str = "GET") -> Load:
    """One client asks for one address again and again; the first answers are not counted."""

    async def ask() -> Load:
        connection = Connection(address)
        await connection.open()
        for _ in range(4):  # both server processes, and their caches
            await connection.ask(method, path)
        busy, started = time.process_time(), time.perf_counter()
        seconds = [await connection.ask(method, path) for _ in range(times)]
        wall = time.perf_counter() - started
        return Load(seconds, times + 4, wall, (time.process_time() - busy) / wall)

    return asyncio.run(ask())


# ---- the measurement ----


def examined_now() -> bool:
    from radcommons.hub.models import Deposit

    return Deposit.objects.filter(state=Deposit.State.EXAMINING).exists()


def wait_for_the_gate() -> None:
    end = time.monotonic() + 60
    while not examined_now():
        if time.monotonic() > end:
            raise SystemExit("the worker has not begun an examination")
        time.sleep(0.2)
    time.sleep(5)  # its process imports torch


def measure(data: Path, package: Path, token: str) -> list[dict[str, Any]]:
    from radcommons.hub.models import Generator, Revision

    names = [generator.reference for generator in Generator.objects.select_related("organisation")]
    large = Revision.objects.order_by("pk").select_related("generator__organisation")[0].generator.reference

    def reads(draw: random.Random) -> tuple[str, str]:
        name = draw.choice(names)
        return draw.choice(
            (
                ("GET", f"/api/models/{name}/revision/main"),
                ("GET", f"/api/models/{name}/tree/main"),
                ("HEAD", f"/{name}/resolve/main/{WEIGHTS}"),
            )
        )

    rows = []

    def row(what: str, clients: int, target_ms: float | None, ask: Callable[[], Load]) -> None:
        before = cpu_seconds(group)
        found = ask()
        rows.append(found.row(what, clients, target_ms))
        rows[-1]["CPU ms"] = 1e3 * (cpu_seconds(group) - before) / found.asked

    def loads(gate: str) -> None:
        for what, requests, a_second, target_ms in (
            ("floor: a static file", lambda _: ("GET", "/static/web/icon.svg"), None, None),
            ("floor: SELECT 1", lambda _: ("GET", "/healthz"), None, None),
            (f"reads, {A_SECOND} a second", reads, A_SECOND, READ_MS),
            ("reads, as many as it can", reads, None, READ_MS),
        ):
            row(f"{what}, gate {gate}", CLIENTS, target_ms, lambda r=requests, a=a_second: load(address, r, a_second=a))

    with server(data) as (address, group):
        wait_until_idle(group)
        gc.collect()
        gc.freeze()
        for path in PAGES:
            row(path, 1, PAGE_MS, lambda path=path: one_by_one(address, path, TIMES_A_PAGE))
        weights = f"/{large}/resolve/main/{WEIGHTS}"
        row(f"weights of {LARGE // 10**6} MB", 1, None, lambda: one_by_one(address, weights, 8))
        rows[-1]["MB/s"] = LARGE / 1e6 * rows[-1]["requests/s"]
        loads("idle")
        os.environ["RADCOMMONS_HUB_TOKEN"] = token
        Hub(address).push(package, "clinic-0/new", wait=False)
        wait_for_the_gate()
        loads("examines")
        if not examined_now():
            raise SystemExit("the examination ended before the measurement; raise the number of images in SLOW_GATE")
    return [{**row, "MB/s": row.get("MB/s")} for row in rows]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--no-save", action="store_true", help="print the table only")
    options = parser.parse_args()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CORES])
    load_before = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="hub-benchmark-") as place:
        folder, data = Path(place), Path(place) / "data"
        package, public_key = package_to_examine(folder)
        ready(hub_site(data, None))
        from django.core.files.base import ContentFile
        from django.core.files.storage import default_storage
        from django.db import connections

        from radcommons.hub import accounts
        from radcommons.hub.files import content_name

        started = time.monotonic()
        digest = "f" * 64
        default_storage.save(content_name(digest), ContentFile(os.urandom(LARGE)))
        fill(package, digest)
        accounts.add_user("anna", "clinic-0")
        accounts.add_key("clinic-0", public_key)
        token = accounts.add_token("anna", "clinic-0", name="benchmark", scope="deposit", days=1)
        (data / "gate.toml").write_text(SLOW_GATE, encoding="utf-8")
        connections.close_all()
        print(f"{GENERATORS} generators in {time.monotonic() - started:.0f} s, load average before {load_before:.2f}\n")
        rows = measure(data, package, token)
    claim = " ".join(__doc__.split("\n\n")[0].removeprefix("Claim: ").split())
    if options.no_save:
        print_table(claim, rows)
    else:
        save("hub", claim, rows, "django", "gunicorn", generators=GENERATORS, load_before=round(load_before, 2))


if __name__ == "__main__":
    main()
