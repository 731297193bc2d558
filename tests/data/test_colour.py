"""A picture is a grey film where few of its pixels have a colour of their own."""

import cv2
import numpy as np
import pytest

from radcommons.data.colour import coloured_percent, to_grey
from radcommons.data.pixels import read
from radcommons.errors import ImageRefused

SIDE = 200


def film(dtype: type = np.uint8) -> np.ndarray:
    """A smooth grey picture as blue, green, red that uses the whole scale."""
    noise = cv2.GaussianBlur(np.random.default_rng(3).random((SIDE, SIDE)), (0, 0), 12)
    grey = (noise - noise.min()) / np.ptp(noise) * np.iinfo(dtype).max
    return cv2.merge([grey.astype(dtype)] * 3)


def marked(picture: np.ndarray, pixels: int) -> np.ndarray:
    """The same with so many pure red pixels."""
    picture = picture.copy()
    picture.reshape(-1, 3)[:pixels] = (0, 0, np.iinfo(picture.dtype).max)
    return picture


def tinted(of_blue: float, of_green: float, of_red: float) -> np.ndarray:
    """The film with its channels scaled: one hue throughout."""
    return (film() * np.array([of_blue, of_green, of_red])).astype(np.uint8)


SEPIA, BLUE = (0.65, 0.85, 1.0), (1.0, 0.85, 0.7)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize(("pixels", "share"), [(0, 0.0), (1, 0.0025), (400, 1.0), (401, 1.0025), (4000, 10.0)])
def test_the_share_of_coloured_pixels_is_counted(dtype: type, pixels: int, share: float) -> None:
    assert coloured_percent(marked(film(dtype), pixels)) == pytest.approx(share)


def test_a_film_with_few_coloured_pixels_is_taken_and_one_with_more_is_refused_with_its_share() -> None:
    assert np.array_equal(to_grey(marked(film(), 400))[2:], film()[2:, :, 0])
    with pytest.raises(ImageRefused, match=r"^colour image: 2\.5% of the pixels are coloured, the limit is 1%"):
        to_grey(marked(film(), 1000))
    assert to_grey(marked(film(), 1000), 2.5).shape == (SIDE, SIDE)
    with pytest.raises(ImageRefused, match=r"less than 0\.01% of the pixels are coloured, the limit is 0%"):
        to_grey(marked(film(), 1), 0)


@pytest.mark.parametrize("tint", [SEPIA, BLUE])
def test_a_scan_of_one_tint_is_taken_by_its_luminance(tint: tuple[float, float, float]) -> None:
    picture = tinted(*tint)
    assert int(np.ptp(picture, axis=2).max()) > 60
    assert coloured_percent(picture) == 0
    expected = film()[..., 0] * (np.array(tint) @ [0.114, 0.587, 0.299])
    assert np.abs(to_grey(picture) - expected).max() <= 2
    picture[:20, :20] = (0, 255, 0)
    assert coloured_percent(picture) == pytest.approx(1, abs=0.1)  # 400 of 40,000 that are off the tint
    with pytest.raises(ImageRefused):
        to_grey(picture, 0.5)


def test_pictures_of_several_hues_or_of_a_strong_one_are_coloured() -> None:
    half = film()
    half[:, : SIDE // 2] = tinted(*SEPIA)[:, : SIDE // 2]
    photo = np.random.default_rng(0).integers(0, 256, (20, 20, 3), dtype=np.uint8)
    photo = cv2.resize(photo, (SIDE, SIDE))
    maps = [cv2.applyColorMap(film()[..., 0], m) for m in (cv2.COLORMAP_JET, cv2.COLORMAP_HOT, cv2.COLORMAP_VIRIDIS)]
    for picture in (half, photo, tinted(0, 0, 1), tinted(0.1, 1, 0.1), *maps):
        assert coloured_percent(picture) > 20


def test_the_noise_of_a_colour_jpeg_is_no_colour() -> None:
    coded = cv2.imencode(".jpg", film(), [cv2.IMWRITE_JPEG_QUALITY, 40])[1]
    decoded = cv2.imdecode(coded, cv2.IMREAD_COLOR)
    assert decoded is not None and coloured_percent(decoded) == 0


def test_one_coloured_pixel_refuses_no_film_whatever_the_file(write_film) -> None:  # type: ignore[no-untyped-def]
    for name, picture in (("a.png", marked(film(), 1)), ("b.png", marked(film(np.uint16), 1)), ("c.jpg", film())):
        assert read(write_film(name, picture)).pixels.shape == (SIDE, SIDE)
    opaque = np.full((SIDE, SIDE), 255, np.uint8)
    assert read(write_film("d.png", cv2.merge([*cv2.split(marked(film(), 1)), opaque]))).pixels.shape == (SIDE, SIDE)
    with pytest.raises(ImageRefused, match="colour image"):
        read(write_film("e.png", marked(film(np.uint16), 9000)))
