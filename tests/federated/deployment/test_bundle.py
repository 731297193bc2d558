"""What a server sends: two names, and nothing that a client would not make itself."""

import io
import zipfile

import pytest

pytest.importorskip("flwr", reason="needs the extra 'federated'")

from radcommons.federated.deployment.apps import Apps
from radcommons.federated.deployment.bundle import bundle, is_ours

pytestmark = pytest.mark.filterwarnings("ignore:GitWildMatchPattern")  # Flower's own


def changed(content: bytes, **added: bytes) -> bytes:
    """A bundle with one file more, or with another of the same name behind the first."""
    buffer = io.BytesIO(content)
    with zipfile.ZipFile(buffer, "a") as archive:
        for name, text in added.items():
            archive.writestr(name.replace("__", "."), text)
    return buffer.getvalue()


def test_a_bundle_holds_no_code() -> None:
    with zipfile.ZipFile(io.BytesIO(bundle(Apps()))) as archive:
        assert sorted(archive.namelist()) == [".info/CONTENT", "pyproject.toml"]
        assert b'clientapp = "radcommons.federated.client_app:app"' in archive.read("pyproject.toml")


def test_another_compression_of_the_same_files_is_ours() -> None:
    stored = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(bundle(Apps()))) as ours, zipfile.ZipFile(stored, "w") as theirs:
        for info in ours.infolist():
            theirs.writestr(info.filename, ours.read(info))
    assert stored.getvalue() != bundle(Apps())
    assert is_ours(stored.getvalue(), Apps())


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_any_other_bundle_is_not_ours() -> None:
    others = [
        b"",
        b"no archive",
        bundle(Apps(client="os:system")),
        changed(bundle(Apps()), radcommons__py=b"import os"),
        changed(bundle(Apps()), pyproject__toml=b""),
    ]
    assert [is_ours(other, Apps()) for other in others] == [False] * 5
