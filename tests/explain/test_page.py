import base64
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from radcommons.explain import page as page_of
from radcommons.explain.drawing import LONGEST
from radcommons.explain.flow import InterpolationRequest, MapRequest, explain
from radcommons.pages import drawing, plot

QUICK = MapRequest(n=24, singles=2, smoothing=0)
SHORT = InterpolationRequest(frames=4, patients=2)


def test_commands_add_to_one_page_and_the_same_again_replaces(works, tmp_path: Path) -> None:
    explain(Path("run"), tmp_path / "e", ["Effusion"], interpolation=SHORT)
    explain(Path("run"), tmp_path / "e", ["Effusion"], map_=QUICK)
    found = explain(Path("run"), tmp_path / "e", ["Effusion"], map_=MapRequest(n=30, singles=0))
    assert len(found.morphs) == len(found.maps) == 1 and found.maps[0].images == 30
    page = (tmp_path / "e" / "explain.html").read_text()
    assert page.count('<section class="finding"') == 1
    assert 'type="range"' in page and "Difference map of Effusion" in page


def test_the_page_stands_alone_and_says_that_it_is_synthetic(works, tmp_path: Path) -> None:
    explain(Path("run"), tmp_path / "e", every=True, interpolation=SHORT, map_=QUICK)
    page = (tmp_path / "e" / "explain.html").read_text()
    assert "Every picture here is synthetic." in page
    assert "http://" not in page and "https://" not in page and ' src="/' not in page
    assert "so the maps are not scored" in page


def test_the_slider_has_one_step_per_frame_and_a_sprite_as_high(works, tmp_path: Path) -> None:
    explain(Path("run"), tmp_path / "e", ["Effusion"], interpolation=InterpolationRequest(frames=6, patients=5))
    page = (tmp_path / "e" / "explain.html").read_text()
    assert 'min="0" max="5"' in page and "background-size: 100% 600%" in page and "aspect-ratio: 3 / 2" in page
    assert 'aria-label="Label of Effusion"' in page
    with Image.open(tmp_path / "e" / "morph" / "Effusion.gif") as file:
        assert file.n_frames == 10


def test_an_interpolation_of_thousands_of_frames_is_thinned_on_the_page_and_whole_in_its_files(
    works, tmp_path: Path
) -> None:
    found = explain(
        Path("run"), tmp_path / "e", ["Effusion"], interpolation=InterpolationRequest(frames=4200, patients=1)
    )
    assert len(found.morphs[0].strengths) == 4200
    page = (tmp_path / "e" / "explain.html").read_text()
    assert "The slider has 101 of 4,200 frames." in page and 'min="0" max="100"' in page
    assert 'data-strengths="0.00 0.01 0.02 ' in page and "background-size: 100% 10100%" in page
    with np.load(tmp_path / "e" / "morph" / "Effusion.npz") as file:
        assert file["images"].shape == (1, 4200, 16, 16)
    with Image.open(tmp_path / "e" / "morph" / "Effusion.png") as file:
        assert file.width <= LONGEST


def test_a_sprite_of_many_latent_vectors_has_as_many_frames_as_a_picture_holds(
    works, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page_of, "LONGEST", 300)
    explain(Path("run"), tmp_path / "e", ["Effusion"], interpolation=InterpolationRequest(frames=20, patients=5))
    page = (tmp_path / "e" / "explain.html").read_text()
    address = page.partition("data:image/jpeg;base64,")[2].partition(")")[0]
    with Image.open(io.BytesIO(base64.b64decode(address))) as sprite:
        assert sprite.size == (3 * 16, 9 * 2 * 16)
    assert "The slider has 9 of 20 frames." in page


@pytest.mark.parametrize("kept", [0, 1, 100, -40], ids=["empty", "a byte", "a head", "all but the end"])
def test_files_that_a_kill_cut_short_are_left_out_of_the_page_and_made_again(works, tmp_path: Path, kept: int) -> None:
    whole = explain(Path("run"), tmp_path / "e", ["Effusion"], interpolation=SHORT, map_=QUICK)
    before = (tmp_path / "e" / "explain.html").read_text()
    for name in (whole.morphs[0].frames, whole.maps[0].picture):
        path = tmp_path / "e" / name
        path.write_bytes(path.read_bytes()[:kept])
    explain(Path("run"), tmp_path / "e", ["Nodule"], map_=QUICK)
    page = (tmp_path / "e" / "explain.html").read_text()
    assert 'type="range"' not in page and "picture is missing or damaged" in page
    assert (
        "The strongest mean change is" in page
        and page.count("No map is drawn: the label does not change the image") == 1
    )
    explain(Path("run"), tmp_path / "e", ["Effusion"], interpolation=SHORT, map_=QUICK)
    assert before.partition("<section")[2].partition("</section>")[0] in (tmp_path / "e" / "explain.html").read_text()


def test_the_same_numbers_give_the_same_plot_also_outside_the_style() -> None:
    def plotted() -> str:
        with drawing(2, 2) as figure:
            axes = figure.subplots()
        axes.plot([0, 1], [0, 1], marker="o")
        return plot(figure, "a line")

    assert plotted() == plotted()
