from pathlib import Path

import numpy as np
import pytest

from radcommons.data.ingest import ingest_phantoms
from radcommons.data.joined import join_stores, joined_manifest
from radcommons.data.store import Store
from radcommons.errors import SettingRefused


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> list[Store]:
    at = tmp_path_factory.mktemp("joined")
    for site, side in (("A", 32), ("B", 16)):
        ingest_phantoms(at / site, patients=12, site=site, resolution=side, seed=3)
    return [Store.open(at / "A"), Store.open(at / "B")]


def test_the_films_of_all_stores_follow_each_other_with_labels_parts_and_patients(
    stores: list[Store], tmp_path: Path
) -> None:
    first, second = stores
    both = join_stores(stores, tmp_path / "both", resolution=16)
    count = first.record.images
    assert both.resolutions == (4, 8, 16) and both.record.images == count + second.record.images
    assert np.array_equal(both.images(16)[:count], first.images(16))
    assert np.array_equal(both.images(16)[count:], second.images(16))
    assert np.array_equal(both.labels(), np.concatenate([first.labels(), second.labels()]), equal_nan=True)
    for part in ("train", "val", "test"):
        assert both.rows(part).tolist() == [*first.rows(part), *(second.rows(part) + count)]
    assert both.record.patients == first.record.patients + second.record.patients


def test_only_findings_that_every_store_labels_are_kept(stores: list[Store]) -> None:
    fewer = Store(stores[1].path, stores[1].record.model_copy(update={"findings": ("Nodule", "Effusion")}))
    findings = [f for f in stores[0].findings if f in joined_manifest([stores[0], fewer]).columns]
    assert findings == [f for f in stores[0].findings if f in ("Effusion", "Nodule")]


def test_stores_without_a_common_finding_are_refused(stores: list[Store]) -> None:
    other = Store(stores[1].path, stores[1].record.model_copy(update={"findings": ("Fracture",)}))
    with pytest.raises(SettingRefused, match="have no finding in common"):
        joined_manifest([stores[0], other])


def test_a_patient_who_would_be_in_training_and_held_out_is_noticed(tmp_path: Path) -> None:
    ingest_phantoms(tmp_path / "again", patients=12, site="A", resolution=16, seed=3)
    one, again = Store.open(tmp_path / "again"), Store.open(tmp_path / "again")
    swapped = again.manifest["split"].replace({"train": "val", "val": "train"})
    again.__dict__["manifest"] = again.manifest.with_columns(split=swapped)
    with pytest.raises(SettingRefused, match="patients are in the training part of one store"):
        joined_manifest([one, again])
