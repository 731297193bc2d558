"""Claim: fifty readers at once lose no answer, and the next image is there within 100 ms at the 99th percentile.

A real server (`radcommons study serve`, defaults, SQLite) over loopback, images of 512 x 512 pixels. Each reader does
what the page does, on a connection of its own: it reports that the image is painted, fetches the next one ahead,
answers after 2 to 6 seconds, and waits until it may show the next. The readers are threads of this process, which
shares the machine with the server. At the end the exported answers are compared with those that were given.
"""

import argparse
import csv
import http.client
import io
import json
import os
import random
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import numpy as np
from PIL import Image
from support.measuring import print_table, save

from radcommons.study.design import IMAGES, IMAGES_RECORD, SETTINGS, StudyImage, StudyImages, StudySettings

READERS, EACH, SIDE = 50, 12, 512
SECONDS = 2.0, 6.0  # that a reader looks at an image
NEXT_MS = 100.0
PASSWORD = "correct horse battery"
ANSWERS = "real", "synthetic"


class Browser:
    """One connection with its cookies."""

    def __init__(self, port: int) -> None:
        self.port, self.connection = port, http.client.HTTPConnection("localhost", port, timeout=60)
        self.cookies: dict[str, str] = {}
        self.token = self.seat = ""

    def ask(self, method: str, path: str, **values: object) -> bytes:
        headers = {"Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())}
        body = None
        if method == "POST":
            headers |= {"Content-Type": "application/x-www-form-urlencoded", "X-CSRFToken": self.token}
            body = urlencode(values)
        for again in (True, False):
            try:
                self.connection.request(method, path, body, headers)
                answer = self.connection.getresponse()
                break
            except (http.client.HTTPException, OSError):  # the server has closed an idle connection
                self.connection.close()
                if not again:
                    raise
        content = answer.read()
        for cookie in answer.headers.get_all("Set-Cookie", []):
            name, _, value = cookie.partition(";")[0].partition("=")
            self.cookies[name] = value
        if found := re.search(rb'name="csrfmiddlewaretoken" value="(\w+)"', content):
            self.token = found[1].decode()
        if answer.status >= 400:
            raise SystemExit(f"{method} {path.split('/')[1]}: {answer.status} {content[:200]!r}")
        return self.ask("GET", answer.headers["Location"]) if answer.status == 302 else content

    def step(self, what: str, **values: object) -> Any:
        return json.loads(self.ask("POST", f"/read/{what}", seat=self.seat, **values))


class Reader(threading.Thread):
    """Somebody who reads."""

    def __init__(self, port: int, number: int, link: str) -> None:
        super().__init__()
        self.browser, self.random, self.link = Browser(port), random.Random(number), link
        self.given: list[str] = []
        self.waits: dict[str, list[float]] = {"the next image": [], "image, fetched ahead": [], "report": []}

    def timed(self, what: str, *arguments: Any, **values: Any) -> Any:
        started = time.perf_counter()
        said = getattr(self.browser, arguments[0])(*arguments[1:], **values)
        self.waits[what].append(time.perf_counter() - started)
        return said

    def run(self) -> None:
        self.browser.ask("GET", self.link)
        page = self.browser.ask("POST", "/read/consent", agree="1").decode()
        fields = re.findall(r'class="field">(<span></span>)?</span><input type="radio" name="(\w+)" value="(\d)"', page)
        page = self.browser.ask("POST", "/read/display", **{row: place for odd, row, place in fields if odd}).decode()
        self.browser.seat = re.findall(r'data-seat="(\w+)"', page)[0]
        time.sleep(self.random.uniform(0, SECONDS[1]))
        step = self.browser.step("go")
        self.browser.ask("GET", step["image"])
        while step["do"] == "show":
            until = time.perf_counter() + self.random.uniform(*SECONDS)
            ahead = self.timed("report", "step", "shown", position=step["position"], scale=1)["next"]
            if ahead:
                self.timed("image, fetched ahead", "ask", "GET", ahead)
            time.sleep(max(0.0, until - time.perf_counter()))
            self.given.append(self.random.choice(ANSWERS))
            answer = self.given[-1]
            step = self.timed("the next image", "step", "answer", position=step["position"], answer=answer)


def make_study(folder: Path) -> None:
    """Noise, which PNG cannot make smaller, so that all files have the size of real ones or more."""
    values = {"store": "none", "synthetic": ["none"], "practice": 0,
              "block": [{"resolution": SIDE, "real": EACH, "synthetic": EACH}]}  # fmt: skip
    (folder / IMAGES).mkdir(parents=True)
    StudySettings.parse(values, source="benchmark").save(folder / SETTINGS)
    rng, images = np.random.default_rng(0), []
    for number in range(2 * EACH):
        image = StudyImage(name=f"{rng.integers(2**62):032x}", block=0, truth=ANSWERS[number % 2])  # type: ignore[arg-type]
        path = folder / IMAGES / f"{image.name}.png"
        Image.fromarray(rng.integers(0, 256, (SIDE, SIDE), np.uint8)).save(path)
        path.write_bytes(path.read_bytes().ljust(SIDE * SIDE + 10_000, b"\0"))
        images.append(image)
    (folder / IMAGES_RECORD).write_text(StudyImages(images=tuple(images)).to_json())


def invite(port: int, link: str) -> tuple[Browser, list[str]]:
    """The coordinator's browser, and the links of all readers."""
    coordinator = Browser(port)
    coordinator.ask("GET", link)
    coordinator.ask("POST", link.rpartition("/")[0] + "/set-password", new_password1=PASSWORD, new_password2=PASSWORD)
    coordinator.ask("GET", "/login")
    coordinator.ask("POST", "/login", username="coordinator", password=PASSWORD)
    coordinator.ask("POST", "/invite", names="\n".join(f"reader {n}" for n in range(READERS)), group="readers")
    pages = [coordinator.ask("GET", f"/readers/{n + 1}").decode() for n in range(READERS)]
    return coordinator, [re.findall(r"/invitation/[\w:=-]+", page)[0] for page in pages]


def measure(folder: Path) -> list[dict[str, Any]]:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    command = [sys.executable, "-m", "radcommons", "study", "serve", str(folder), "--port", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert server.stdout is not None
        lines = [server.stdout.readline() for _ in range(2)]
        while not _listens(port):
            time.sleep(0.1)
        coordinator, links = invite(port, lines[1].split()[-1].partition(str(port))[2])
        readers = [Reader(port, number, link) for number, link in enumerate(links)]
        started = time.monotonic()
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join()
        seconds = time.monotonic() - started
        kept = list(csv.DictReader(io.StringIO(coordinator.ask("GET", "/export/answers.csv").decode())))
    finally:
        server.terminate()
        server.wait()
    lost = 0
    for number, reader in enumerate(readers):
        answers = [line["answer"] for line in kept if line["reader"] == f"reader {number}"]
        lost += 2 * EACH - sum(a == b for a, b in zip(answers, reader.given, strict=True))
    rows = []
    for what in readers[0].waits:
        waits = 1e3 * np.array([wait for reader in readers for wait in reader.waits[what]])
        rows.append(
            {
                "what": what,
                "readers": READERS,
                "asked": len(waits),
                "a second": len(waits) / seconds,
                "p50 ms": float(np.quantile(waits, 0.5)),
                "p99 ms": float(np.quantile(waits, 0.99)),
                "most ms": float(waits.max()),
                "target ms": NEXT_MS if what == "the next image" else None,
                "answers lost": lost,
            }
        )
    return rows


def _listens(port: int) -> bool:
    with socket.socket() as tried:
        return tried.connect_ex(("127.0.0.1", port)) == 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--no-save", action="store_true", help="print the table only")
    options = parser.parse_args()
    load_before = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="study-benchmark-") as place:
        make_study(Path(place) / "study")
        rows = measure(Path(place) / "study")
    claim = (__doc__ or "").partition("\n")[0].removeprefix("Claim: ").capitalize()
    if options.no_save:
        print_table(claim, rows)
    else:
        save("study", claim, rows, "django", "gunicorn", load_average_before=load_before)


if __name__ == "__main__":
    main()
