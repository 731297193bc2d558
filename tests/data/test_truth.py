from pathlib import Path

import numpy as np
import pytest

from radcommons.data.ingest import ingest
from radcommons.data.sources.table import list_table
from radcommons.data.store import Store
from radcommons.data.truth import read_truth
from radcommons.errors import StoreRefused


def test_a_phantoms_regions_are_those_of_its_file_at_any_side(phantom_store: Store) -> None:
    with np.load(phantom_store.path / "truth.npz") as file:
        heart = file["Cardiomegaly"]
    assert np.array_equal(read_truth(phantom_store, 32)["Cardiomegaly"], heart)
    smaller = read_truth(phantom_store, 16)["Cardiomegaly"]
    assert np.allclose(smaller, heart.reshape(16, 2, 16, 2).mean(axis=(1, 3)))
    assert read_truth(phantom_store, 64)["Cardiomegaly"].shape == (64, 64)


def test_a_store_of_films_has_no_truth_and_the_message_says_what_to_pass(film_table, tmp_path: Path) -> None:
    folder = film_table(tmp_path / "films")
    ingest(list_table([folder]), tmp_path / "store", name="films", resolution=32)
    with pytest.raises(StoreRefused, match="not a simulated hospital.*--boxes BBox_List_2017.csv"):
        read_truth(Store.open(tmp_path / "store"), 32)


@pytest.mark.parametrize("content", [b"PK\x03\x04 cut", b""])
def test_a_damaged_truth_is_refused(phantom_store: Store, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "truth.npz").write_bytes(content)
    with pytest.raises(StoreRefused, match="damaged"):
        read_truth(Store(tmp_path, phantom_store.record), 32)
