"""A hub's client: search and fetch in the protocol of the Hugging Face Hub, deposit and withdraw in the hub's own.

Everything that is fetched is checked, file by file and by its signature, before anything uses it.
"""

import os
import shutil
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import quote, urlsplit

from radcommons.errors import AnotherKey, ExtraMissing, GateRefused, HubRefused, PackageRefused, PathInUse, PathMissing
from radcommons.files import full_disk_is_clear
from radcommons.packages import signatures
from radcommons.packages.contents import LARGEST, LARGEST_PICTURE, PICTURE, Package, names_in, open_package
from radcommons.packages.trusted_keys import keys_of, trust, trusted
from radcommons.progress import Advance, Track, silent
from radcommons.records import sha256_file

os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
os.environ.setdefault("HF_HUB_DISABLE_XET", "1")

try:
    import httpx2
    from huggingface_hub import HfApi, get_session
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError
    from huggingface_hub.utils.tqdm import tqdm
except ModuleNotFoundError:
    raise ExtraMissing("a hub needs", "hub") from None

TOKEN_VARIABLE = "RADCOMMONS_HUB_TOKEN"
SECONDS = 60.0  # that an answer may take
TRIES = 5  # of a request, where the connection breaks: for half a minute
BETWEEN_LOOKS = 2.0  # seconds, at a deposit that is being examined
MOST_LISTED = 1_000  # by a hub, in one answer
AWAY = (502, 503, 504)
NOT_OURS = (".gitattributes",)  # which Hugging Face adds to what lies there


class HubAway(HubRefused):
    """A hub does not answer now; the same request may succeed later."""


class HubBusy(HubRefused):
    """Something else came first; the state of the deposit says what."""


@dataclass(frozen=True, slots=True)
class _Offered:
    """A file of a revision: bytes, and its digest where the hub names it; the signature names it in any case."""

    size: int
    sha256: str | None


@dataclass(frozen=True, slots=True)
class Deposited:
    """What became of a deposit: its state, the hub's verdict, and the revision if it was published."""

    deposit: str
    state: str
    verdict: Mapping[str, Any] | None
    revision: str | None


class Hub:
    """A hub at an address such as https://hub.example.org."""

    def __init__(self, address: str, token: str | None = None) -> None:
        self.address = address.rstrip("/")
        self.token = token or os.environ.get(TOKEN_VARIABLE)

    # ---- what everybody can do ----

    def search(
        self, words: str = "", *, findings: tuple[str, ...] = (), limit: int = 50, sort: str = "createdAt"
    ) -> list[dict[str, Any]]:
        """Generators by name and findings, newest first or in another order, as the hub describes them."""
        query = {"search": words, "limit": str(limit), "sort": sort}
        if findings:
            query["filter"] = ",".join(findings)
        found: list[dict[str, Any]] = self._call("GET", "/api/models", params=query).json()
        return found

    def show(self, generator: str, revision: str = "main") -> dict[str, Any]:
        """One generator."""
        path = f"/api/models/{_named(generator)}/revision/{quote(revision, safe='')}"
        found: dict[str, Any] = self._call("GET", path).json()
        return found

    @property
    def name(self) -> str:
        """Host and port, as a name of a folder."""
        return urlsplit(self.address).netloc.replace(":", "_")

    def pull(
        self,
        generator: str,
        out: Path,
        *,
        revision: str = "main",
        public_key: Path | None = None,
        track: Track = silent,
    ) -> Package:
        """Fetch a package into a folder and check it; files that are there already are not fetched again.

        Args:
            public_key: of the site; it is trusted from now on. By default one that is trusted already or, where none
                is, the one that is registered at the hub, which is trusted from then on.
        Raises:
            HubRefused: the hub does not answer, or has no such generator, or it was withdrawn.
            PackageRefused: what came is damaged or not signed by the key.
            PathInUse: `out` holds something else.
        """
        about = self.show(generator, revision)
        files = self._files(generator, about["sha"])
        _require_room_for(files, out)
        total = sum(file.size for file in files.values())
        with track("Downloading", total=total, unit="bytes") as advance, _clear(self.address), full_disk_is_clear(out):
            HfApi(endpoint=self.address, token=False).snapshot_download(
                _named(generator),
                revision=about["sha"],
                local_dir=out,
                allow_patterns=list(files),
                tqdm_class=_bar_into(advance),
            )
        shutil.rmtree(out / ".cache", ignore_errors=True)  # in which Hugging Face's client keeps what it knows
        for name, file in files.items():
            if not (out / name).is_file() or file.sha256 not in (None, sha256_file(out / name)):
                (out / name).unlink(missing_ok=True)
                raise PackageRefused(f"{out / name} came damaged; run the same command again")
        package = open_package(out)
        organisation = generator.partition("/")[0]
        if public_key is not None:
            signatures.verify(out, public_key)
            trust(self.name, organisation, public_key)
        elif trusted(self.name, organisation):
            self.verify(generator, out)
        else:
            with self._registered(about) as registered:
                signatures.verify(out, registered)
                trust(self.name, organisation, registered)
        return package

    def verify(self, generator: str, package: Path) -> None:
        """Raise PackageRefused unless a package is signed by a key of its organisation that is trusted here."""
        organisation = generator.partition("/")[0]
        keys = trusted(self.name, organisation)
        for key in keys:
            with suppress(AnotherKey):
                return signatures.verify(package, key)
        raise PackageRefused(
            f"{generator} is not signed with a key that is trusted for {organisation} "
            f"({keys_of(self.name, organisation)}); ask the site whether its key is new, and name it: "
            f"radcommons hub pull {generator} --hub {self.address} --key FILE --out FOLDER"
        )

    @contextmanager
    def _registered(self, about: Mapping[str, Any]) -> Iterator[Path]:
        """The public key that is registered at the hub for a revision, in a file."""
        if "radcommons" not in about:
            raise PackageRefused(
                f"{self.address} registers no keys; ask the site for its public key, and name it once: "
                f"radcommons hub pull {about['id']} --hub {self.address} --key FILE --out FOLDER"
            )
        fingerprint = quote(about["radcommons"]["key_fingerprint"], safe="")
        with TemporaryDirectory() as folder:
            (Path(folder) / "registered.pem").write_text(self._call("GET", f"/api/keys/{fingerprint}").text)
            yield Path(folder) / "registered.pem"

    def _files(self, generator: str, sha: str) -> dict[str, "_Offered"]:
        """The files of a revision; raises PackageRefused for one that does not belong in a package."""
        path = f"/api/models/{_named(generator)}/tree/{quote(sha, safe='')}"
        listed = self._call("GET", path, params={"recursive": "true"}).json()
        files = {}
        for file in listed:
            name = file["path"]
            if file["type"] != "file" or name in NOT_OURS:
                continue
            most = LARGEST_PICTURE if PICTURE.fullmatch(name) else LARGEST.get(name, -1)
            if not 0 <= file["size"] <= most:
                raise PackageRefused(f"{self.address} offers {name!r}, which does not belong in a package")
            files[name] = _Offered(file["size"], file["lfs"]["oid"] if "lfs" in file else None)
        return files

    # ---- what members do ----

    def push(self, package: Path, generator: str, *, wait: bool = True, track: Track = silent) -> Deposited:
        """Deposit a package; the same call goes on where an earlier one was broken off.

        Args:
            wait: until the gate has judged it.
        Raises:
            GateRefused: by the gate, with its reasons.
        """
        open_package(package)
        files: dict[str, dict[str, Any]] = {
            name: {"size": (package / name).stat().st_size, "sha256": sha256_file(package / name)}
            for name in names_in(package)
        }
        about = self._call("POST", "/api/deposits", json={"generator": generator, "files": files}, token=True).json()
        total = sum(file["size"] for file in files.values())
        with track("Uploading", total=total, done=sum(about["here"].values()), unit="bytes") as advance:
            for name, file in files.items():
                self._upload(about, package / name, name, file["size"], advance)
        about = self._patiently("POST", f"/api/deposits/{about['id']}/submit").json()
        if wait:
            with track("Examining", total=1, unit="deposits") as advance:
                while about["state"] in ("submitted", "examining"):
                    time.sleep(BETWEEN_LOOKS)
                    about = self.deposit(about["id"])
                advance(1)
        if about["state"] == "refused":
            raise GateRefused(f"{generator} was refused: {printable('; '.join(about['verdict']['reasons']))}")
        return Deposited(about["id"], about["state"], about["verdict"], about["revision"])

    def deposit(self, deposit: str) -> dict[str, Any]:
        """The state of a deposit."""
        found: dict[str, Any] = self._patiently("GET", f"/api/deposits/{quote(deposit, safe='')}").json()
        return found

    def withdraw(self, generator: str, reason: str) -> None:
        """Take a generator away; the reason stays for everybody to read."""
        self._call("POST", f"/api/generators/{_named(generator)}/withdraw", json={"reason": reason}, token=True)

    # ---- requests ----

    def _upload(self, about: Mapping[str, Any], path: Path, name: str, size: int, advance: Advance) -> None:
        """Send what the hub lacks of a file.

        Where a piece may or may not have come through, or another push of the same package sends pieces too, the hub
        says how far the file is.
        """
        address, offset, failures = f"/api/deposits/{about['id']}/files/{quote(name)}", about["here"][name], 0
        with path.open("rb") as file:
            while offset < size:
                file.seek(offset)
                piece = file.read(about["piece"])
                headers = {"Upload-Offset": str(offset), "Content-Type": "application/offset+octet-stream"}
                try:
                    self._call("PATCH", address, content=piece, headers=headers, token=True)
                    here, failures = offset + len(piece), 0
                except (HubAway, HubBusy):
                    failures += 1
                    if failures == TRIES:
                        raise
                    if self.deposit(about["id"])["state"] != "uploading":  # the other push was quicker
                        here = size
                    else:
                        here = int(self._patiently("HEAD", address).headers["Upload-Offset"])
                advance(here - offset)
                offset = here

    def _patiently(self, method: str, path: str) -> Any:
        """A request that may be repeated; a hub that is away is waited for."""
        for attempt in range(TRIES):
            try:
                return self._call(method, path, token=True)
            except HubAway:
                if attempt == TRIES - 1:
                    raise
                time.sleep(2**attempt)

    def _call(self, method: str, path: str, *, token: bool = False, **about: Any) -> Any:
        headers = dict(about.pop("headers", {}))
        if token:
            if not self.token:
                raise HubRefused(f"this needs a token: set {TOKEN_VARIABLE}; the hub's operator makes one")
            if not self.address.startswith("https://") and not is_local(self.address):
                raise HubRefused(f"{self.address}: a token is sent to https:// only, or to this machine")
            headers["Authorization"] = f"Bearer {self.token}"
        with _clear(self.address):
            answer = get_session().request(method, self.address + path, headers=headers, timeout=SECONDS, **about)
        if answer.status_code in AWAY:
            raise HubAway(f"{self.address}: {_reasons(answer)}; run the same command again")
        if answer.status_code == 409:
            raise HubBusy(f"{self.address}: {_reasons(answer)}")
        if answer.status_code >= 400:
            raise HubRefused(f"{self.address}: {_reasons(answer)}")
        return answer


def _bar_into(advance: Advance) -> type[tqdm]:
    """What Hugging Face's client takes for a progress bar: it hands the bytes on."""

    class Bar(tqdm):
        def __init__(self, *args: Any, **settings: Any) -> None:
            self._counts = settings.get("unit") == "B" and "Reconstructing" in str(settings.get("desc"))
            super().__init__(*args, **{**settings, "disable": True})  # type: ignore[no-untyped-call]

        def update(self, n: float | None = 1) -> None:
            if self._counts:
                advance(int(n or 0))

    return Bar


def is_local(address: str) -> bool:
    """Whether an address is one of this machine, on which a token needs no TLS."""
    return urlsplit(address).hostname in ("localhost", "127.0.0.1", "::1")


def printable(text: str) -> str:
    """Text of a hub without what would control a terminal."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


@contextmanager
def _clear(address: str) -> Iterator[None]:
    """Turn what the libraries raise about a hub into one line."""
    try:
        yield
    except HfHubHTTPError as error:
        reason = printable(error.server_message or str(error).splitlines()[0])
        raise HubRefused(f"{address}: {reason}") from None
    except (httpx2.HTTPError, httpx2.InvalidURL, LocalEntryNotFoundError, ConnectionError, TimeoutError) as error:
        raise HubAway(f"{address} cannot be reached ({type(error).__name__}); run the same command again") from None


def _reasons(answer: Any) -> str:
    try:
        found = answer.json()
        return printable("; ".join(found["errors"]) if "errors" in found else str(found["error"]))
    except (ValueError, KeyError, TypeError):
        return f"answered {answer.status_code}"


def _named(generator: str) -> str:
    organisation, slash, name = generator.partition("/")
    if not (slash and organisation and name) or "/" in name:
        raise PathMissing(f"{generator} is no name of a generator; write it as ORG/NAME")
    return f"{quote(organisation)}/{quote(name)}"


def _require_room_for(files: Collection[str], out: Path) -> None:
    """Refuse a folder that holds anything but these files and what an unfinished call left."""
    others = [name for name in (names_in(out) if out.is_dir() else []) if name not in files]
    if others := [name for name in others if not name.startswith(".cache/huggingface/")]:
        raise PathInUse(f"{out} holds {others[0]}, which is not of this revision; choose another --out")
