"""An opened store gives images, rows and labels; a folder that is no sound store is refused with the next step."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from radcommons.data.ingest import ingest
from radcommons.data.listing import PARTS
from radcommons.data.pixels import pyramid
from radcommons.data.sources import list_table
from radcommons.data.store import Store, pixels_digest
from radcommons.data.verify import verify
from radcommons.errors import PathMissing, StoreRefused


def test_the_parts_divide_the_rows_and_labels_follow_the_rows(phantom_store: Store) -> None:
    parts = [phantom_store.rows(part) for part in PARTS]
    assert sorted(np.concatenate(parts).tolist()) == phantom_store.rows().tolist()
    train = phantom_store.rows("train")
    assert np.array_equal(phantom_store.labels(train), phantom_store.labels()[train], equal_nan=True)
    assert phantom_store.labels().shape == (phantom_store.record.images, len(phantom_store.findings))
    assert phantom_store.labels().dtype == np.float32


def test_an_unknown_label_is_nan_and_never_0(tmp_path: Path, film_table: Callable[..., Path]) -> None:
    table = film_table(tmp_path / "films", films=4) / "labels.csv"
    lines = table.read_text().splitlines()
    table.write_text("\n".join([*lines[:4], lines[4].replace(",1,0", ",,-1")]))
    ingest(list_table([table]), tmp_path / "store", name="own", resolution=8)
    store = Store.open(tmp_path / "store")
    pneumonia = store.labels()[:, store.findings.index("Pneumonia")]
    assert pneumonia[:3].tolist() == [0, 1, 0] and np.isnan(pneumonia[3])
    assert np.isnan(store.labels()[3]).all()


def test_images_are_a_read_only_memory_map_of_one_resolution(phantom_store: Store) -> None:
    images = phantom_store.images(8)
    assert isinstance(images, np.memmap) and images.shape[1:] == (8, 8) and images.dtype == np.uint8
    with pytest.raises(ValueError, match="read-only"):
        images[0, 0, 0] = 1
    assert (images == pyramid(np.asarray(phantom_store.images(32)))[8]).all()


def test_a_resolution_that_was_not_imported_is_refused_with_those_that_were(phantom_store: Store) -> None:
    with pytest.raises(StoreRefused, match="has no images of side 64; it has 4, 8, 16, 32"):
        phantom_store.images(64)


def test_the_digest_of_pixels_knows_their_shape() -> None:
    pixels = np.arange(16, dtype=np.uint8)
    assert pixels_digest(pixels.reshape(4, 4)) != pixels_digest(pixels.reshape(2, 8))
    assert pixels_digest(pixels.reshape(4, 4)) == pixels_digest(np.asfortranarray(pixels.reshape(4, 4)))


# --- refused ---------------------------------------------------------------------------------------------------------


def test_what_is_no_store_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PathMissing, match="nowhere is not a folder; make a store with"):
        Store.open(tmp_path / "nowhere")
    with pytest.raises(StoreRefused, match=r"is not a store \(no store.json\)"):
        Store.open(tmp_path)
    (tmp_path / ".import").mkdir()
    with pytest.raises(StoreRefused, match="is an unfinished import; run the same import command again to finish it"):
        Store.open(tmp_path)


def test_another_version_is_refused_with_both_versions(own: Path) -> None:
    record = json.loads((own / "store.json").read_text())
    (own / "store.json").write_text(json.dumps({**record, "format_version": 9, "new_field": 1}))
    for opened in (Store.open, verify):
        with pytest.raises(StoreRefused, match="is of format version 9, this radcommons reads 1; import again"):
            opened(own)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"format_version": 1}', '{"format_version": 1, "name": "\udcff"}'])
def test_a_damaged_store_json_is_refused(content: str, own: Path) -> None:
    (own / "store.json").write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(StoreRefused, match=r"store.json is damaged; restore it from a copy, or import again to a new"):
        Store.open(own)


def test_a_store_without_one_of_its_files_says_which(own: Path) -> None:
    (own / "manifest.parquet").write_bytes(b"PAR1")
    with pytest.raises(
        StoreRefused, match=r"manifest.parquet is missing or damaged; restore it from a copy, or import"
    ):
        Store.open(own).rows()
    os.truncate(own / "images_0008.npy", 200)
    with pytest.raises(StoreRefused, match=r"images_0008.npy is missing or damaged; run 'radcommons data verify"):
        Store.open(own)
    np.save(own / "images_0008.npy", np.zeros((3, 8, 8), np.uint8))
    with pytest.raises(StoreRefused, match=r"images_0008.npy has shape \(3, 8, 8\), store.json says"):
        Store.open(own)


# --- verified --------------------------------------------------------------------------------------------------------
