import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from radcommons.data.ingest import ladder
from radcommons.data.pixels import pyramid, read, square
from radcommons.errors import ImageRefused


def refused(path) -> str:
    with pytest.raises(ImageRefused) as caught:
        read(path)
    return str(caught.value)


def test_an_eight_bit_png_is_read_as_it_is(write_film, film_like):
    film = read(write_film("a.png"))
    assert film.pixels.dtype == np.uint8
    assert np.array_equal(film.pixels, film_like())
    assert (film.view, film.age_years, film.sex) == (None, None, None)


def test_a_jpeg_is_read_up_to_its_own_loss(write_film, film_like):
    assert np.abs(read(write_film("a.jpg")).pixels.astype(int) - film_like().astype(int)).max() <= 8


def test_a_sixteen_bit_png_is_scaled_from_its_own_minimum_and_maximum(write_film, film_like):
    stored = film_like(12) + np.uint16(1000)
    expected = np.rint((stored - 1000.0) * 255 / 4095)
    assert np.array_equal(read(write_film("a.png", stored)).pixels, expected)


def test_grey_stored_as_colour_is_taken_and_colour_is_refused(write_film, film_like):
    grey = film_like()
    assert np.array_equal(read(write_film("rgb.png", cv2.merge([grey] * 3))).pixels, grey)
    opaque = np.full_like(grey, 255)
    assert np.array_equal(read(write_film("rgba.png", cv2.merge([grey, grey, grey, opaque]))).pixels, grey)
    assert read(write_film("rgb.jpg", cv2.merge([grey] * 3))).pixels.shape == grey.shape
    annotated = cv2.merge([grey] * 3)
    annotated[2:12, 2:12] = (0, 0, 255)  # a burned-in red mark: 100 of 5,120 pixels
    assert refused(write_film("red.png", annotated)).startswith("colour image: 1.953% of the pixels are coloured")
    assert read(write_film("red.png", annotated), most_coloured_percent=2).pixels.shape == grey.shape
    deep = cv2.merge([film_like(16)] * 3)
    assert read(write_film("rgb16.png", deep)).pixels.max() == 255


@pytest.mark.parametrize("suffix", ["png", "jpg"])
@pytest.mark.parametrize("kept", [0.3, 0.7, 0.99])
def test_a_truncated_file_is_refused(write_film, film_like, suffix, kept):
    path = write_film(f"a.{suffix}", film_like(8, (300, 300)))
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * kept)])
    assert refused(path) == "image data are truncated or damaged"
    path.write_bytes(content[: int(len(content) * kept)] + bytes(5000))  # a download cut short in a reserved file
    assert refused(path) == "image data are truncated or damaged"


def test_a_damaged_png_is_refused(write_film):
    path = write_film("a.png")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 255
    path.write_bytes(content)
    assert refused(path) == "image data are truncated or damaged"


def test_files_that_are_no_films_are_refused_with_their_reason(tmp_path, write_film, film_like):
    path = tmp_path / "x.png"
    assert refused(path) == "image file is missing"
    assert refused(tmp_path) == "image file cannot be opened"
    for content, reason in (
        (b"", "image file is empty"),
        (bytes(2000), "image file contains only zero bytes"),
        (b"<html>please log in</html>", "not a PNG, JPEG or DICOM file"),
        (b"GIF89a" + bytes(100), "not a PNG, JPEG or DICOM file"),
    ):
        path.write_bytes(content)
        assert refused(path) == reason
    assert refused(write_film("b.png", np.full((64, 64), 77, np.uint8))) == "image is blank"
    assert refused(write_film("b16.png", np.full((64, 64), 777, np.uint16))) == "image is blank"
    assert refused(write_film("s.png", film_like(8, (31, 64)))) == (
        "image is 64 x 31 pixels; the shorter side must be 32 or more"
    )
    assert "3 times longer than wide" in refused(write_film("l.png", film_like(8, (40, 121))))
    assert read(write_film("e.png", film_like(8, (40, 120)))).pixels.shape == (40, 120)


def test_an_animated_png_is_refused(write_film):
    path = write_film("a.png")
    content = path.read_bytes()
    path.write_bytes(content[:33] + b"\0\0\0\x08acTL\0\0\0\x02\0\0\0\0\xf3\x8d\x93\x70" + content[33:])
    assert refused(path) == "several frames in one file"


def test_a_crop_takes_the_centre_and_a_pad_adds_black():
    film = np.zeros((4, 8), np.uint8)
    film[:, 2:6] = 200
    assert np.array_equal(square(film, 4, fit="crop").pixels, np.full((4, 4), 200))
    film[:] = 200
    padded = square(film, 8, fit="pad").pixels
    assert padded[2:6].min() == 200 and padded[:2].max() == 0 and padded[6:].max() == 0


def test_down_sampling_is_an_area_mean():
    film = np.zeros((8, 8), np.uint8)
    film[0, 0] = 160
    assert square(film, 2, fit="crop").pixels.tolist() == [[10, 0], [0, 0]]


def test_enlargement_ends_at_two_and_says_what_would_work():
    film = np.arange(64 * 64, dtype=np.uint8).reshape(64, 64)
    assert square(film, 128, fit="crop").upsampled
    assert not square(film, 64, fit="crop").upsampled
    assert np.array_equal(square(film, 64, fit="pad").pixels, film)
    with pytest.raises(ImageRefused, match=r"64 x 64 pixels and resolution 256 would enlarge it 4\.0 times"):
        square(film, 256, fit="crop")


@given(
    height=st.integers(32, 90), width=st.integers(32, 90), resolution=st.sampled_from([4, 32, 64]),
    fit=st.sampled_from(["crop", "pad"]),
)  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_a_square_has_its_resolution_and_stays_within_the_films_grey_values(height, width, resolution, fit):
    film = np.random.default_rng(height * 100 + width).integers(50, 200, (height, width), dtype=np.uint8)
    pixels = square(film, resolution, fit=fit).pixels
    assert pixels.shape == (resolution, resolution) and pixels.dtype == np.uint8 and pixels.flags.c_contiguous
    assert pixels.max() <= film.max() and pixels.min() >= (film.min() if fit == "crop" else 0)


@given(log_side=st.integers(2, 7), seed=st.integers(0, 99))
@settings(max_examples=30, deadline=None)
def test_every_level_of_the_pyramid_is_the_block_mean_of_the_top_rounded_once(log_side, seed):
    side = 2**log_side
    top = np.random.default_rng(seed).integers(0, 256, (side, side), dtype=np.uint8)
    levels = pyramid(top)
    assert sorted(levels) == [2**k for k in range(2, log_side + 1)]
    assert levels[side] is top
    for resolution, level in levels.items():
        k = side // resolution
        blocks = top.reshape(resolution, k, resolution, k).astype(np.int64).sum(axis=(1, 3))
        assert np.array_equal(level, np.rint(blocks / k**2)) and level.dtype == np.uint8


def test_the_pyramid_rounds_once_not_level_by_level():
    top = np.zeros((16, 16), np.uint8)
    top[0, :2] = 1  # mean of 2x2 is 0.5, which rounds to 0; of four of them in 4x4, 2/16
    top[:4, :4] = [[1, 1, 1, 1], [0, 0, 0, 0], [1, 1, 1, 1], [0, 0, 0, 1]]
    assert pyramid(top)[8][0, 0] == 0
    assert pyramid(top)[4][0, 0] == 1  # 9/16; a cascade would give 1/4 -> 0


def test_the_brightest_films_overflow_at_no_level_and_the_largest_side_is_exact():
    films = np.full((2, 1024, 1024), 255, np.uint8)
    films[1] = np.random.default_rng(1).integers(250, 256, (1024, 1024))
    levels = pyramid(films)
    assert all(level[0].min() == 255 for level in levels.values())
    for side, level in levels.items():
        k = 1024 // side
        means = films[1].reshape(side, k, side, k).astype(np.int64).sum(axis=(1, 3)) / k**2
        assert np.array_equal(level[1], np.rint(means))


def test_a_pyramid_does_not_need_its_films_in_one_piece_of_memory():
    wide = np.random.default_rng(2).integers(0, 256, (3, 64, 80), dtype=np.uint8)
    cut = wide[::2, :, 8:72]
    assert all(np.array_equal(level, pyramid(cut.copy())[side]) for side, level in pyramid(cut).items())


def test_many_films_make_the_same_pyramids_as_each_alone():
    films = np.random.default_rng(0).integers(0, 256, (3, 32, 32), dtype=np.uint8)
    together = pyramid(films)
    for n, film in enumerate(films):
        assert all(np.array_equal(together[r][n], level) for r, level in pyramid(film).items())


def test_a_pyramid_needs_a_power_of_two():
    for shape in ((48, 48), (64, 32), (2, 2)):
        with pytest.raises(ValueError, match="power of two"):
            pyramid(np.zeros(shape, np.uint8))


@pytest.mark.real
def test_every_untouched_real_film_is_read(shared_data):
    paths = [p for site in ("nih", "guangzhou") for p in sorted((shared_data / site / "original").iterdir())]
    assert len(paths) == 55
    assert all(min(read(path).pixels.shape) >= 400 for path in paths)


@pytest.mark.parametrize(("side", "advised"), [(32, 64), (63, 64), (64, 128), (320, 512), (500, 512), (511, 512)])
@pytest.mark.parametrize("fit", ["crop", "pad"])
def test_the_advised_resolution_is_the_largest_that_is_taken(side, advised, fit, film_like):
    film = film_like(8, (side, side + 20 * (fit == "crop")))
    with pytest.raises(ImageRefused, match=f"so import at {advised} or less") as caught:
        square(film, 2048, fit=fit)
    assert "the limit is 2" in str(caught.value)
    assert square(film, advised, fit=fit).pixels.shape == (advised, advised)
    with pytest.raises(ImageRefused):
        square(film, 2 * advised, fit=fit)
    assert ladder(advised)[-1] == advised
