import base64
import re
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from radcommons.models.generator import Batch
from radcommons.synthetic.contact_sheet import COLUMNS, SHEET, Block, rows_with, write_contact_sheet
from radcommons.synthetic.reading import SyntheticSet
from radcommons.synthetic.tables import Format
from radcommons.synthetic.writing import SetWriter

NAN = float("nan")
BLOCKS = (
    Block("site-a", 0, 12, ("Effusion", "Mass"), "as in training"),
    Block("site-b", 12, 16, ("Effusion",), "balanced over findings"),
)


@pytest.fixture(params=["png", "dicom", "npz"])
def drawn(request: pytest.FixtureRequest, tmp_path: Path) -> SyntheticSet:
    """Twelve images of site-a, 9 with an effusion and one of these with a mass; four of site-b, each of one grey."""
    format: Format = request.param
    labels = np.array([[1, 1], *[[1, 0]] * 8, *[[0, 0]] * 3, *[[1, NAN]] * 3, [0, NAN]], np.float32)
    images = np.repeat(np.arange(16, dtype=np.uint8) * 10 + 50, 64).reshape(16, 8, 8)
    generators = [{"name": one.name, "digest": "0" * 64, "images": one.stop - one.first} for one in BLOCKS]
    writer = SetWriter(
        tmp_path / "set", findings=("Effusion", "Mass"), resolution=8, count=16, format=format, seed=7,
        generators=generators,
    )  # fmt: skip
    writer.write(Batch(0, images, labels))
    writer.finish()
    return SyntheticSet.open(tmp_path / "set")


def test_images_are_shown_for_each_finding_that_their_generator_knows(drawn: SyntheticSet) -> None:
    assert rows_with(drawn, BLOCKS[0], "Effusion").tolist() == list(range(9))
    assert rows_with(drawn, BLOCKS[0], "Mass").tolist() == [0]
    assert rows_with(drawn, BLOCKS[0], "No Finding").tolist() == [9, 10, 11]
    assert rows_with(drawn, BLOCKS[1], "No Finding").tolist() == [15], "a mass is unknown there, and does not count"


def test_no_finding_may_be_a_label_of_its_own(drawn: SyntheticSet) -> None:
    block = Block("site-c", 0, 12, ("Mass", "No Finding"), "")
    renamed = SyntheticSet(drawn.path, ("No Finding", "Mass"), 8, drawn.labels, drawn.provenance)
    assert rows_with(renamed, block, "No Finding").tolist() == list(range(9))


def test_the_page_names_each_generator_with_its_share_and_counts_its_findings(drawn: SyntheticSet) -> None:
    write_contact_sheet(drawn.path, BLOCKS)
    page = (drawn.path / SHEET).read_text(encoding="utf-8")
    assert "site-a: 12 images (75%)" in page and "site-b: 4 images (25%)" in page
    assert "Labels: as in training. Rows from the top: No Finding, Effusion, Mass." in page
    assert "Labels: balanced over findings. Rows from the top: No Finding, Effusion." in page
    cells = {row[0]: row[1:] for row in (re.findall(r">([^<>]+)</t[hd]>", line) for line in page.split("<tr>")) if row}
    assert cells["Effusion"] == ["9", "3", "12"] and cells["Mass"] == ["1", "unknown", "1"]
    assert cells["No Finding"] == ["3", "1", "4"]
    assert page.count("src=") == 2 == page.count('src="data:image/png')


def test_the_pictures_are_the_first_images_of_each_finding(drawn: SyntheticSet) -> None:
    write_contact_sheet(drawn.path, BLOCKS)
    page = (drawn.path / SHEET).read_text(encoding="utf-8")
    encoded = page.partition("base64,")[2].partition('"')[0]
    sheet = np.array(Image.open(BytesIO(base64.b64decode(encoded))))
    first = sheet.shape[1] - COLUMNS * 66  # where the images begin; each has 64 pixels and a gap
    middles = sheet[24 + 33 :: 66, first + 32 :: 66]  # the title has 24 pixels
    assert middles[1].tolist() == [50 + 10 * i for i in range(8)], "the ninth effusion has no place"
    assert middles[0, :3].tolist() == [140, 150, 160] and middles[2, 0] == 50


def test_a_page_of_one_generator_has_no_shares(drawn: SyntheticSet) -> None:
    write_contact_sheet(drawn.path, [Block("site-a", 0, 16, ("Effusion", "Mass"), "as in training")])
    page = (drawn.path / SHEET).read_text(encoding="utf-8")
    assert "site-a: 16 images</h3>" in page and "together" not in page and "never told" not in page
