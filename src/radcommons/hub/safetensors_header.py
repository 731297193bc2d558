"""The header of a safetensors file, checked without loading anything: a header that claims terabytes costs nothing."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BYTES = {"F32": 4, "F16": 2, "BF16": 2}  # of a number, by the name of its type
LARGEST_HEADER = 4 * 2**20
LENGTH = 8  # bytes of the header's length at the beginning of the file
MOST_DIMENSIONS = 8


@dataclass(frozen=True, slots=True)
class TensorHeader:
    """One tensor of a file: the name of its type, and its shape."""

    dtype: str
    shape: tuple[int, ...]


def read_header(path: Path, *, most_tensors: int) -> dict[str, TensorHeader]:
    """The tensors of a file by name, once it is sure that it holds them and nothing else.

    Raises:
        ValueError: with everything that is wrong with the header, or the first thing that keeps it from being read.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(LENGTH), "little")
        if length > min(LARGEST_HEADER, size - LENGTH):
            raise ValueError(
                f"claims a header of {length:,} bytes; the file has {size:,}, {LARGEST_HEADER:,} are allowed"
            )
        text = file.read(length)
    try:
        header = json.loads(text, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"has a header that is not JSON: {error}") from None
    if not isinstance(header, dict):
        raise ValueError("has a header that is no table")
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise ValueError("has metadata that is not text")
    if not 0 < len(header) <= most_tensors:
        raise ValueError(f"has {len(header):,} tensors; 1 to {most_tensors:,} are allowed")
    tensors, spans, faults = {}, [], []
    for name, entry in header.items():
        found = _tensor(entry)
        if isinstance(found, str):
            faults.append(f"{name} {found}")
            continue
        tensors[name], begin, end = found
        spans.append((begin, end, name))
    if faults:
        raise ValueError("; ".join(faults[:5]))
    at = 0
    for begin, end, name in sorted(spans):
        if begin != at:
            raise ValueError(f"{name} begins at byte {begin:,}, not at {at:,}: tensors overlap or leave a gap")
        at = end
    if at != size - LENGTH - length:
        raise ValueError(f"claims {at:,} bytes of tensors, the file holds {size - LENGTH - length:,}")
    return tensors


def _tensor(entry: Any) -> tuple[TensorHeader, int, int] | str:
    """A tensor and its span of bytes, or what is wrong with its entry."""
    if not isinstance(entry, Mapping) or set(entry) != {"dtype", "shape", "data_offsets"}:
        return "has not just dtype, shape and data_offsets"
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if dtype not in BYTES:
        return f"is of type {str(dtype)[:20]}; only {', '.join(BYTES)} are allowed"
    if not _counts(shape) or len(shape) > MOST_DIMENSIONS:
        return "has no shape of whole numbers"
    if not _counts(offsets) or len(offsets) != 2:
        return "has no two offsets"
    begin, end = offsets
    if end - begin != math.prod(shape) * BYTES[dtype]:
        return f"has shape {shape} but {end - begin:,} bytes"
    return TensorHeader(dtype, tuple(shape)), begin, end


def _counts(values: object) -> bool:
    """Whether something is a list of whole numbers from 0 on, none of them larger than a file can be."""
    return isinstance(values, list) and all(type(value) is int and 0 <= value < 2**63 for value in values)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands there twice")
    return found
