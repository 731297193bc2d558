"""A damaged store is found, and the damage is named by row and resolution."""

import os
from pathlib import Path

import numpy as np

from radcommons.data.store import Store, images_file
from radcommons.data.verify import BLOCK, verify


def flip(path: Path, position: int) -> None:
    with path.open("r+b") as file:
        file.seek(position)
        byte = file.read(1)[0]
        file.seek(position)
        file.write(bytes([byte ^ 1]))


def header_size(path: Path, images: int, side: int) -> int:
    return path.stat().st_size - images * side * side


def test_a_sound_store_has_no_fault(phantom_store: Store) -> None:
    checked = verify(phantom_store.path)
    assert checked.images == phantom_store.record.images > BLOCK and checked.faults == []


def test_one_flipped_bit_is_found_with_its_row_and_resolution(own: Path) -> None:
    images = Store.open(own).record.images
    last = images - 1
    for side, row in ((32, 3), (8, last), (4, 65)):
        path = images_file(own, side)
        flip(path, header_size(path, images, side) + row * side * side + side)
    assert sorted(verify(own).faults) == sorted(
        ["row 3: damaged at 32 pixels", f"row {last}: damaged at 8 pixels", "row 65: damaged at 4 pixels"]
    )


def test_a_changed_manifest_is_found_and_smaller_images_are_still_compared(own: Path) -> None:
    images = Store.open(own).record.images
    flip(own / "manifest.parquet", 100)
    flip(images_file(own, 8), header_size(images_file(own, 8), images, 8) + 64)
    manifest, row = verify(own).faults
    assert manifest == "manifest.parquet is not the file that the import wrote"
    assert row == "row 1: damaged at 8 pixels"


def test_a_cut_off_file_names_the_lost_rows_and_the_rest_is_checked(own: Path) -> None:
    images = Store.open(own).record.images
    path = images_file(own, 32)
    os.truncate(path, header_size(path, images, 32) + 70 * 1024 + 100)
    flip(images_file(own, 4), header_size(images_file(own, 4), images, 4) + 69 * 16)
    assert verify(own).faults == [
        f"images_0032.npy is truncated: rows 70 to {images - 1} are lost",
        "row 69: damaged at 4 pixels",
    ]


def test_missing_and_overwritten_files_are_faults_and_not_crashes(own: Path) -> None:
    (own / "manifest.parquet").unlink()
    images_file(own, 4).unlink()
    images_file(own, 8).write_bytes(b"not an array")
    np.save(images_file(own, 16), np.zeros((5, 16, 16), np.uint8))
    os.truncate(images_file(own, 32), 0)
    assert verify(own).faults == [
        "manifest.parquet is missing",
        "images_0004.npy is missing",
        "images_0008.npy: its header is damaged",
        "images_0016.npy: its header is damaged",
        "images_0032.npy: its header is damaged",
    ]
