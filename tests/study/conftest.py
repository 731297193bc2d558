"""Readers that are made up; Django with the study's addresses, a study of padded images, and a reader who has begun."""

import atexit
import csv
import re
import shutil
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from http.cookiejar import CookieJar
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import HTTPCookieProcessor, ProxyHandler, Request, build_opener

import numpy as np
import pytest
from django.conf import settings
from PIL import Image

from radcommons.hub.server import hub_site
from radcommons.study.design import (
    IMAGES,
    IMAGES_RECORD,
    ORIGINALS,
    SETTINGS,
    Study,
    StudyImage,
    StudyImages,
    StudySettings,
)
from radcommons.web.site import open_site

if not settings.configured:  # a test file can import the study's models only after this
    place = Path(tempfile.mkdtemp(prefix="radcommons-tests-"))
    atexit.register(shutil.rmtree, place, ignore_errors=True)
    open_site(replace(hub_site(place, None), apps=("radcommons.hub", "radcommons.study")))

PASSWORD = "correct horse battery"


def make_study(
    folder: Path, *, sizes: tuple[int, ...] = (16, 32), each: int = 3, practice: int = 2, **changes: object
) -> Study:
    """A study of grey images whose files are all of one size in a block, as 'study create' makes them."""
    blocks = [{"resolution": side, "real": each, "synthetic": each} for side in sizes]
    values = {"store": "none", "synthetic": ["none"], "block": blocks, "practice": practice, **changes}
    kinds = [(0, truth, True) for truth in ("real", "synthetic") for _ in range(practice // 2)]
    kinds += [(b, truth, False) for b in range(len(sizes)) for truth in ("real", "synthetic") for _ in range(each)]
    images = [
        StudyImage.model_validate(
            {"name": f"{i * 7919:032x}", "block": block, "truth": truth, "practice": shown,
             "pair": [kind[:2] for kind in kinds[:i]].count((block, truth))}
        )
        for i, (block, truth, shown) in enumerate(kinds)
    ]  # fmt: skip
    for name in (IMAGES, ORIGINALS):
        (folder / name).mkdir(parents=True)
    for i, image in enumerate(images):
        path = folder / IMAGES / f"{image.name}.png"
        Image.new("L", (sizes[image.block],) * 2, 40 + i * 7 % 200).save(path)
        path.write_bytes(path.read_bytes().ljust(400, b"\0"))
        shutil.copyfile(path, folder / ORIGINALS / path.name)
    StudySettings.parse(values, source="test").save(folder / SETTINGS)
    (folder / IMAGES_RECORD).write_text(StudyImages(images=tuple(images)).to_json())
    return Study.open(folder)


@pytest.fixture(scope="session")
def new_study() -> Callable[..., Study]:
    """Makes a study in a folder, with changes."""
    return make_study


@dataclass
class Clock:
    """The server's clock, which tests move."""

    at: datetime

    def __call__(self) -> datetime:
        return self.at

    def wait(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    from django.utils import timezone

    moved = Clock(timezone.now())
    monkeypatch.setattr("radcommons.study.reading.timezone.now", moved)
    return moved


@pytest.fixture
def serve_study(
    migrated: Path, database: str | None, in_database: Callable[..., Any], tmp_path: Path
) -> Iterator[Callable[..., Study]]:
    """Makes a study with changes, which the site in this process serves from an empty database."""
    from django.test import override_settings

    def begin(**changes: object) -> Study:
        from radcommons.study.design import SERVED
        from radcommons.study.server import begin as hold

        study = make_study(tmp_path / "study", **changes)
        data = study.folder / SERVED
        data.mkdir()
        if database is None:
            shutil.copyfile(migrated, data / migrated.name)
        served.enter_context(in_database(data, database))
        quick = ["django.contrib.auth.hashers.MD5PasswordHasher"]
        served.enter_context(
            override_settings(
                RADCOMMONS_DATA=data, ROOT_URLCONF="radcommons.study.urls", PASSWORD_HASHERS=quick, SITE_NAME="Study"
            )
        )
        hold(study)
        return study

    with ExitStack() as served:
        yield begin


class ReadersBrowser:
    """A browser in which one reader reads, and what its page would do."""

    def __init__(self, reader: Any) -> None:
        from django.test import Client

        self.reader, self.client, self.seat = reader, Client(raise_request_exception=False, SERVER_NAME="localhost"), ""

    def open(self) -> "ReadersBrowser":
        """Open the link, agree, and pass the display check."""
        assert self.client.get(self.reader.link).status_code == 302
        self.client.post("/read/consent", {"agree": "1"})
        self.client.get("/read")
        if hidden := self.client.session.get("hidden"):
            seen = {row: place + 1 for row, place in zip(("dark", "middle", "light"), hidden, strict=True)}
            self.client.post("/read/display", {**seen, "width": "1280", "monitor": "a test"})
        return self.reload()

    def skip(self) -> "ReadersBrowser":
        """As after `open`, by the database: quicker, for many readers."""
        from django.utils import timezone

        self.reader.consented, self.reader.seat = timezone.now(), "a seat"
        self.reader.save()
        session = self.client.session
        session["reader"], session["checked"] = [self.reader.pk, self.reader.key], True
        session.save()
        self.seat = self.reader.seat
        return self

    def reload(self) -> "ReadersBrowser":
        """Load the page again: it takes a new seat."""
        page = self.client.get("/read").content.decode()
        self.seat = page.partition('data-seat="')[2].partition('"')[0]
        return self

    def ask(self, what: str, **values: object) -> Any:
        return self.client.post(f"/read/{what}", {"seat": self.seat, **values})

    def show(self) -> Any:
        """Go on until an image is shown; returns what the server said of it, with the page's report."""
        step = self.ask("state").json()
        if step["do"] == "stop":
            step = self.ask("go").json()
        if step["do"] == "show":
            assert self.client.get(step["image"]).status_code == 200
            step |= self.ask("shown", position=step["position"], scale=2).json()
        return step

    def read(self, count: int, answer: str = "real") -> Any:
        """Answer images; returns what the page does next."""
        step: Any = None
        for _ in range(count):
            shown = self.show()
            step = self.ask("answer", position=shown["position"], answer=answer).json()
        return step


@pytest.fixture
def reader(serve_study: Callable[..., Study]) -> Callable[..., ReadersBrowser]:
    """Invites a reader and opens the link; the study is made first if there is none."""

    def invite(name: str = "ann", *, begun: bool = True) -> ReadersBrowser:
        from radcommons.study.models import Reader

        browser = ReadersBrowser(Reader.objects.create(name=name, group="readers"))
        return browser.open() if begun else browser

    return invite


@pytest.fixture
def coordinator() -> Callable[[], Any]:
    """A browser in which the coordinator is logged in."""

    def log_in() -> Any:
        from django.contrib.auth import get_user_model
        from django.test import Client

        client = Client(raise_request_exception=False, SERVER_NAME="localhost")
        client.force_login(
            get_user_model().objects.get(username="coordinator"), backend="django.contrib.auth.backends.ModelBackend"
        )
        return client

    return log_in


# ---- a study on a server of its own ----


class Visitor:
    """A browser without pages: cookies, forms, and the token that forms need."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.jar = CookieJar()
        self.open = build_opener(ProxyHandler({}), HTTPCookieProcessor(self.jar)).open
        self.token = ""

    def get(self, path: str) -> str:
        with self.open(Request(self.address + path), timeout=20) as answer:
            page = str(answer.read().decode(errors="replace"))
        if found := re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page):
            self.token = found[1]
        return page

    def post(self, path: str, **values: object) -> str:
        body = urlencode({"csrfmiddlewaretoken": self.token, **values}).encode()
        with self.open(Request(self.address + path, body), timeout=20) as answer:
            return str(answer.read().decode())


class Served:
    """A study's server, and its coordinator's browser."""

    def __init__(self, begin: Callable[..., Any], folder: Path) -> None:
        self.begin, self.folder, self.coordinator = begin, folder, Visitor("")
        self.coordinator.address = self.start()
        lines = [self.process.stdout.readline() for _ in range(2)]
        link = lines[1].rpartition(" ")[2].strip().removeprefix(self.address)
        assert lines[0] == f"study: {self.address}\n" and link.startswith("/welcome/")
        self.get(link)
        form = link.rpartition("/")[0] + "/set-password"  # Django keeps the secret out of this address
        self.coordinator.post(form, new_password1=PASSWORD, new_password2=PASSWORD)
        self.get("/login")
        assert "Invite" in self.coordinator.post("/login", username="coordinator", password=PASSWORD)

    def start(self) -> str:
        """Start the server, again if it has ended; returns its address."""
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            port = str(found.getsockname()[1])
        command = [sys.executable, "-m", "radcommons", "study", "serve", self.folder]
        server = self.begin([*command, "--port", port, "--processes", "1"])
        self.process, self.address = server.process, f"http://localhost:{port}"
        self.coordinator.address = self.address
        server.wait_until(self.answers)
        return self.address

    def answers(self) -> bool:
        try:
            return "ok" in self.visitor().get("/healthz")
        except OSError:
            return False

    def visitor(self) -> Visitor:
        return Visitor(self.address)

    def get(self, path: str) -> str:
        return self.coordinator.get(path)

    def invite(self, name: str) -> str:
        """Path of a new invitation."""
        self.get("/")
        number = re.findall(rf'/readers/(\d+)">{name}<', self.coordinator.post("/invite", names=name, group="readers"))
        return re.findall(r"/invitation/[\w:=-]+", self.get(f"/readers/{number[0]}"))[0]


@pytest.fixture
def served(start: Callable[..., Any], database: str | None) -> Callable[[Path], Served]:
    """Starts the server of a study and logs its coordinator in; the commands find `database` in the environment."""
    return lambda folder: Served(start, folder)


# ---- answers whose truth is known ----

COLUMNS = ("reader", "group", "block", "position", "image", "truth", "answer", "confidence", "seconds")
Line = Sequence[object]


@pytest.fixture(scope="session")
def simulate() -> Callable[..., list[Line]]:
    """Lines of answers of readers, given by group as (sensitivity, specificity, change of both until the last image).

    All readers of a block see the same images, half of them synthetic, each in an order of their own. `late` is the
    share of answers that time out.
    """

    def lines(
        groups: Mapping[str, Sequence[tuple[float, float, float]]],
        *,
        blocks: Sequence[str] = ("256",),
        images: int = 100,
        late: float = 0.0,
        confident: bool = True,
        seed: int = 0,
    ) -> list[Line]:
        rng = np.random.default_rng(seed)
        found: list[Line] = []
        for block in blocks:
            for group, readers in groups.items():
                for number, (sensitivity, specificity, change) in enumerate(readers):
                    for position, image in enumerate(rng.permutation(images)):
                        synthetic = bool(image % 2)
                        share = (sensitivity if synthetic else specificity) + change * position / (images - 1)
                        right, is_late = rng.random() < share, rng.random() < late
                        truth = "synthetic" if synthetic else "real"
                        call = truth if right else "real" if synthetic else "synthetic"
                        confidence = rng.integers(3 if right else 1, 6) if confident and not is_late else ""
                        found.append((
                            f"{group}-{number}", group, block, position + 1, f"{block}-{image}", truth,
                            "timed out" if is_late else call, confidence, 30 if is_late else 10 + number,
                        ))  # fmt: skip
        return found

    return lines


@pytest.fixture
def write_answers(tmp_path: Path) -> Callable[..., Path]:
    """Write lines as a file of answers and return its path."""

    def write(lines: Sequence[Line], *, columns: Sequence[str] = COLUMNS, separator: str = ",") -> Path:
        path = tmp_path / "answers.csv"
        with path.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file, delimiter=separator).writerows([columns, *lines])
        return path

    return write
