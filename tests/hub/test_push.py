"""The real client deposits at the real server, and either is killed half-way, or what it deposits is damaged."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from radcommons.errors import PackageRefused
from radcommons.hub import gate
from radcommons.packages import hub_client
from radcommons.packages.hub_client import Hub
from radcommons.packages.signatures import new_keys, sign
from radcommons.records import sha256_file

WEIGHTS = "generator.safetensors"
DIES = """
import os, signal, sys
from pathlib import Path
from radcommons.packages.hub_client import Hub
class Dies(Hub):
    def _upload(self, about, path, name, size, advance):
        super()._upload({**about, "piece": 1000}, path, name, size, advance)
    def _call(self, method, path, **about):
        answer = super()._call(method, path, **about)
        if path.endswith("safetensors") and about["headers"]["Upload-Offset"] == "1000":
            os.kill(os.getpid(), signal.SIGKILL)
        return answer
Dies(sys.argv[1]).push(Path(sys.argv[2]), "clinic-a/chest", wait=False)
"""


class Small(Hub):
    """A client that sends pieces of 1,000 bytes, and does something when so many bytes of the weights are there."""

    at: dict[int, Callable[[], None]] = {}  # noqa: RUF012

    def _upload(self, about: Any, *rest: Any) -> None:
        super()._upload({**about, "piece": 1000}, *rest)

    def _call(self, method: str, path: str, **about: Any) -> Any:
        answer = super()._call(method, path, **about)
        if method == "PATCH" and path.endswith(WEIGHTS):
            sent.append(int(about["headers"]["Upload-Offset"]))
            self.at.pop(int(answer.headers["Upload-Offset"]), lambda: None)()
        return answer


sent: list[int] = []


@pytest.mark.slow
@pytest.mark.parametrize("database", ["SQLite"], indirect=True)
def test_an_upload_outlives_its_client_and_its_server(
    hub_data: Path, serve: Callable[..., Any], anna: Any, packaged: Path
) -> None:
    from radcommons.hub.models import Deposit

    server = serve(hub_data)
    client = [sys.executable, "-c", DIES, server.address, packaged]
    killed = subprocess.run(client, env={**os.environ, "RADCOMMONS_HUB_TOKEN": anna.token}, capture_output=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert Deposit.objects.get().state == "uploading" and Hub(server.address).search() == []

    def kill_and_start_again() -> None:
        server.kill()
        serve(hub_data, port=int(server.address.rpartition(":")[2]))

    sent.clear()
    hub = Small(server.address, anna.token)
    hub.at = {4000: kill_and_start_again}
    done = hub.push(packaged, "clinic-a/chest", wait=False)
    assert sent[0] == 2000 and sent == sorted(set(sent)) and hub.at == {}
    assert (done.state, done.deposit) == ("submitted", Deposit.objects.get().pk)
    assert sha256_file(hub_data / "staging" / done.deposit / "package" / WEIGHTS) == sha256_file(packaged / WEIGHTS)
    assert hub.search() == []


def flip(deposit: Any) -> None:
    content = bytearray((deposit.folder / WEIGHTS).read_bytes())
    content[-1] ^= 1
    (deposit.folder / WEIGHTS).write_bytes(content)


def flip_and_let_the_records_name_it(deposit: Any) -> None:
    flip(deposit)
    deposit.change("config.json", weights_sha256=sha256_file(deposit.folder / WEIGHTS))
    deposit.change("audit.json", digest=sha256_file(deposit.folder / WEIGHTS))


def truncate_and_sign(deposit: Any) -> None:
    (deposit.folder / WEIGHTS).write_bytes((deposit.folder / WEIGHTS).read_bytes()[:-100])
    deposit.about_its_weights()


def sign_as_another_site(deposit: Any) -> None:
    (deposit.folder / "model.sig").unlink()
    new_keys(deposit.folder.parent / "other")
    sign(deposit.folder, deposit.folder.parent / "other" / "private.pem")


def bomb(deposit: Any) -> None:
    Image.new("1", (20_000, 20_000)).save(deposit.folder / "samples" / "overview.png")
    deposit.sign()


DAMAGE = {  # what is done to a package: what its own depositor's client says, what the gate says of one that came
    flip: ("config.json is about other weights", "is not what was signed"),
    flip_and_let_the_records_name_it: (None, "is not what was signed"),
    truncate_and_sign: (None, "bytes of tensors, the file holds"),
    sign_as_another_site: (None, "signed with another key than the registered key"),
    bomb: ("more than 64,000,000 pixels", "more than 64,000,000 pixels"),
}


@pytest.mark.slow
@pytest.mark.parametrize("database", ["SQLite"], indirect=True)
def test_a_damaged_package_is_refused_by_its_client_if_it_can_tell_and_else_by_the_gate(
    hub_data: Path, serve: Callable[..., Any], anna: Any, bert: Any, good: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    from radcommons.hub import accounts, examination, tasks
    from radcommons.hub.models import Deposit, Revision

    accounts.add_key("clinic-a", good.public)
    monkeypatch.setattr(examination, "examine_apart", gate.examine)  # in this process, which is the worker
    hub = Hub(serve(hub_data).address, anna.token)
    for damage, (said_here, said_by_gate) in DAMAGE.items():
        name = f"clinic-a/{damage.__name__.replace('_', '-')}"
        folder = tmp_path / damage.__name__ / "package"
        shutil.copytree(good.folder, folder)
        damage(replace(good, folder=folder))
        if damage is sign_as_another_site:
            accounts.add_key("clinic-b", folder.parent / "other" / "public.pem")
        if said_here:
            with pytest.raises(PackageRefused, match=said_here):
                hub.push(folder, name, wait=False)
            assert not Deposit.objects.filter(organisation__name="clinic-a", name=name.partition("/")[2]).exists()
        with monkeypatch.context() as careless:
            careless.setattr(hub_client, "open_package", lambda folder: None)
            pushed = hub.push(folder, name, wait=False)
        tasks.examine.func(pushed.deposit)
        about = hub.deposit(pushed.deposit)
        assert about["state"] == "refused" and said_by_gate in " ".join(about["verdict"]["reasons"]), damage
    assert Revision.objects.count() == 0 and hub.search() == []
