"""The summary counts by hand, and the sheet shows a row a finding."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from radcommons.data.dry_run import plan_import
from radcommons.data.ingest import ingest
from radcommons.data.listing import patient_notes
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
    images = store.manifest["image_id"]
    assert [(film.group, film.row, film.image_id) for film in summary.identical] == [
        (0, 0, images[0]), (0, 10, images[10]), (1, 1, images[1]), (1, 11, images[11]),
    ]  # fmt: skip


@pytest.mark.parametrize(("own", "notes"), [(3, 0), (2, 1), (0, 1)])
def test_a_patient_with_more_than_half_of_the_films_is_said(
    own: int, notes: int, tmp_path: Path, film_table: Callable[..., Path]
) -> None:
    films = film_table(tmp_path / "films")  # of six patients, two each; the first `own` keep their identifiers
    text = (films / "labels.csv").read_text()
    for patient in range(own, 6):
        text = text.replace(f"film-patient-{patient},", "unnamed,")
    (films / "labels.csv").write_text(text)
    listing = list_table([films])
    assert len(patient_notes(c.patient for c in listing.candidates)) == notes
    ingest(listing, tmp_path / "store", name="own", resolution=16)
    found = summarise(Store.open(tmp_path / "store")).notes
    assert len(found) == notes and all(f"{12 - 2 * own} of 12 films" in note for note in found)


@pytest.mark.parametrize(
    ("header", "rows"),
    [("labels", ("Pneumonia", "Normal", "Pneumonia|Normal", "")), ("Pneumonia,No Finding", ("1,0", "0,1", "0,0", ","))],
)
def test_no_finding_is_one_row_of_the_sheet_and_no_film_is_left_out(
    header: str, rows: tuple[str, ...], tmp_path: Path, write_film: Callable[..., Path], film_like: Callable[..., Any]
) -> None:
    films = [film_like() ^ number for number in range(len(rows))]
    for number, pixels in enumerate(films):
        write_film(f"{number}.png", np.ascontiguousarray(pixels[:64, :64]))
    lines = [f"{number}.png,p{number},{cells}" for number, cells in enumerate(rows)]
    (tmp_path / "labels.csv").write_text(f"image,patient,{header}\n" + "\n".join(lines))
    listing = list_table([tmp_path / "labels.csv"], findings=["Pneumonia", "No Finding"])
    ingest(listing, tmp_path / "store", name="own", resolution=64)
    store = Store.open(tmp_path / "store")
    sheet = np.asarray(store_sheet(store))
    assert sheet.shape[0] == 3 * 66 + 2  # No Finding, Pneumonia, Other
    for image in store.images(64):
        assert any((sheet[2 + 66 * i : 66 + 66 * i, x : x + 64] == image).all()
                   for i in range(3) for x in range(sheet.shape[1] - 64))  # fmt: skip
    assert summarise(store).without_finding == plan_import(listing, tmp_path / "other", resolution=64).without_finding


def test_a_summary_is_json_and_comes_back(store: Store) -> None:
    summary = summarise(store)
    assert StoreSummary.model_validate_json(summary.model_dump_json()) == summary


def test_the_sheet_has_a_row_for_no_finding_and_one_for_each_that_occurs(store: Store) -> None:
    sheet = store_sheet(store)
    step = 64 + 2  # films of 32 pixels are doubled
    assert sheet.height == 4 * step + 2  # no finding, Effusion, Pneumonia, and film 0, of which nothing is known
    other = np.asarray(sheet)[2 + 3 * step : 2 + 3 * step + 64, -6 * step : -6 * step + 64]
    assert (other == store.images(32)[0].repeat(2, axis=0).repeat(2, axis=1)).all()
    effusion = np.asarray(sheet)[2 + step : 2 + step + 64, -6 * step : -6 * step + 64]  # six columns, for Pneumonia
    assert (effusion == store.images(32)[1].repeat(2, axis=0).repeat(2, axis=1)).all()


def test_the_sheet_of_a_store_of_unknown_labels_shows_any_film(tmp_path: Path, film_table: Callable[..., Path]) -> None:
    films = film_table(tmp_path / "films", films=14)
    text = (films / "labels.csv").read_text().replace(",0,0\n", ",,\n").replace(",1,0\n", ",,\n")
    (films / "labels.csv").write_text(text)
    ingest(list_table([films], findings=["Effusion"]), tmp_path / "store", name="own", resolution=16)
    sheet = store_sheet(Store.open(tmp_path / "store"))
    assert sheet.height == 68 and sheet.width >= SHEET_COLUMNS * 66
