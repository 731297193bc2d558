"""A safetensors header is read without trust: by hand, byte by byte."""

import json
import re
import struct
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from radcommons.hub.safetensors_header import TensorHeader, read_header


def written(path: Path, header: Any, data: int) -> Path:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + bytes(data))
    return path


def entry(shape: list[int], begin: int, end: int, dtype: str = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def test_the_library_s_own_files_are_read(tmp_path: Path) -> None:
    tensors = {"a": torch.zeros(2, 3), "b": torch.zeros(4, dtype=torch.bfloat16), "c": torch.zeros(())}
    safetensors.torch.save_file(tensors, tmp_path / "w", metadata={"format": "pt"})
    found = read_header(tmp_path / "w", most_tensors=3)
    assert found == {"a": TensorHeader("F32", (2, 3)), "b": TensorHeader("BF16", (4,)), "c": TensorHeader("F32", ())}
    with pytest.raises(ValueError, match="has 3 tensors; 1 to 2"):
        read_header(tmp_path / "w", most_tensors=2)


@pytest.mark.parametrize(
    ("header", "data", "words"),
    [
        ({"a": entry([2], 0, 8), "b": entry([2], 4, 12)}, 12, "b begins at byte 4, not at 8"),
        ({"a": entry([2], 0, 8), "b": entry([2], 12, 20)}, 20, "b begins at byte 12, not at 8"),
        ({"a": entry([2], 0, 8)}, 9, "claims 8 bytes of tensors, the file holds 9"),
        ({"a": entry([2], 0, 8)}, 7, "claims 8 bytes of tensors, the file holds 7"),
        ({"a": entry([3], 0, 8)}, 8, "a has shape [3] but 8 bytes"),
        ({"a": entry([-2], 0, -8)}, 8, "has no shape of whole numbers"),
        ({"a": entry([True], 0, 4)}, 4, "has no shape of whole numbers"),
        ({"a": entry([2**62, 4], 0, 8)}, 8, "but 8 bytes"),
        ({"a": entry([2], 0, 16, "F64")}, 16, "is of type F64"),
        ({"a": entry([2], 0, 8) | {"code": "x"}}, 8, "has not just dtype"),
        ({"__metadata__": {"a": 1}, "a": entry([2], 0, 8)}, 8, "metadata that is not text"),
        ({}, 0, "has 0 tensors"),
        ([], 0, "no table"),
        (b"{", 0, "not JSON"),
        (b'{"a": 1, "a": 2}', 0, "stands there twice"),
        (b"[" * 100_000, 0, "not JSON"),
        (b"\xff\xfe", 0, "not JSON"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, header: Any, data: int, words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)):
        read_header(written(tmp_path / "w", header, data), most_tensors=10)


@pytest.mark.parametrize("content", [b"", b"\x01", struct.pack("<Q", 2**63) + b"{}", struct.pack("<Q", 3) + b"{}"])
def test_a_file_shorter_than_it_claims_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "w").write_bytes(content)
    with pytest.raises(ValueError, match="claims|not JSON|tensors"):
        read_header(tmp_path / "w", most_tensors=10)
