"""Programs of other makers that read our files; a test that needs one is skipped, with the reason, without it."""

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.request import ProxyHandler, build_opener

import pydicom
import pytest

SECONDS_TO_START = 60
_open = build_opener(ProxyHandler({})).open  # asks this machine, so no proxy


@pytest.fixture(scope="session")
def tool() -> Callable[[str, str], str]:
    """The path of a program of a Debian package; skips the test where it is not installed."""
    return find_tool


def find_tool(name: str, package: str) -> str:
    path = shutil.which(name, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")
    if path is None:
        pytest.skip(f"{name} is not installed; apt-get install {package}")
    return path


class Orthanc:
    """An image archive of our own in a temporary folder: empty at first, and for this machine only."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._clients = {name: find_tool(name, "dcmtk") for name in ("storescu", "findscu", "getscu")}
        command = [find_tool("setpriv", "util-linux"), "--pdeathsig", "KILL", find_tool("Orthanc", "orthanc")]
        self._dicom_port, self._http_port = free_ports(2)
        allowed = {"Host": "127.0.0.1", "Port": 104, "AllowStore": True, "AllowFind": True, "AllowGet": True}
        settings = {
            "StorageDirectory": str(folder / "store"),
            "Plugins": [],
            "HttpPort": self._http_port,
            "DicomPort": self._dicom_port,
            # It listens on every address. These refuse other machines: the first over HTTP, the others over DICOM.
            "RemoteAccessAllowed": False,
            "DicomCheckModalityHost": True,
            "DicomModalities": {name: {"AET": name.upper(), **allowed} for name in self._clients},
            "DicomAlwaysAllowEcho": False,
            "DicomAlwaysAllowStore": False,
        }
        (folder / "orthanc.json").write_text(json.dumps(settings))
        with (folder / "orthanc.log").open("wb") as log:  # setpriv: it ends with these tests even where they are killed
            self._process = subprocess.Popen([*command, folder / "orthanc.json"], cwd=folder, stdout=log, stderr=log)

    def started(self) -> bool:
        """Wait until it answers; False where it ended, as it does when another program has taken a port."""
        end = time.monotonic() + SECONDS_TO_START
        while self._process.poll() is None:
            try:
                return bool(self.rest("/system")["DicomPort"] == self._dicom_port)
            except OSError:
                assert time.monotonic() < end, self.log()
                time.sleep(0.05)
        return False

    def log(self) -> str:
        return (self._folder / "orthanc.log").read_text()

    def client(self, name: str, *options: str, files: tuple[Path, ...] = ()) -> None:
        """Run one of dcmtk's programs against the archive."""
        command = [self._clients[name], *options, "-aec", "ORTHANC", "127.0.0.1", str(self._dicom_port), *files]
        ended = subprocess.run(command, cwd=self._folder, capture_output=True, text=True, check=False)
        assert ended.returncode == 0, ended.stdout + ended.stderr + self.log()

    def store(self, images: Path) -> None:
        self.client("storescu", "--scan-directories", files=(images,))

    def find(self, **query: str) -> list[pydicom.Dataset]:
        """The studies that a query finds, each with its UID and whatever the query names."""
        answers = Path(self._folder / f"answers-{time.monotonic_ns()}")
        answers.mkdir()
        keys = [f"{keyword}={value}" for keyword, value in {"StudyInstanceUID": "", **query}.items()]
        options = [part for key in ("QueryRetrieveLevel=STUDY", *keys) for part in ("-k", key)]
        self.client("findscu", "-S", "-X", "-od", str(answers), *options)
        return [pydicom.dcmread(path, force=True) for path in sorted(answers.iterdir())]

    def fetch(self, study: str) -> list[pydicom.Dataset]:
        """The images of a study, sent by the archive."""
        fetched = Path(self._folder / f"fetched-{time.monotonic_ns()}")
        fetched.mkdir()
        query = ("-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={study}")
        self.client("getscu", "-S", "-od", str(fetched), *query)
        return [pydicom.dcmread(path) for path in sorted(fetched.iterdir())]

    def rest(self, path: str, question: object = None) -> Any:
        """What the REST interface answers."""
        body = None if question is None else json.dumps(question).encode()
        with _open(f"http://127.0.0.1:{self._http_port}{path}", body, timeout=20) as answer:
            return json.load(answer)

    def end(self) -> None:
        self._process.kill()
        self._process.wait()


@pytest.fixture
def orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    """A running archive without images."""
    for _ in range(5):
        archive = Orthanc(tmp_path_factory.mktemp("orthanc"))
        try:
            if archive.started():
                yield archive
                return
        finally:
            archive.end()
    pytest.fail(f"Orthanc did not start: {archive.log()}")


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports
