"""What is written is whole or not there; what is damaged is told from what is whole."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from radcommons.errors import DiskFull, SettingRefused
from radcommons.files import full_disk_is_clear, put_whole, read_arrays, whole_folder, write_arrays, write_whole


def test_a_file_that_is_stopped_half_way_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "audit.json"
    write_whole(path, "before\n")

    def stopped(target: Path) -> None:
        target.write_text("aft")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        put_whole(path, stopped)
    assert path.read_text() == "before\n"
    write_whole(path, "nach\xfcber")
    assert path.read_bytes() == "nach\xfcber".encode()
    write_whole(path, b"\x00\xff")
    assert path.read_bytes() == b"\x00\xff" and [p.name for p in tmp_path.iterdir()] == ["audit.json"]


def test_the_one_before_may_be_kept(tmp_path: Path) -> None:
    for content in ("first", "second", "third"):
        put_whole(tmp_path / "new", lambda target, text=content: target.write_text(text), previous=tmp_path / "before")
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"new": "third", "before": "second"}


def test_a_folder_is_exchanged_whole_or_stays_as_it_was(tmp_path: Path) -> None:
    model = tmp_path / "up" / "model"

    def write(names: str, *, stop: bool = False) -> None:
        with whole_folder(model) as new:
            for name in names:
                (new / name).write_text(names)
            if stop:
                raise KeyboardInterrupt

    write("ab")
    with pytest.raises(KeyboardInterrupt):
        write("bc", stop=True)
    assert [path.name for path in model.parent.iterdir()] == ["model"]
    assert {path.name for path in model.iterdir()} == {"a", "b"}
    (tmp_path / "up" / "model.partial").mkdir()  # of a killed process
    write("bc")
    assert {path.name for path in model.iterdir()} == {"b", "c"}
    assert [path.name for path in model.parent.iterdir()] == ["model"]


WRITERS = {
    "bytes": lambda file: file.write(bytes(10**6)),
    "torch": lambda file: torch.save(torch.zeros(10**6), file),
    "numpy": lambda file: np.save(file, np.zeros(10**6)),
    "npz": lambda file: np.savez(file, np.zeros(10**6)),
    "picture": lambda file: Image.effect_noise((900, 900), 50).save(file, "PNG"),
}


@pytest.mark.skipif(not Path("/dev/full").is_char_device(), reason="needs a device that is full")
@pytest.mark.parametrize("writer", WRITERS)
def test_whatever_library_writes_a_full_disk_is_one_line(writer: str, tmp_path: Path) -> None:
    (tmp_path / "result").write_text("before")

    def full(target: Path) -> None:
        target.symlink_to("/dev/full")
        with target.open("wb", buffering=0) as file:
            WRITERS[writer](file)

    with pytest.raises(DiskFull) as refused:
        put_whole(tmp_path / "result", full)
    assert str(refused.value) == f"the disk of {tmp_path} is full; free some space and run the same command again"
    assert [path.read_text() for path in tmp_path.iterdir()] == ["before"]


@pytest.mark.parametrize(
    "said",
    [
        "Error while serializing: I/O error: No space left on device (os error 28)",  # safetensors, polars
        "1000000 requested and 131056 written",  # numpy, to a file of its own
        "[Errno 122] Disk quota exceeded",
    ],
)
def test_a_full_disk_is_known_by_what_libraries_say_that_hide_its_number(said: str, tmp_path: Path) -> None:
    with pytest.raises(DiskFull), full_disk_is_clear(tmp_path):
        raise RuntimeError(said)


def test_other_errors_are_left_as_they_are(tmp_path: Path) -> None:
    for error in (RuntimeError("shapes differ"), OSError(5, "Input/output error"), SettingRefused("no space here")):
        with pytest.raises(type(error)) as raised, full_disk_is_clear(tmp_path):
            raise error
        assert raised.value is error


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_arrays_are_all_there_or_none(tmp_path: Path, share: float) -> None:
    path = tmp_path / "map.npz"
    assert read_arrays(path) is None
    write_arrays(path, mean=np.eye(40), count=np.array(3))
    found = read_arrays(path)
    assert found is not None and set(found) == {"mean", "count"} and np.array_equal(found["mean"], np.eye(40))
    whole = path.read_bytes()
    path.write_bytes(whole[: round(share * len(whole))])
    assert read_arrays(path) is None
