"""References to generators, against a stub of a hub and of Hugging Face that serves a package from its folder."""

import hashlib
import json
import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from radcommons.cli import run
from radcommons.errors import HubRefused, PackageRefused, SettingRefused
from radcommons.models.generator import Generator
from radcommons.packages import references
from radcommons.packages.contents import names_in
from radcommons.packages.references import Reference, fetched, is_reference, parse
from radcommons.packages.signatures import fingerprint, new_keys, sign
from radcommons.pool.pool import Pool

SHA = "5" * 40


@dataclass
class Stub:
    """What the server does: the package that it shows, and all that it was asked for."""

    folder: Path
    key: Path
    registers_keys: bool = True
    away: bool = False
    asked: list[str] = field(default_factory=list)
    port: int = 0

    @property
    def reference(self) -> str:
        return f"hub://127.0.0.1:{self.port}/clinic-a/chest"

    def answer(self, method: str, path: str) -> tuple[int, dict[str, str], bytes]:
        self.asked.append(f"{method} {path}")
        if self.away:
            return 503, {}, b'{"error": "away"}'
        path = path.partition("?")[0]
        if path in ("/api/models/clinic-a/chest/revision/main", f"/api/models/clinic-a/chest/revision/{SHA}"):
            known = {"radcommons": {"key_fingerprint": fingerprint(self.key)}} if self.registers_keys else {}
            names = [{"rfilename": name} for name in self.names]
            return 200, {}, json.dumps({"id": "clinic-a/chest", "sha": SHA, "siblings": names, **known}).encode()
        if path == f"/api/models/clinic-a/chest/tree/{SHA}":
            return 200, {}, json.dumps([self.described(name) for name in self.names]).encode()
        if path == "/api/models":
            return 200, {}, json.dumps([{"id": "clinic-a/chest", "sha": SHA}]).encode()
        if path.startswith("/api/keys/"):
            return 200, {}, self.key.read_bytes()
        name = path.removeprefix(f"/clinic-a/chest/resolve/{SHA}/")
        if name in self.names:
            content = (self.folder / name).read_bytes()
            digest = hashlib.sha256(content).hexdigest()
            return 200, {"X-Repo-Commit": SHA, "ETag": f'"{digest}"'}, content
        return 404, {"X-Error-Code": "RepoNotFound"}, b'{"error": "no such generator"}'

    @property
    def names(self) -> list[str]:
        return [name for name in names_in(self.folder) if not name.startswith(".cache")]

    def described(self, name: str) -> dict[str, Any]:
        content = (self.folder / name).read_bytes()
        about: dict[str, Any] = {"type": "file", "path": name, "size": len(content), "oid": "0" * 40}
        if self.registers_keys or name.endswith(".safetensors"):  # Hugging Face names digests of large files only
            about["lfs"] = {"oid": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 100}
        return about


@pytest.fixture
def stub(package, keys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stub]:
    served = Stub(package.folder, keys.public)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, headers, content = served.answer(self.command, self.path)
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(content)

        do_HEAD = do_GET

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    served.port = server.server_port
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.setenv("RADCOMMONS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{served.port}")
    monkeypatch.setattr(references, "_here", {})
    monkeypatch.setattr("radcommons.packages.hub_client.TRIES", 1)
    yield served
    server.shutdown()
    thread.join()
    server.server_close()


def in_a_new_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(references, "_here", {})


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("hub://hub.example.org/a/b", Reference("https://hub.example.org", "a/b", "main")),
        ("hub://hub.example.org:8443/a/b.c@" + SHA, Reference("https://hub.example.org:8443", "a/b.c", SHA)),
        ("hub://localhost:8000/a/b@main", Reference("http://localhost:8000", "a/b", "main")),
        (str(Path("hub://hub.example.org/a/b")), Reference("https://hub.example.org", "a/b", "main")),
        ("hf://a/b@v1.0", Reference("https://huggingface.co", "a/b", "v1.0")),
    ],
)
def test_what_a_reference_means(text: str, meant: Reference, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_ENDPOINT", raising=False)
    assert is_reference(text) and parse(text) == meant


@pytest.mark.parametrize(
    "text",
    ["hub://a/b", "hub://host/a/b/c", "hub://host/a/../b", "hub://host/a/b@", "hf://a", "hf:///a/b", "hub://h/a b/c",
     "hub://user@host/a/b", "hub://host/a/b?x", "hub://host/-a/b", "hub://host/a/b\n"],
)  # fmt: skip
def test_what_names_no_generator_is_refused(text: str) -> None:
    with pytest.raises(SettingRefused, match="names no generator; write hub://HOST/ORG/NAME"):
        parse(text)


def test_a_name_without_a_hub_needs_its_address() -> None:
    assert parse("a/b@v2", "https://hub.example.org") == Reference("https://hub.example.org", "a/b", "v2")
    with pytest.raises(SettingRefused, match="'a/b' names no hub; give its address with --hub"):
        parse("a/b")


@pytest.mark.parametrize("path", ["runs/site-a", "/data/hub/x", "hub", "C:/runs/a", "hubs:/a/b", "hub:x"])
def test_a_folder_is_no_reference(path: str) -> None:
    assert not is_reference(path)


def test_a_generator_is_fetched_once_checked_and_drawn_from(
    stub: Stub, packaged: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    generator = Generator.load(stub.reference, device="cpu")
    assert (generator.generate(3).images == Generator.load(packaged, device="cpu").generate(3).images).all()
    assert generator.folder == tmp_path / f"home/generators/127.0.0.1_{stub.port}/clinic-a/chest/{SHA}"
    in_a_new_process(monkeypatch)
    stub.asked.clear()
    Generator.load(stub.reference, device="cpu")
    assert [path.partition("?")[0] for path in stub.asked] == ["GET /api/models/clinic-a/chest/revision/main"]


def test_a_whole_revision_needs_no_network_once_it_is_here(stub: Stub, monkeypatch: pytest.MonkeyPatch) -> None:
    Generator.load(f"{stub.reference}@{SHA}", device="cpu")
    in_a_new_process(monkeypatch)
    stub.away = True
    Generator.load(f"{stub.reference}@{SHA}", device="cpu")
    with pytest.raises(HubRefused, match="away"):
        Generator.load(stub.reference, device="cpu")


def test_every_command_and_a_pool_take_a_reference(
    stub: Stub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["generate", stub.reference, "--out", str(tmp_path / "set"), "-n", "3", "--json"]) == 0
    assert json.loads((tmp_path / "set" / "provenance.json").read_text())["generators"][0]["name"] == "site-a"
    specification = f'total_images = 4\nrequire_privacy_passed = true\n[[generator]]\nreference = "{stub.reference}"\n'
    (tmp_path / "pool.toml").write_text(specification)
    assert run(["pool", str(tmp_path / "pool.toml"), "--out", str(tmp_path / "pooled")]) == 0
    assert len(Pool.of(stub.reference, total_images=2)) == 2
    out = str(tmp_path / "explained")
    assert run(["explain", "morph", stub.reference, "--out", out, "--finding", "Effusion", "--frames", "3"]) == 0
    assert "Downloading" in capsys.readouterr().err


def test_a_file_that_was_changed_here_is_found_before_it_is_loaded(stub: Stub, monkeypatch: pytest.MonkeyPatch) -> None:
    place = fetched(stub.reference)
    in_a_new_process(monkeypatch)
    (place / "findings.json").write_text((place / "findings.json").read_text() + " ")
    with pytest.raises(PackageRefused, match=r"changed: findings\.json.*\(or delete .*5555, and it is fetched again\)"):
        Generator.load(stub.reference, device="cpu")


def test_the_first_key_is_kept_and_another_later_is_refused_until_the_user_names_it(
    stub: Stub, keys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fetched(stub.reference)
    kept = tmp_path / f"home/keys/127.0.0.1_{stub.port}/clinic-a/{fingerprint(keys.public)[:16]}.pem"
    assert kept.read_bytes() == keys.public.read_bytes()
    new_keys(tmp_path / "new")
    (stub.folder / "model.sig").unlink()
    sign(stub.folder, tmp_path / "new" / "private.pem")
    stub.key = tmp_path / "new" / "public.pem"
    shutil.rmtree(tmp_path / "home" / "generators")
    in_a_new_process(monkeypatch)
    with pytest.raises(PackageRefused, match=r"chest is not signed with a key that is trusted for clinic-a"):
        Generator.load(stub.reference, device="cpu")
    assert not list((tmp_path / "home" / "generators").rglob(SHA))
    command = ["hub", "pull", stub.reference, "--key", str(stub.key), "--out", str(tmp_path / "out")]
    assert run(command) == 0
    capsys.readouterr()
    Generator.load(stub.reference, device="cpu")
    assert len(list(kept.parent.iterdir())) == 2


def test_what_lies_at_hugging_face_needs_the_key_of_its_site_and_no_other_file_of_the_place_matters(
    stub: Stub, keys, tmp_path: Path
) -> None:
    stub.registers_keys = False
    (stub.folder / ".gitattributes").write_text("*.safetensors filter=lfs\n")
    with pytest.raises(PackageRefused, match="registers no keys; ask the site for its public key, and name it once"):
        Generator.load("hf://clinic-a/chest", device="cpu")
    out = tmp_path / "out"
    assert run(["hub", "pull", "hf://clinic-a/chest", "--key", str(keys.public), "--out", str(out)]) == 0
    assert not (out / ".gitattributes").exists()
    assert Generator.load("hf://clinic-a/chest", device="cpu").name == "site-a"


def test_a_mirror_serves_a_machine_without_a_network(
    stub: Stub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RADCOMMONS_HOME", "unused")  # so that the command's own value goes with the test
    stick = str(tmp_path / "stick")
    assert run(["hub", "mirror", "--hub", f"http://127.0.0.1:{stub.port}", "--out", stick]) == 0
    assert f"{stub.reference}@{SHA}\n{stick}: 1 generators" in capsys.readouterr().out
    in_a_new_process(monkeypatch)
    stub.away = True
    monkeypatch.setenv("RADCOMMONS_HOME", stick)
    Generator.load(f"{stub.reference}@{SHA}", device="cpu")


def test_what_does_not_belong_in_a_package_is_not_fetched(stub: Stub) -> None:
    (stub.folder / "model.pkl").write_bytes(b"cos\nsystem\n")
    with pytest.raises(PackageRefused, match=r"offers 'model\.pkl', which does not belong in a package"):
        Generator.load(stub.reference, device="cpu")
    assert not any("resolve" in path for path in stub.asked)


def test_a_generator_that_is_not_there_is_one_line(stub: Stub, capsys: pytest.CaptureFixture[str]) -> None:
    none = stub.reference.replace("chest", "none")
    assert run(["generate", none, "--out", "set", "-n", "3"]) == 2
    assert "no such generator" in capsys.readouterr().err
