"""The client of Hugging Face, as others have it, with the real server: what it fetches, keeps, continues and says."""

import contextlib
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import HfApi, constants, hf_hub_download, snapshot_download
from huggingface_hub.errors import (
    EntryNotFoundError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

WEIGHTS = "generator.safetensors"
MANY = 120  # generators; the server lists 100 on a page
pytestmark = pytest.mark.parametrize("database", ["SQLite"], indirect=True)


@pytest.fixture
def server(hub_data: Path, published, packaged: Path, anna, serve: Callable[..., Any], monkeypatch) -> Any:
    """A hub with one generator, and a client whose folders are new."""
    published(packaged, anna, "chest")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(hub_data.parent / "cache"))
    return serve(hub_data)


def requests_of(server: Any, view: str) -> list[int]:
    """Status of every answer of a view so far, by the server's own count."""
    found: list[int] = []
    for line in server.get("/metrics")[1].splitlines():
        if line.startswith("radcommons_requests_total{") and f'view="{view}"' in line:
            found += [int(line.partition('status="')[2][:3])] * int(float(line.rpartition(" ")[2]))
    return found


def test_files_and_snapshots_come_whole_and_once(server: Any, packaged: Path) -> None:
    names = sorted(path.relative_to(packaged).as_posix() for path in packaged.rglob("*") if path.is_file())

    def fetched() -> int:
        """Requests for contents of files; `head` and `get` are both counted."""
        return len(requests_of(server, "resolve"))

    def one() -> Path:
        return Path(hf_hub_download("clinic-a/chest", WEIGHTS, endpoint=server.address))

    def all_of_it() -> Path:
        return Path(snapshot_download("clinic-a/chest", endpoint=server.address))

    assert one().read_bytes() == (packaged / WEIGHTS).read_bytes() and fetched() == 2
    before = one().stat()
    assert (one().stat().st_ino, one().stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert fetched() == 5  # whether the file is still the newest one, three times

    folder, first = all_of_it(), fetched()
    assert sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()) == names
    assert all((folder / name).read_bytes() == (packaged / name).read_bytes() for name in names)
    assert first >= 5 + len(names) - 1
    assert all_of_it() == folder and fetched() == first

    assert set(requests_of(server, "resolve")) == {200}


def test_generators_are_listed_over_more_than_one_page(server: Any, hub_data: Path) -> None:
    from radcommons.hub.models import Generator, Revision, RevisionTag

    first = Revision.objects.get()
    place = first.generator.organisation
    made = Generator.objects.bulk_create(Generator(organisation=place, name=f"copy-{n:03}") for n in range(MANY))
    fields = {field.attname: getattr(first, field.attname) for field in Revision._meta.fields if not field.primary_key}
    rows = Revision.objects.bulk_create(Revision(**{**fields, "generator_id": one.pk}) for one in made)
    RevisionTag.objects.bulk_create(RevisionTag(revision=row, tag="Hernia") for row in rows[::2])

    def listed(**asked: Any) -> list[str]:
        return [one.id for one in HfApi(endpoint=server.address, token=False).list_models(**asked)]

    everything = listed()
    assert len(set(everything)) == len(everything) == MANY + 1 and requests_of(server, "models") == [200, 200]
    assert listed(limit=5) == everything[:5] and listed(limit=110) == everything[:110]
    assert listed(search="COPY-01") == [f"clinic-a/copy-{n:03}" for n in range(19, 9, -1)]
    assert len(listed(filter="Hernia")) == MANY // 2 and listed(filter=["Hernia", "nothing"]) == []
    assert len(listed(author="clinic-a", sort="downloads")) == MANY + 1 and listed(author="clinic-b") == []
    about = HfApi(endpoint=server.address, token=False).model_info("clinic-a/chest")
    assert about.sha == first.sha and about.card_data.license == "cc-by-nc-4.0"


class Wire:
    """A way to a server that breaks once, after so many bytes of its answers."""

    def __init__(self, server: str, after: int) -> None:
        self.port, self.left, self.ends = int(server.rpartition(":")[2]), after, []
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self.listening.getsockname()[1]}"
        self.threads = [threading.Thread(target=self.accept)]
        self.threads[0].start()

    def accept(self) -> None:
        with contextlib.suppress(OSError):  # nobody listens any more
            while True:
                client, server = self.listening.accept()[0], socket.create_connection(("127.0.0.1", self.port))
                self.ends += [client, server]
                for ends in ((client, server, False), (server, client, True)):
                    self.threads.append(threading.Thread(target=self.copy, args=ends))
                    self.threads[-1].start()

    def copy(self, source: socket.socket, target: socket.socket, answers: bool) -> None:
        with contextlib.suppress(OSError):
            while piece := source.recv(1000):
                target.sendall(piece)
                before, self.left = self.left, self.left - len(piece) * answers
                if answers and self.left <= 0 < before:
                    break
        cut(source, target)

    def close(self) -> None:
        cut(self.listening, *self.ends)
        for thread in self.threads:
            thread.join()
        for end in (self.listening, *self.ends):
            end.close()


def cut(*ends: socket.socket) -> None:
    for end in ends:
        with contextlib.suppress(OSError):  # it was closed at its other side
            end.shutdown(socket.SHUT_RDWR)


def test_a_download_that_broke_off_half_way_is_continued(
    server: Any, packaged: Path, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 500)
    with contextlib.closing(Wire(server.address, after=(packaged / WEIGHTS).stat().st_size // 2)) as wire:
        path = hf_hub_download("clinic-a/chest", WEIGHTS, endpoint=wire.address, local_dir=tmp_path / "here")
    assert Path(path).read_bytes() == (packaged / WEIGHTS).read_bytes()
    assert sorted(requests_of(server, "resolve")) == [200, 200, 206]


def test_what_is_not_there_and_what_was_withdrawn_are_said_in_the_clients_own_errors(
    server: Any, anna, tmp_path: Path, monkeypatch
) -> None:
    from radcommons.packages.hub_client import Hub

    at = {"endpoint": server.address}
    with pytest.raises(RepositoryNotFoundError):
        hf_hub_download("clinic-a/none", WEIGHTS, **at)
    with pytest.raises(RepositoryNotFoundError):
        snapshot_download("none/chest", **at)
    with pytest.raises(RevisionNotFoundError):
        hf_hub_download("clinic-a/chest", WEIGHTS, revision="0" * 40, **at)
    with pytest.raises(RevisionNotFoundError):
        HfApi(**at).model_info("clinic-a/chest", revision="v1")
    with pytest.raises(EntryNotFoundError):
        hf_hub_download("clinic-a/chest", "other.json", **at)

    kept = hf_hub_download("clinic-a/chest", "config.json", **at)
    Hub(server.address, anna.withdrawing_token).withdraw("clinic-a/chest", "a patient asked")
    assert hf_hub_download("clinic-a/chest", "config.json", **at) == kept  # a copy that was fetched before
    for ask in (
        lambda: HfApi(**at).model_info("clinic-a/chest"),
        lambda: list(HfApi(**at).list_repo_tree("clinic-a/chest")),
    ):
        with pytest.raises(HfHubHTTPError, match="was withdrawn on .*: a patient asked") as gone:
            ask()
        assert gone.value.response.status_code == 410
    for fetch in (
        lambda: hf_hub_download("clinic-a/chest", WEIGHTS, **at),
        lambda: snapshot_download("clinic-a/chest", local_dir=tmp_path / "new", **at),
    ):
        with pytest.raises((LocalEntryNotFoundError, HfHubHTTPError)) as gone:
            fetch()
        cause = gone.value if isinstance(gone.value, HfHubHTTPError) else gone.value.__cause__
        assert "a patient asked" in str(cause)


LOAD_CARDS = """
from huggingface_hub import ModelCard
cards = [ModelCard.load("clinic-a/chest") for _ in range(2)]
assert cards[0].content == cards[1].content
print(cards[0].data.license)
print(cards[0].content, end="")
"""


def test_cards_and_the_command_line_follow_hf_endpoint(server: Any, packaged: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "HF_ENDPOINT": server.address, "HF_HOME": str(tmp_path / "home")}

    def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)

    cards = run(sys.executable, "-c", LOAD_CARDS)
    assert cards.returncode == 0, cards.stderr
    assert cards.stdout == f"cc-by-nc-4.0\n{(packaged / 'README.md').read_text()}"
    assert requests_of(server, "resolve") == [200] * 3  # fetched once, and asked once more whether it is the newest one

    program = Path(sys.executable).with_name("hf")
    if not program.is_file():
        pytest.skip("no command hf beside this Python")
    done = run(program, "download", "clinic-a/chest", "--local-dir", tmp_path / "got")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "got" / WEIGHTS).read_bytes() == (packaged / WEIGHTS).read_bytes()
    absent = run(program, "download", "clinic-a/none")
    assert absent.returncode != 0 and "not found" in absent.stderr.lower()
