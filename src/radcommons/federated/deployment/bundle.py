"""The app that a server sends to its clients: no code, only the names of two objects of the installed package."""

import io
import zipfile

import tomli_w
from flwr.cli.build import build_fab_from_files

from radcommons import __version__
from radcommons.federated.deployment.apps import Apps

PYPROJECT = "pyproject.toml"


def bundle(apps: Apps) -> bytes:
    """A Flower app bundle that holds nothing but a pyproject.toml."""
    project = {"name": "radcommons-federated", "version": __version__, "dependencies": []}
    components = {"serverapp": apps.server, "clientapp": apps.client}
    flower = {"app": {"publisher": "radcommons", "components": components, "config": {}}}
    content, _ = build_fab_from_files(
        {PYPROJECT: tomli_w.dumps({"project": project, "tool": {"flwr": flower}}).encode()}
    )
    return content


def is_ours(content: bytes, apps: Apps) -> bool:
    """Whether a bundle that came from a server is the one that this installation makes, file by file."""
    try:
        return _files(content) == _files(bundle(apps))
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError):
        return False


def _files(content: bytes) -> list[tuple[str, bytes]]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        if any(info.file_size > 1 << 20 for info in archive.infolist()) or len(archive.infolist()) > 10:
            raise zipfile.BadZipFile
        return [(info.filename, archive.read(info)) for info in archive.infolist()]
