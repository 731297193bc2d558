"""Checkpoints: whole or not there, loadable as weights only, checked by digest; the one before is kept."""

import hashlib
import logging
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from radcommons.errors import CheckpointDamaged
from radcommons.files import UNREADABLE, put_whole

logger = logging.getLogger(__name__)

FORMAT_VERSION = 1


def checkpoint_file(run: Path) -> Path:
    """The newest checkpoint."""
    return run / "checkpoint.pt"


def previous_file(run: Path) -> Path:
    """The checkpoint before the newest."""
    return run / "checkpoint-previous.pt"


def save(run: Path, state: dict[str, Any]) -> None:
    """Write `state` (tensors, numbers, text, dicts and lists of them) as the newest checkpoint.

    If the process is killed at any moment, one whole checkpoint is left.
    """
    content = {"format_version": FORMAT_VERSION, "state": state, "digest": digest(state)}

    def write(target: Path) -> None:
        with target.open("wb") as file:  # by a path, torch would put its name into the file
            torch.save(content, file)

    put_whole(checkpoint_file(run), write, previous=previous_file(run))


def load(run: Path, device: torch.device) -> tuple[dict[str, Any], Path] | None:
    """The newest checkpoint that is whole, and its file; None if the run has none yet. Changes nothing.

    Raises:
        CheckpointDamaged: files are there but none can be read.
    """
    damaged = []
    for path in (checkpoint_file(run), previous_file(run)):
        if not path.exists():
            continue
        state = _read(path, device)
        if state is not None:
            return state, path
        damaged.append(path.name)
    if damaged:
        raise CheckpointDamaged(f"{run}: {' and '.join(damaged)} cannot be read; restore one, or choose another --out")
    return None


def set_damaged_aside(run: Path, loaded: Path) -> None:
    """If `load` took the checkpoint before, move the damaged newest one: the next save would put it in its place."""
    if loaded == previous_file(run) and checkpoint_file(run).exists():
        checkpoint_file(run).replace(run / "checkpoint-damaged.pt")
        logger.warning("%s: checkpoint.pt is damaged; going on from %s", run, loaded.name)


def digest(state: Any) -> str:
    """SHA-256 over every tensor and number of a nested state, keys included."""
    running = hashlib.sha256()
    for path, leaf in _leaves(state, ""):
        running.update(path.encode())
        if isinstance(leaf, Tensor):
            running.update(leaf.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
        else:
            running.update(repr(leaf).encode())
    return running.hexdigest()


def _read(path: Path, device: torch.device) -> dict[str, Any] | None:
    try:
        content = torch.load(path, map_location=device, weights_only=True)
        whole = content["format_version"] == FORMAT_VERSION and content["digest"] == digest(content["state"])
    except (*UNREADABLE, LookupError, TypeError, AttributeError, pickle.UnpicklingError):
        return None
    state: dict[str, Any] = content["state"]
    return state if whole else None


def _leaves(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key in value:
            yield from _leaves(value[key], f"{path}/{key}")
    elif isinstance(value, (list, tuple)):
        for position, item in enumerate(value):
            yield from _leaves(item, f"{path}/{position}")
    else:
        yield path, value
