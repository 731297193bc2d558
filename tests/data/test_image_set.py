"""Sets of ours and folders of pictures from anywhere, read into memory or refused in one line."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from radcommons.data.image_set import is_image_set, open_image_set
from radcommons.errors import BadInput, ImageRefused, SetRefused
from radcommons.models.families.progan import GeneratorNetwork, ProganConfig
from radcommons.models.generator import Generator, LabelChoice
from radcommons.models.generator_files import save_generator
from radcommons.records import FindingsRecord
from radcommons.synthetic.reading import SyntheticSet
from radcommons.synthetic.sampling import write_set


def write_pictures(folder: Path, *, count: int = 6, side: int = 16, header: str = "image,Effusion,score") -> Path:
    (folder / "images").mkdir(parents=True)
    rows = [header]
    for i in range(count):
        picture = np.random.default_rng(i).integers(0, 256, (side, side), np.uint8)
        cv2.imwrite(str(folder / "images" / f"{i}.png"), picture)
        rows.append(f"{i}.png,{i % 2},0.5")
    (folder / "labels.csv").write_text("\n".join(rows) + "\n")
    return folder


def write_ours(folder: Path, work: Path, *, count: int = 7) -> Path:
    torch.manual_seed(0)
    config = ProganConfig(resolution=16, channels={4: 6, 8: 5, 16: 4}, latent_size=5, findings=1)
    network = GeneratorNetwork(config)
    record = FindingsRecord(findings=("Effusion",), combinations=(((0,), 10), ((1,), 5)), smallest_cell=5)
    save_generator(work, network, record, name="tiny", family="progan", config=config, images_seen=1)
    write_set([Generator.load(work, device="cpu")], folder, count, choice=LabelChoice(), seed=0)
    return folder


def test_a_folder_of_pictures_is_read_with_the_labels_that_name_findings(tmp_path: Path) -> None:
    found = open_image_set(write_pictures(tmp_path / "s"))
    assert (found.findings, found.resolution, len(found)) == (("Effusion",), 16, 6), "'score' is no finding"
    assert found.labels[:, 0].tolist() == [0, 1, 0, 1, 0, 1]
    assert np.array_equal(found.images[4], np.random.default_rng(4).integers(0, 256, (16, 16), np.uint8))


def test_a_set_of_ours_is_read_image_for_image(tmp_path: Path) -> None:
    folder = write_ours(tmp_path / "set", tmp_path / "generator")
    found, ours = open_image_set(folder), SyntheticSet.open(folder)
    assert np.array_equal(found.images, np.stack([ours.image(i) for i in range(7)]))
    assert np.array_equal(found.labels, ours.labels) and found.findings == ("Effusion",)
    small = open_image_set(folder, largest=8).images
    blocks = found.images.reshape(7, 8, 2, 8, 2).mean(axis=(2, 4))
    assert np.abs(small - blocks).max() <= 0.5, "averaged, not picked"


def test_a_folder_counts_as_a_set_by_its_table_unless_it_is_a_run(tmp_path: Path) -> None:
    folder = write_pictures(tmp_path / "s")
    assert is_image_set(folder) and not is_image_set(tmp_path)
    (folder / "config.json").write_text("{}")
    assert not is_image_set(folder)


@pytest.mark.parametrize(
    ("side", "sides", "largest", "expected"),
    [
        (50, None, None, 50),
        (50, (4, 8, 16, 32), None, 32),
        (50, (64, 128), None, 64),
        (50, None, 32, 32),
        (50, None, 64, 50),
    ],
)
def test_the_side_is_the_pictures_own_or_the_nearest_below_that_is_asked_for(
    side: int, sides: tuple[int, ...] | None, largest: int | None, expected: int, tmp_path: Path
) -> None:
    found = open_image_set(write_pictures(tmp_path / "s", side=side, count=2), sides=sides, largest=largest)
    assert found.resolution == expected


def test_the_digest_follows_the_pixels(tmp_path: Path) -> None:
    first, second = write_pictures(tmp_path / "a"), write_pictures(tmp_path / "b")
    assert open_image_set(first).digest == open_image_set(second).digest
    cv2.imwrite(str(second / "images" / "0.png"), np.zeros((16, 16), np.uint8))
    assert open_image_set(first).digest != open_image_set(second).digest


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ("no table", SetRefused, "needs a header with a column 'image'"),
        ("no finding", SetRefused, "no column named for a finding"),
        ("bad label", SetRefused, "labels.csv line 3: every finding needs a number from 0 to 1"),
        ("no label", SetRefused, "labels.csv line 3: every finding needs a number from 0 to 1"),
        ("short line", SetRefused, "labels.csv line 3: every finding needs a number from 0 to 1"),
        ("not text", SetRefused, "labels.csv is not a text table; export it as CSV"),
        ("twice", SetRefused, "labels.csv has two columns for 'Effusion'"),
        ("missing image", ImageRefused, "labels.csv line 4: the image is missing"),
        ("not an image", ImageRefused, "labels.csv line 2: its file cannot be read as an image"),
        ("not square", ImageRefused, "16 x 20 pixels; a set needs squares"),
    ],
)
def test_a_faulty_folder_is_refused_in_one_line(
    change: str, error: type[BadInput], message: str, tmp_path: Path
) -> None:
    headers = {"no finding": "image,Colour,score", "twice": "image,Effusion,Pleural Effusion"}
    folder = write_pictures(tmp_path / "s", header=headers.get(change, "image,Effusion,score"))
    table = folder / "labels.csv"
    if change == "no table":
        table.write_text("file,Effusion\n1.png,1\n")
    if change in ("bad label", "no label", "short line"):
        new = {"bad label": "1.png,7", "no label": "1.png,", "short line": "1.png\n#"}[change]
        table.write_text(table.read_text().replace("1.png,1", new))
    if change == "not text":
        table.write_bytes(b"image,Effusion\n\0.png,1\n")
    if change == "missing image":
        (folder / "images" / "2.png").unlink()
    if change == "not an image":
        (folder / "images" / "0.png").write_bytes(b"GIF")
    if change == "not square":
        cv2.imwrite(str(folder / "images" / "0.png"), np.zeros((20, 16), np.uint8))
    with pytest.raises(error, match=message) as caught:
        open_image_set(folder)
    assert "\n" not in str(caught.value)
