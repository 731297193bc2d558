"""The writer by itself: blocks in, a store out; only whole blocks count."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from radcommons.data.pixels import pyramid
from radcommons.data.store import Store, pixels_digest
from radcommons.data.store_folder import import_begun, require_own_folder
from radcommons.data.store_writer import Block, RejectedImage, Request, StoredImage, StoreWriter
from radcommons.errors import NothingToImport, PathInUse

REQUEST = Request(
    name="own",
    source="table",
    findings=("Mass", "Edema"),
    resolutions=(4, 8),
    label_policy="as-given",
    fit="crop",
    split_salt="salt",
    key_fingerprint="0" * 16,
    absent=2,
    sha256="a" * 64,
)


def block(*greys: int, rejected: int = 0) -> Block:
    tops = np.stack([np.full((8, 8), grey, np.uint8) for grey in greys]) if greys else np.empty((0, 8, 8), np.uint8)
    images = [
        StoredImage(
            f"image-{grey}", f"patient-{grey % 2}", "train", None, None, None, (1, None), "s", pixels_digest(top)
        )
        for grey, top in zip(greys, tops, strict=True)
    ]
    return Block(pyramid(tops), images, [RejectedImage(9 - n, f"file-{n}", "blank") for n in range(rejected)])


def test_blocks_become_a_store_with_counts_and_unknown_labels(tmp_path: Path) -> None:
    writer = StoreWriter.begin(tmp_path, REQUEST)
    writer.append(block(1, 2, rejected=2))
    writer.append(block())
    writer.append(block(3))
    record = writer.finish()
    store = Store.open(tmp_path)
    assert store.record == record
    assert (record.images, record.patients, record.rejected, record.absent) == (3, 2, 2, 2)
    assert record.split == {"train": 3, "val": 0, "test": 0}
    assert store.images(8)[:, 0, 0].tolist() == store.images(4)[:, 3, 3].tolist() == [1, 2, 3]
    assert store.manifest["row"].to_list() == [0, 1, 2]
    assert store.labels()[:, 0].tolist() == [1, 1, 1] and np.isnan(store.labels()[:, 1]).all()
    assert pl.read_csv(tmp_path / "rejected.csv")["row"].to_list() == [8, 9]  # in the table's order
    assert not (tmp_path / ".import").exists()


def test_nothing_but_store_json_says_finished(tmp_path: Path) -> None:
    writer = StoreWriter.begin(tmp_path, REQUEST)
    assert not import_begun(tmp_path)
    writer.append(block(1))
    assert import_begun(tmp_path) and not (tmp_path / "store.json").exists()
    writer.finish()
    assert (tmp_path / "store.json").exists()


def test_a_writer_takes_up_whole_blocks_only(tmp_path: Path) -> None:
    writer = StoreWriter.begin(tmp_path, REQUEST)
    writer.append(block(1, rejected=1))
    writer.append(block(2, 3))
    journal = tmp_path / ".import" / "journal.jsonl"
    journal.write_bytes(journal.read_bytes()[:-1])  # whole but for its line end
    writer = StoreWriter.begin(tmp_path, REQUEST)
    assert (writer.blocks_done, len(writer.images), len(writer.rejected)) == (1, 1, 1)
    assert len(journal.read_text().splitlines()) == 1
    writer.append(block(4))
    writer.finish()
    assert Store.open(tmp_path).images(8)[:, 0, 0].tolist() == [1, 4]


def test_a_journal_line_of_noise_ends_what_counts(tmp_path: Path) -> None:
    writer = StoreWriter.begin(tmp_path, REQUEST)
    writer.append(block(1))
    with (tmp_path / ".import" / "journal.jsonl").open("ab") as file:
        file.write(b"\0\0\0\n")
    writer = StoreWriter.begin(tmp_path, REQUEST)
    assert writer.blocks_done == 1


def test_an_image_file_that_vanished_starts_the_import_anew(tmp_path: Path) -> None:
    writer = StoreWriter.begin(tmp_path, REQUEST)
    writer.append(block(1))
    (tmp_path / "images_0004.npy").unlink()
    writer = StoreWriter.begin(tmp_path, REQUEST)
    assert writer.blocks_done == 0 and writer.images == []


def test_a_half_written_request_is_no_request(tmp_path: Path) -> None:
    (tmp_path / ".import").mkdir()
    (tmp_path / ".import" / "request.json").write_text('{"name": "o')
    StoreWriter.begin(tmp_path, REQUEST)
    saved = json.loads((tmp_path / ".import" / "request.json").read_text())
    assert saved["sha256"] == REQUEST.sha256


def test_an_empty_import_leaves_no_file(tmp_path: Path) -> None:
    writer = StoreWriter.begin(tmp_path, REQUEST)
    writer.append(block(rejected=2))
    with pytest.raises(NothingToImport, match=r"2 refused; most often: blank \(2 times\); 2 rows of the table have"):
        writer.finish()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["pseudonym.key", "truth.npz", ".pseudonym.key.0f0f0f0f", "site.key"])
def test_a_folder_with_only_an_imports_own_files_is_usable(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text("x")
    require_own_folder(tmp_path, tmp_path / "site.key")
    with pytest.raises(PathInUse, match="already holds something else"):
        (tmp_path / "other").mkdir()
        require_own_folder(tmp_path, tmp_path / "site.key")
