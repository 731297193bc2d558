import stat
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from radcommons.explain.difference import Change
from radcommons.explain.drawing import (
    LONGEST,
    map_figure,
    most_side_by_side,
    moving,
    overlay,
    save_animation,
    save_video,
    spread,
    strip,
)

RAMP = np.stack([np.stack([np.full((16, 16), 40 * f + 10 * p, np.uint8) for f in range(4)]) for p in range(3)])
STRENGTHS = (0.0, 0.33, 0.67, 1.0)


def test_a_strip_has_one_row_per_latent_vector_and_one_column_per_label_value() -> None:
    page = np.asarray(strip(RAMP, STRENGTHS, "Effusion"))
    for p in range(3):
        for f in range(4):
            assert (page == 40 * f + 10 * p).sum() >= 96 * 96
    columns = [int(np.flatnonzero((page == 40 * f).sum(axis=0) > 90)[0]) for f in range(1, 4)]
    assert columns == sorted(columns)


@pytest.mark.parametrize("values", [(0.0, 9.1e-17), (0.1 + 0.2, 1.0)])
def test_label_values_are_written_with_two_decimals(
    values: tuple[float, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[str] = []
    monkeypatch.setattr(ImageDraw.ImageDraw, "text", lambda self, place, text, **options: written.append(text))
    strip(RAMP[:, :2], values, "Effusion")
    moving(RAMP[:, :2], values, "Effusion")
    assert {f"{values[0]:.2f}", f"Effusion {values[0]:.2f}, synthetic"} <= set(written)
    assert not any("e-" in text for text in written) and any("Effusion, synthetic" in text for text in written)


def test_of_more_frames_than_fit_a_strip_shows_some_in_even_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    many = np.stack([np.full((1, 16, 16), level, np.uint8) for level in range(30, 230)], axis=1)
    monkeypatch.setattr("radcommons.explain.drawing.LONGEST", 700)
    page = np.asarray(strip(many, tuple(np.linspace(0, 1, 200)), "Effusion"))
    shown = [level for level in range(30, 230) if (page == level).sum() >= 96 * 96]
    assert page.shape[1] <= 700 and len(shown) == 6
    assert (shown[0], shown[-1]) == (30, 229) and np.ptp(np.diff(shown)) <= 1


def test_frames_are_left_out_evenly_and_only_where_there_are_too_many() -> None:
    assert spread(4, 9).tolist() == [0, 1, 2, 3]
    assert spread(9, 5).tolist() == [0, 2, 4, 6, 8]
    assert len(set(spread(4200, 101).tolist())) == 101


@pytest.mark.parametrize("resolution", [16, 128, 1024])
def test_an_animation_of_as_many_as_fit_is_written_and_one_more_would_be_too_wide(
    resolution: int, tmp_path: Path
) -> None:
    most = most_side_by_side(resolution)
    row = np.zeros((most, 2, resolution, resolution), np.uint8)
    frames = moving(row, (0.0, 1.0), "Effusion")
    save_animation(tmp_path / "a.gif", frames)
    with Image.open(tmp_path / "a.gif") as file:
        assert LONGEST - max(128, resolution) - 2 < file.width <= LONGEST + 1


def test_red_is_brighter_blue_is_darker_and_no_change_leaves_the_film() -> None:
    film = np.full((2, 2), 102.0)
    picture = overlay(film, np.array([[20.0, -20.0], [0.0, 10.0]]), 20)
    more, less, none = picture[0, 0], picture[0, 1], picture[1, 0]
    assert more[0] > more[2] + 0.2 and less[2] > less[0] + 0.2
    assert none.tolist() == pytest.approx([0.4, 0.4, 0.4])
    assert picture.min() >= 0 and picture.max() <= 1


def test_the_colour_scale_is_symmetric_and_the_film_shows_through() -> None:
    film, change = np.full((1, 3), 128.0), np.array([[-7.0, 0.0, 7.0]])
    bright, dark = overlay(film, change, 20), overlay(film - 60, change, 20)
    assert (bright - dark > 0.05).all()


def test_a_change_not_told_from_chance_is_not_coloured() -> None:
    film, change = np.full((1, 2), 128.0), np.array([[9.0, 9.0]])
    picture = overlay(film, change, 10, np.array([[True, False]]))
    assert picture[0, 1].tolist() == pytest.approx([128 / 255] * 3) and picture[0, 0, 0] > picture[0, 0, 2]


def test_a_map_is_drawn_with_and_without_single_latent_vectors_and_region() -> None:
    mean = np.zeros((16, 16))
    mean[4:8, 4:8] = 12
    rms = np.ones(5)
    change = Change(("Effusion",), mean, np.full((16, 16), 0.1), np.full((16, 16), 90.0), rms, None, None)
    small = map_figure(change, [], None, "Effusion")
    large = map_figure(change, [(mean, change.healthy)] * 3, mean > 0, "Effusion")
    assert small.mode == "RGB" and large.height > small.height
    outlined = map_figure(change, [], mean > 0, "Effusion")
    black, white = ([int((np.asarray(p) == level).all(axis=-1).sum()) for p in (small, outlined)] for level in (0, 255))
    assert black[1] > black[0] + 40 and white[1] > white[0] + 40, "an edge that needs no colours to be told"


def test_an_animation_plays_forward_and_back_and_pauses_at_both_ends(tmp_path: Path) -> None:
    frames = moving(RAMP, STRENGTHS, "Effusion")
    save_animation(tmp_path / "a.gif", frames)
    with Image.open(tmp_path / "a.gif") as file:
        assert file.n_frames == 6
        durations, brightness = [], []
        for number in range(file.n_frames):
            file.seek(number)
            durations.append(file.info["duration"])
            brightness.append(np.asarray(file.convert("L"))[60:100, 60:100].mean())
    assert durations == [900, 120, 120, 900, 120, 120]
    assert brightness[:4] == sorted(brightness[:4]) and brightness[1] == pytest.approx(brightness[5], abs=2)


def stand_in(folder: Path, body: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program called ffmpeg that does `body`."""
    program = folder / "ffmpeg"
    program.write_text(f"#!/bin/sh\n{body}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


def test_a_video_gets_every_frame_at_an_even_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(tmp_path, f'echo "$@" > {tmp_path}/said; for last; do :; done; cat > "$last"', monkeypatch)
    frames = moving(RAMP, STRENGTHS, "Effusion")
    width, height = frames[0].size
    assert width % 2 == 0 and height % 2 == 0
    assert save_video(tmp_path / "a.mp4", frames)
    assert f"-s {width}x{height}" in (tmp_path / "said").read_text()
    sent = np.frombuffer((tmp_path / "a.mp4").read_bytes(), np.uint8).reshape(-1, height, width)
    assert len(sent) == 2 * 8 + 2 * 2  # pauses at both ends, two frames between, forward and back
    assert np.array_equal(sent[0], np.asarray(frames[0]))


def test_no_video_without_ffmpeg_or_where_it_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frames = moving(RAMP, STRENGTHS, "Effusion")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not save_video(tmp_path / "a.mp4", frames)
    stand_in(tmp_path, 'for last; do :; done; cat > "$last"; exit 1', monkeypatch)
    assert not save_video(tmp_path / "a.mp4", frames)
    assert not (tmp_path / "a.mp4").exists()
