"""The summary counts by hand, and the sheet shows a row a finding."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from radcommons.data.ingest import ingest
from radcommons.data.sources import list_table
from radcommons.data.store import Store
from radcommons.data.summary import SHEET_COLUMNS, StoreSummary, store_sheet, summarise


@pytest.fixture
def store(tmp_path: Path, film_table: Callable[..., Path]) -> Store:
    """Twelve films, the eleventh and twelfth with the pixels of the first two but another patient; one refused."""
    films = film_table(tmp_path / "films", films=13)
    (films / "film-12.png").write_bytes(b"")
    lines = (films / "labels.csv").read_text().splitlines()
    lines[1] = lines[1].replace(",40,F,PA,0,0", ",,,,,")  # film 0: age, sex, view and both labels unknown
    lines[2] = lines[2].replace(",F,PA,1,0", ",M,AP,1,1")
    (films / "labels.csv").write_text("\n".join(lines))
    ingest(list_table([films]), tmp_path / "store", name="own", resolution=32)
    return Store.open(tmp_path / "store")


def test_the_counts_are_those_of_the_table(store: Store) -> None:
    summary = summarise(store)
    assert (summary.images, summary.patients, summary.rejected) == (12, 6, 1)
    assert summary.views == {"PA": 10, "AP": 1, "unknown": 1}
    assert summary.sexes == {"F": 10, "M": 1, "unknown": 1}
    pneumonia = next(f for f in summary.findings if f.finding == "Pneumonia")
    assert (pneumonia.present, pneumonia.absent, pneumonia.unknown) == (6, 5, 1)
    assert sum(pneumonia.present_by_part.values()) == 6
    effusion = next(f for f in summary.findings if f.finding == "Effusion")
    assert (effusion.present, effusion.absent, effusion.unknown) == (1, 10, 1)
    assert summary.without_finding == 5  # an unknown label is not "without"
    assert summary.age_years == (41.5, 46.0, 50.5)  # 41 .. 51
    assert sum(summary.images_by_part.values()) == 12 and sum(summary.patients_by_part.values()) == 6


def test_identical_films_of_different_patients_are_counted_and_no_patient_is_shared(store: Store) -> None:
    summary = summarise(store)
    assert summary.identical_images == 4
    assert summary.shared_patients == 0


def test_a_summary_is_json_and_comes_back(store: Store) -> None:
    summary = summarise(store)
    assert StoreSummary.model_validate_json(summary.model_dump_json()) == summary


def test_the_sheet_has_a_row_for_no_finding_and_one_for_each_that_occurs(store: Store) -> None:
    sheet = store_sheet(store)
    step = 64 + 2  # films of 32 pixels are doubled
    assert sheet.height == 3 * step + 2  # no finding, Effusion, Pneumonia
    effusion = np.asarray(sheet)[2 + step : 2 + step + 64, -6 * step : -6 * step + 64]  # six columns, for Pneumonia
    assert (effusion == store.images(32)[1].repeat(2, axis=0).repeat(2, axis=1)).all()


def test_the_sheet_of_a_store_of_unknown_labels_shows_any_film(tmp_path: Path, film_table: Callable[..., Path]) -> None:
    films = film_table(tmp_path / "films", films=14)
    text = (films / "labels.csv").read_text().replace(",0,0\n", ",,\n").replace(",1,0\n", ",,\n")
    (films / "labels.csv").write_text(text)
    ingest(list_table([films], findings=["Effusion"]), tmp_path / "store", name="own", resolution=16)
    sheet = store_sheet(Store.open(tmp_path / "store"))
    assert sheet.height == 68 and sheet.width >= SHEET_COLUMNS * 66
