"""Imports: resumable, the same bytes however they ran, nothing but pseudonyms, and clear where they cannot go on."""

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import polars as pl
import pytest

from radcommons import folders
from radcommons.data import ingest as module
from radcommons.data import store_folder, store_writer
from radcommons.data.ingest import ingest, ingest_phantoms, ladder
from radcommons.data.listing import Listing
from radcommons.data.pixels import square
from radcommons.data.pseudonyms import fingerprint, load_or_create_key, pseudonym
from radcommons.data.sources import list_nih, list_table
from radcommons.data.split import read_split_files, with_split
from radcommons.data.store import Store
from radcommons.data.verify import verify
from radcommons.errors import (
    DiskFull,
    ImageRefused,
    NothingToImport,
    PathInUse,
    PathMissing,
    SettingRefused,
    StoreRefused,
)
from radcommons.records import StoreRecord


class Killed(BaseException):
    """Stands for a kill in tests that run in one process."""


def killed_after(blocks: int) -> Any:
    """A Track that ends the import once `blocks` blocks are written."""

    @contextmanager
    def track(description: str, *, total: int, done: int = 0, unit: str = "images") -> Iterator[Callable[[int], None]]:
        left = blocks

        def advance(count: int) -> None:
            nonlocal left
            left -= 1
            if left == 0:
                raise Killed

        yield advance

    return track


def content(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.fixture
def listing(tmp_path: Path, film_table: Callable[..., Path]) -> Listing:
    return list_table([film_table(tmp_path / "films", films=12)])


@pytest.fixture
def imported(tmp_path: Path, listing: Listing, monkeypatch: pytest.MonkeyPatch) -> Callable[..., StoreRecord]:
    """Imports the twelve films in blocks of four under one key."""
    monkeypatch.setattr(module, "BLOCK_IMAGES", 4)
    monkeypatch.setattr(module, "FEWEST_BLOCKS", 1)

    def run(out: str = "store", **changes: Any) -> StoreRecord:
        asked: dict[str, Any] = {"name": "own", "resolution": 16, "key_file": tmp_path / "key", **changes}
        return ingest(asked.pop("listing", listing), tmp_path / out, **asked)

    return run


@pytest.fixture
def films_read(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Paths of the films that an import has read."""
    paths: list[Path] = []
    read = module.read

    def counted(path: Path, **how: Any) -> Any:
        paths.append(path)
        return read(path, **how)

    monkeypatch.setattr(module, "read", counted)
    return paths


def test_the_ladder_doubles_from_4() -> None:
    assert ladder(32) == (4, 8, 16, 32)
    for refused in (0, 2, 24, 2048):
        with pytest.raises(SettingRefused, match=f"resolution is {refused}; it must be a power of two"):
            ladder(refused)


def test_a_phantom_begins_at_16_pixels_and_says_so(tmp_path: Path) -> None:
    with pytest.raises(SettingRefused, match="resolution is 8; it must be a power of two from 16 to 1024"):
        ingest_phantoms(tmp_path / "out", patients=2, site="A", resolution=8, seed=1)
    assert not (tmp_path / "out").exists()


def test_a_store_holds_each_film_in_the_tables_order_with_its_labels(
    imported: Callable[..., StoreRecord], tmp_path: Path, listing: Listing
) -> None:
    record = imported()
    store = Store.open(tmp_path / "store")
    assert (record.images, record.patients, record.rejected) == (12, 6, 0)
    assert sum(record.split.values()) == 12
    assert store.labels()[:, store.findings.index("Pneumonia")].tolist() == [0, 1] * 6
    for row, candidate in enumerate(listing.candidates):
        film = cv2.imread(str(candidate.path), cv2.IMREAD_GRAYSCALE)
        assert film is not None
        assert (store.images(16)[row] == square(film, 16, fit="crop").pixels).all()
    assert store.manifest["age"].to_list() == [float(40 + n) for n in range(12)]
    assert set(store.manifest["view"]) == {"PA"} and set(store.manifest["sex"]) == {"F"}


def test_every_level_of_a_store_is_the_exact_block_mean_of_the_largest(
    imported: Callable[..., StoreRecord], tmp_path: Path
) -> None:
    imported()
    store = Store.open(tmp_path / "store")
    top = store.images(16).astype(np.float64)
    for side in (4, 8):
        k = 16 // side
        means = top.reshape(12, side, k, side, k).mean(axis=(2, 4))
        assert (store.images(side) == np.rint(means)).all()


def test_crop_cuts_the_long_side_and_pad_adds_black(imported: Callable[..., StoreRecord], tmp_path: Path) -> None:
    assert imported("cropped", fit="crop").fit == "crop"
    assert imported("padded", fit="pad").fit == "pad"
    cropped, padded = (Store.open(tmp_path / name).images(16)[0] for name in ("cropped", "padded"))
    assert padded[:, 0].max() == 0 and padded[8].max() > 0  # the films are taller than wide
    assert cropped[:, 0].max() > 0


def test_no_patient_stands_in_two_parts_and_the_salt_moves_patients(
    imported: Callable[..., StoreRecord], tmp_path: Path
) -> None:
    splits = []
    for salt in ("a", "b", "c"):
        imported(salt, split_salt=salt)
        manifest = Store.open(tmp_path / salt).manifest
        assert manifest.group_by("patient").agg(pl.col("split").n_unique())["split"].max() == 1
        splits.append(manifest["split"].to_list())
    assert len({tuple(s) for s in splits}) > 1


# --- interrupted -----------------------------------------------------------------------------------------------------


def test_an_import_goes_on_after_a_kill_with_the_same_bytes_and_reads_no_film_twice(
    imported: Callable[..., StoreRecord], tmp_path: Path, films_read: list[Path]
) -> None:
    imported("unbroken")
    del films_read[:]
    for blocks in (1, 1):
        with pytest.raises(Killed):
            imported("broken", track=killed_after(blocks))
    imported("broken")
    assert len(films_read) == len(set(films_read)) == 12
    assert content(tmp_path / "broken") == content(tmp_path / "unbroken")


@pytest.mark.parametrize("damage", ["torn journal line", "pixels without a journal line", "journal ahead of pixels"])
def test_a_half_written_block_is_done_again(
    damage: str, imported: Callable[..., StoreRecord], tmp_path: Path, films_read: list[Path]
) -> None:
    imported("unbroken")
    with pytest.raises(Killed):
        imported("broken", track=killed_after(2))
    broken = tmp_path / "broken"
    journal = broken / ".import" / "journal.jsonl"
    if damage == "torn journal line":
        os.truncate(journal, journal.stat().st_size - 20)
    elif damage == "pixels without a journal line":
        with (broken / "images_0008.npy").open("ab") as file:
            file.write(b"\x07" * 100)
    else:  # a power cut may keep the journal and lose pixels
        os.truncate(broken / "images_0016.npy", (broken / "images_0016.npy").stat().st_size - 300)
    del films_read[:]
    imported("broken")
    assert len(films_read) == (4 if damage == "pixels without a journal line" else 8)
    assert content(broken) == content(tmp_path / "unbroken")


def test_an_import_goes_on_though_its_blocks_have_another_size_now(
    imported: Callable[..., StoreRecord], tmp_path: Path, films_read: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "films" / "film-1.png").write_bytes(b"no film")  # refused rows count as done, too
    imported("unbroken")
    del films_read[:]
    for size in (4, 1, 3):
        monkeypatch.setattr(module, "BLOCK_IMAGES", size)
        with pytest.raises(Killed):
            imported("broken", track=killed_after(1))
    monkeypatch.setattr(module, "BLOCK_IMAGES", 64)
    imported("broken")
    assert len(films_read) == len(set(films_read)) == 12
    assert content(tmp_path / "broken") == content(tmp_path / "unbroken")


def test_a_small_import_has_a_block_for_every_worker(
    imported: Callable[..., StoreRecord], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FEWEST_BLOCKS", 6)
    blocks: list[int] = []

    @contextmanager
    def track(description: str, *, total: int, done: int = 0, unit: str = "images") -> Iterator[Callable[[int], None]]:
        yield blocks.append

    imported(track=track)
    assert blocks == [2] * 6


def test_a_kill_between_store_json_and_the_clean_up_loses_nothing(
    imported: Callable[..., StoreRecord], tmp_path: Path, films_read: list[Path]
) -> None:
    imported()
    whole = content(tmp_path / "store")
    leftover = tmp_path / "store" / ".import"
    leftover.mkdir()
    (leftover / "request.json").write_text("{}")  # the journal is already gone
    del films_read[:]
    imported()
    assert films_read == [] and content(tmp_path / "store") == whole


def test_a_second_run_touches_nothing(
    imported: Callable[..., StoreRecord], tmp_path: Path, films_read: list[Path]
) -> None:
    first = imported()
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "store").iterdir()}
    del films_read[:]
    assert imported() == first
    assert films_read == []
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "store").iterdir()} == before


def test_a_finished_store_from_before_there_were_fingerprints_is_recognised_and_left_alone(
    imported: Callable[..., StoreRecord], tmp_path: Path
) -> None:
    record = imported().model_copy(update={"key_fingerprint": None})
    path = tmp_path / "store" / "store.json"
    path.write_text(record.to_json())
    assert imported() == record and path.read_text() == record.to_json()


def test_a_second_run_on_a_damaged_store_says_so(imported: Callable[..., StoreRecord], tmp_path: Path) -> None:
    imported()
    (tmp_path / "store" / "images_0008.npy").unlink()
    with pytest.raises(StoreRefused, match=r"images_0008\.npy is missing or damaged; run 'radcommons data verify"):
        imported()


def test_one_worker_two_threads_and_two_processes_write_the_same_bytes(
    imported: Callable[..., StoreRecord], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "films" / "film-3.png").write_bytes(b"no film")
    imported("one", workers=1)
    for name, threads in (("threads", True), ("processes", False)):
        monkeypatch.setattr(module, "is_picture", lambda path, threads=threads: threads)
        with pytest.raises(Killed):
            imported(name, workers=2, track=killed_after(1))
        imported(name, workers=2)
        assert content(tmp_path / "one") == content(tmp_path / name)


def test_films_are_read_by_threads_where_opencv_decodes_all_and_by_processes_where_one_is_dicom(
    imported: Callable[..., StoreRecord], tmp_path: Path, film_table: Callable[..., Path], films_read: list[Path]
) -> None:
    imported(workers=2)
    assert len(films_read) == 12  # in this process
    del films_read[:]
    folder = film_table(tmp_path / "mixed")
    (folder / "film-11.png").rename(folder / "film-11.dcm")
    (folder / "labels.csv").write_text((folder / "labels.csv").read_text().replace("film-11.png", "film-11.dcm"))
    imported("mixed-store", listing=list_table([folder]), workers=2)
    assert films_read == []  # elsewhere


def test_an_error_in_a_thread_stops_the_import_as_it_is_and_the_same_call_goes_on(
    imported: Callable[..., StoreRecord], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    imported("one")
    read = module.read

    def fails_once(path: Path, **how: Any) -> Any:
        if path.name == "film-9.png":
            raise MemoryError("made up")
        return read(path, **how)

    with monkeypatch.context() as patch, pytest.raises(MemoryError, match="made up"):
        patch.setattr(module, "read", fails_once)
        imported("two", workers=2)
    assert not (tmp_path / "two" / "store.json").exists()
    imported("two", workers=2)
    assert content(tmp_path / "one") == content(tmp_path / "two")


@pytest.mark.parametrize("workers", [1, 2])
def test_how_the_callers_process_keeps_its_memory_is_left_to_it(
    workers: int, imported: Callable[..., StoreRecord], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "keep_freed_memory", raises(AssertionError("called")))
    assert imported(workers=workers).images == 12


def test_a_worker_process_keeps_freed_memory(listing: Listing, monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[bool] = []
    monkeypatch.setattr(module, "keep_freed_memory", lambda: called.append(True))
    candidates = with_split(listing, None, salt="a").candidates[:1]
    module._prepare(candidates, resolutions=(4, 8), fit="crop", folder=None, caller=os.getppid())
    assert called == [True]


def test_blocks_sent_to_the_disk_early_are_the_same_bytes(
    imported: Callable[..., StoreRecord], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    imported("late")
    monkeypatch.setattr(store_writer, "WRITE_BEHIND_BYTES", 1)
    imported("early")
    assert content(tmp_path / "late") == content(tmp_path / "early")


# --- other folders, other requests -----------------------------------------------------------------------------------


def test_other_data_or_settings_do_not_touch_a_finished_store(
    imported: Callable[..., StoreRecord], tmp_path: Path, listing: Listing
) -> None:
    imported()
    before = content(tmp_path)
    fewer = Listing("table", listing.findings, listing.candidates[:-1])
    for other in ({"resolution": 8}, {"fit": "pad"}, {"name": "x"}, {"split_salt": "x"}, {"listing": fewer}):
        with pytest.raises(PathInUse, match="store was begun with .*; use those, or choose another --out"):
            imported(**other)
    assert content(tmp_path) == before


def test_other_settings_do_not_touch_an_unfinished_import(imported: Callable[..., StoreRecord], tmp_path: Path) -> None:
    with pytest.raises(Killed):
        imported(track=killed_after(1))
    before = content(tmp_path / "store")
    with pytest.raises(
        PathInUse, match=r"was begun with resolutions = \[4, 8, 16\], not \[4, 8\]; use those, or choose another --out"
    ):
        imported(resolution=8)
    assert content(tmp_path / "store") == before


def test_an_import_that_never_finished_a_block_gives_way_to_another(
    imported: Callable[..., StoreRecord], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(module, "read", raises(Killed()))
        imported(resolution=32)
    assert imported(resolution=16).resolutions == (4, 8, 16)
    assert not (tmp_path / "store" / "images_0032.npy").exists()


def test_a_folder_with_something_else_is_refused_and_left_as_it_is(
    imported: Callable[..., StoreRecord], tmp_path: Path
) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "thesis.txt").write_text("do not overwrite")
    (tmp_path / "note").write_text("a file")
    with pytest.raises(PathInUse, match="store already holds something else; choose another --out"):
        imported(key_file=None)
    with pytest.raises(PathInUse, match="note is a file; choose another --out"):
        imported("note", key_file=None)
    with pytest.raises(PathInUse):
        ingest_phantoms(tmp_path / "store", patients=2, site="A", resolution=16, seed=0)
    assert [p.name for p in (tmp_path / "store").iterdir()] == ["thesis.txt"]


def test_two_imports_to_one_folder_do_not_mix(
    imported: Callable[..., StoreRecord], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folders, "PATIENCE_SECONDS", 0)
    with folders.alone_in(tmp_path / "store", private=True):
        with pytest.raises(PathInUse, match=r"another process writes to .*; wait for it"):
            imported()
    assert imported().images == 12


# --- the key ---------------------------------------------------------------------------------------------------------


def test_a_patient_has_one_pseudonym_and_one_key_file_gives_the_same_in_two_stores(
    imported: Callable[..., StoreRecord], tmp_path: Path
) -> None:
    imported("first")
    imported("second", resolution=8)
    imported("other", key_file=None)
    first, second, other = (
        Store.open(tmp_path / n).manifest["patient"].to_list() for n in ("first", "second", "other")
    )
    assert all(first[2 * n] == first[2 * n + 1] for n in range(6)) and len(set(first)) == 6
    assert first == second
    assert not set(first) & set(other)
    key = load_or_create_key(tmp_path / "key")
    assert first[0] == pseudonym("film-patient-0", key=key)
    fingerprints = [Store.open(tmp_path / n).record.key_fingerprint for n in ("first", "second", "other")]
    assert fingerprints[0] == fingerprints[1] == fingerprint(key) != fingerprints[2]
    assert not (tmp_path / "first" / "pseudonym.key").exists()


def test_a_key_may_lie_in_the_store_under_another_name(imported: Callable[..., StoreRecord], tmp_path: Path) -> None:
    own = tmp_path / "store" / "site.key"
    with pytest.raises(Killed):
        imported(key_file=own, track=killed_after(1))
    assert imported(key_file=own).images == 12


@pytest.mark.parametrize("finished", [True, False])
def test_a_begun_store_gets_no_second_key(finished: bool, imported: Callable[..., StoreRecord], tmp_path: Path) -> None:
    if finished:
        imported()
    else:
        with pytest.raises(Killed):
            imported(track=killed_after(1))
    before = content(tmp_path / "store")
    with pytest.raises(PathMissing, match="was imported with a key; restore it, or pass its --key"):
        imported(key_file=None)
    assert content(tmp_path / "store") == before


def test_a_key_in_a_folder_that_is_absent_is_refused(imported: Callable[..., StoreRecord], tmp_path: Path) -> None:
    with pytest.raises(PathMissing, match="secrets is not a folder; make it, or choose another --key"):
        imported(key_file=tmp_path / "secrets" / "key")
    assert not (tmp_path / "store").exists()


# --- full disks, lost workers, unusable films ------------------------------------------------------------------------


def test_too_little_room_is_said_before_anything_is_written(
    imported: Callable[..., StoreRecord], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_folder.shutil, "disk_usage", lambda path: type("Usage", (), {"free": 2000}))
    with pytest.raises(DiskFull, match=r"the import needs about 0\.0 GiB and .* free; free some space, choose another"):
        imported()
    assert not (tmp_path / "store").exists()


def test_room_already_filled_by_the_same_import_is_not_asked_for_again(
    imported: Callable[..., StoreRecord], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(Killed):
        imported(track=killed_after(2))
    monkeypatch.setattr(store_folder.shutil, "disk_usage", lambda path: type("Usage", (), {"free": 2000}))
    assert imported().images == 12  # a third of 12 * 16 * 16 * 4 / 3 bytes is left


def test_a_disk_that_fills_up_gives_one_line_and_the_import_goes_on_afterwards(
    imported: Callable[..., StoreRecord], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, films_read: list[Path]
) -> None:
    imported("unbroken")
    del films_read[:]
    open_path, writes = Path.open, 0

    def full(self: Path, mode: str = "r", *args: Any, **options: Any) -> Any:
        nonlocal writes
        writes += mode == "ab"
        if mode == "ab" and writes == 5:  # the second level of the second block
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self))
        return open_path(self, mode, *args, **options)

    with monkeypatch.context() as patch, pytest.raises(DiskFull, match="is full; free some space and run the same"):
        patch.setattr(Path, "open", full)
        imported("broken")
    imported("broken")
    assert len(films_read) == 4 + 4 + 8
    assert content(tmp_path / "broken") == content(tmp_path / "unbroken")


@pytest.mark.parametrize(
    "file", ["request.partial.json", "images_0004.npy", "rejected.partial.csv", "manifest.partial.parquet", "key"]
)
def test_a_disk_that_is_full_at_the_start_or_the_end_is_the_same_error(
    file: str, imported: Callable[..., StoreRecord], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_path, open_descriptor = Path.open, os.open

    def full(opened: Callable[..., Any]) -> Callable[..., Any]:
        def open_or_fail(path: Any, *args: Any, **options: Any) -> Any:
            if str(path).endswith(file) or f".{file}." in str(path):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
            return opened(path, *args, **options)

        return open_or_fail

    with monkeypatch.context() as patch, pytest.raises(DiskFull):
        patch.setattr(Path, "open", full(open_path))
        patch.setattr(os, "open", full(open_descriptor))
        imported()
    assert imported().images == 12


def test_unusable_films_are_listed_with_row_and_reason_and_the_rest_is_imported(
    imported: Callable[..., StoreRecord], tmp_path: Path
) -> None:
    films = tmp_path / "films"
    (films / "film-0.png").write_bytes((films / "film-0.png").read_bytes()[:600])
    (films / "film-2.png").write_bytes(b"")
    assert cv2.imwrite(str(films / "film-4.png"), np.arange(400, dtype=np.uint8).reshape(20, 20))
    colour = np.zeros((48, 48, 3), np.uint8)
    colour[..., 2] = np.arange(48)
    assert cv2.imwrite(str(films / "film-6.png"), colour * 5)
    table = (films / "labels.csv").read_text().splitlines()
    table[9] = table[9].replace(",PA,", ",LATERAL,")
    table[10] = table[10].replace("film-9.png", "film-gone.png")
    (films / "labels.csv").write_text("\n".join(table))

    record = imported(listing=list_table([films]))
    rejected = pl.read_csv(tmp_path / "store" / "rejected.csv")
    assert rejected.columns == ["row", "file", "reason"]
    assert dict(zip(rejected["row"], rejected["reason"], strict=True)) == {
        2: "image data are truncated or damaged",
        4: "image file is empty",
        6: "image is 20 x 20 pixels; the shorter side must be 32 or more",
        8: "colour image: 91.67% of the pixels are coloured, the limit is 1%; look at it, and pass --most-coloured "
        "PERCENT if it is a film",
        10: "lateral view",
        11: "image file is missing",
    }
    assert rejected["row"].is_sorted()
    assert (record.images, record.rejected) == (6, 6)
    key = load_or_create_key(tmp_path / "key")
    assert rejected["file"][0] == pseudonym("film-0.png", key=key)


@pytest.mark.parametrize("key", [True, False])
def test_an_import_without_a_usable_film_leaves_nothing_and_works_once_the_films_are_mended(
    key: bool, imported: Callable[..., StoreRecord], tmp_path: Path
) -> None:
    key_file = tmp_path / "key" if key else None
    whole = content(tmp_path / "films")
    for path in (tmp_path / "films").glob("*.png"):
        path.write_bytes(b"")
    message = r"no image could be imported, 12 refused; most often: image file is empty \(12 times\)"
    with pytest.raises(NothingToImport, match=message):
        imported(key_file=key_file)
    assert not [p for p in tmp_path.glob("store/**/*") if p.is_file()]
    for name, bytes_of_film in whole.items():
        (tmp_path / "films" / name).write_bytes(bytes_of_film)
    assert imported(key_file=key_file).images == 12


def test_a_listing_without_a_candidate_is_refused_before_anything_is_written(
    imported: Callable[..., StoreRecord], tmp_path: Path
) -> None:
    with pytest.raises(NothingToImport, match="0 refused; 7 rows of the table have no image"):
        imported(listing=Listing("nih", ("Mass",), [], absent=7))
    assert not (tmp_path / "store").exists()


# --- phantoms --------------------------------------------------------------------------------------------------------


def test_a_phantom_hospital_resumes_and_other_settings_leave_its_truth_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BLOCK_IMAGES", 4)
    monkeypatch.setattr(module, "FEWEST_BLOCKS", 1)
    draw = {"patients": 6, "site": "A", "resolution": 16, "seed": 1}
    ingest_phantoms(tmp_path / "unbroken", **draw)  # type: ignore[arg-type]
    with pytest.raises(Killed):
        ingest_phantoms(tmp_path / "broken", **draw, track=killed_after(1))  # type: ignore[arg-type]
    before = content(tmp_path / "broken")
    with pytest.raises(PathInUse):
        ingest_phantoms(tmp_path / "broken", **{**draw, "seed": 2})  # type: ignore[arg-type]
    assert content(tmp_path / "broken") == before
    ingest_phantoms(tmp_path / "broken", **draw)  # type: ignore[arg-type]
    assert content(tmp_path / "broken") == content(tmp_path / "unbroken")


# --- the real films --------------------------------------------------------------------------------------------------


@pytest.mark.real
def test_the_nih_films_import_with_the_official_split(tmp_path: Path, shared_data: Path) -> None:
    lists = read_split_files(sorted((shared_data / "nih" / "nih_split_lists").glob("*.txt*")))
    listing = list_nih([shared_data / "nih"])
    record = ingest(listing, tmp_path / "nih", name="nih", resolution=32, split_lists=lists)
    assert (record.images, record.rejected, record.absent) == (1634, 0, 112_120 - 1634)
    store = Store.open(tmp_path / "nih")
    assert verify(store.path).faults == []
    assert store.manifest.group_by("patient").agg(pl.col("split").n_unique())["split"].max() == 1
    assert store.labels().shape == (1634, len(store.findings)) and set(store.manifest["view"]) <= {"PA", "AP"}


@pytest.mark.real
def test_the_guangzhou_films_import_but_for_one_that_is_too_wide(tmp_path: Path, shared_data: Path) -> None:
    record = ingest(list_table([shared_data / "guangzhou"]), tmp_path / "gz", name="gz", resolution=32)
    assert (record.images, record.rejected) == (1499, 1)
    reasons = pl.read_csv(tmp_path / "gz" / "rejected.csv")["reason"].to_list()
    assert reasons == ["image is 320 x 101 pixels; a film is at most 3 times longer than wide"]


def raises(error: BaseException) -> Callable[..., Any]:
    def fail(*args: Any, **how: Any) -> Any:
        raise error

    return fail


def test_a_film_that_cannot_be_enlarged_so_far_is_refused_with_the_limit(
    imported: Callable[..., StoreRecord], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(NothingToImport, match=r"most often: image is 40 x 48 pixels and resolution 128 would enlarge"):
        imported(resolution=128)
    monkeypatch.setattr(module, "read", raises(ImageRefused("made up")))
    with pytest.raises(NothingToImport, match=r"made up \(12 times\)"):
        imported()


def test_a_new_store_is_for_its_owner_only(tmp_path: Path) -> None:
    ingest_phantoms(tmp_path / "store", patients=2, site="A", resolution=16, seed=0)
    assert (tmp_path / "store").stat().st_mode & 0o077 == 0
