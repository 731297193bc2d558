"""A dry run counts what the import then takes, and leaves the disk as it was."""

from collections.abc import Callable
from pathlib import Path

import pytest

from radcommons.data.dry_run import plan_import
from radcommons.data.ingest import ingest
from radcommons.data.listing import Candidate, Listing, Refusal
from radcommons.data.sources import list_nih, list_table
from radcommons.data.split import read_split_files
from radcommons.data.store import Store
from radcommons.data.summary import summarise
from radcommons.errors import NothingToImport, PathInUse, SettingRefused


def candidate(number: int, *, labels: tuple[int | None, ...], patient: str = "p") -> Candidate:
    return Candidate(number + 2, Path(f"{number}.png"), patient, f"{number}", labels, "PA", 50.0, "F")


def test_a_dry_run_counts_what_the_import_then_takes(tmp_path: Path, film_table: Callable[..., Path]) -> None:
    listing = list_table([film_table(tmp_path / "films", films=40)])
    before = sorted(tmp_path.rglob("*"))
    plan = plan_import(listing, tmp_path / "store", resolution=16, split_salt="x")
    assert sorted(tmp_path.rglob("*")) == before
    ingest(listing, tmp_path / "store", name="own", resolution=16, split_salt="x")
    made = summarise(Store.open(tmp_path / "store"))
    for count in ("source", "label_policy", "images", "patients", "absent", "images_by_part", "patients_by_part",
                  "without_finding", "findings", "views", "sexes"):  # fmt: skip
        assert getattr(plan, count) == getattr(made, count), count
    on_disk = sum(path.stat().st_size for path in (tmp_path / "store").glob("images_*.npy"))
    assert plan.bytes_needed == pytest.approx(on_disk, abs=3 * 128 + 40 * 16)
    assert plan.bytes_free > 0


def test_a_dry_run_opens_no_image(tmp_path: Path, film_table: Callable[..., Path]) -> None:
    folder = film_table(tmp_path / "films")
    for path in folder.glob("*.png"):
        path.write_bytes(b"")
    assert plan_import(list_table([folder]), tmp_path / "store", resolution=16).images == 12


def test_unknown_labels_refused_and_absent_rows_are_counted_apart(tmp_path: Path) -> None:
    candidates = [candidate(0, labels=(1, None)), candidate(1, labels=(0, 0)), candidate(2, labels=(0, None))]
    refusals = [Refusal(9, "a", "lateral view"), Refusal(10, "b", "lateral view"), Refusal(11, "c", "mislabelled")]
    listing = Listing("nih", ("Mass", "Edema"), candidates, refusals, absent=7)
    plan = plan_import(listing, tmp_path / "new" / "store", resolution=4)
    assert (plan.images, plan.patients, plan.absent, plan.without_finding) == (3, 1, 7, 1)
    assert plan.refused == {"lateral view": 2, "mislabelled": 1}
    assert [(f.present, f.absent, f.unknown) for f in plan.findings] == [(1, 2, 0), (0, 1, 2)]


def test_a_dry_run_refuses_what_the_import_would_refuse(tmp_path: Path, film_table: Callable[..., Path]) -> None:
    folder = film_table(tmp_path / "films")
    listing = list_table([folder])
    with pytest.raises(SettingRefused, match="resolution is 100"):
        plan_import(listing, tmp_path / "store", resolution=100)
    with pytest.raises(PathInUse, match="already holds something else"):
        plan_import(listing, folder, resolution=16)
    with pytest.raises(NothingToImport, match="3 rows of the table have no image"):
        plan_import(Listing("nih", ("Mass",), [], absent=3), tmp_path / "store", resolution=16)


@pytest.mark.real
def test_the_real_nih_table_is_planned_with_its_official_split(tmp_path: Path, shared_data: Path) -> None:
    lists = read_split_files(sorted((shared_data / "nih" / "nih_split_lists").glob("*.txt*")))
    plan = plan_import(list_nih([shared_data / "nih"]), tmp_path / "nih", resolution=256, split_lists=lists)
    assert (plan.images, plan.patients, plan.absent) == (1634, 1294, 112_120 - 1634)
    assert sum(plan.images_by_part.values()) == 1634 and sum(plan.patients_by_part.values()) == 1294
