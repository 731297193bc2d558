"""X-ray a thorax: Beer-Lambert law, scatter, quantum noise, the detector's blur, the film's curve."""

import math
from dataclasses import dataclass

import cv2
import numpy as np

from radcommons.data.phantom.shapes import EXTENT, Map
from radcommons.data.phantom.thorax import Thorax
from radcommons.seeds import numpy_stream

ATTENUATION = 4.0  # of soft tissue through an average thorax; e**-4 of the rays pass


@dataclass(frozen=True, slots=True)
class Film:
    """Parameters of one exposure: the values of `Site` with random variation.

    Attributes:
        exposure, contrast, photons, blur, scatter, zoom: as in `Site`.
        shift: of the patient on the film, in its half-widths (x, y).
        tilt_degrees: of the patient on the film.
        border: black margin at (left, top, right, bottom), in film widths.
        marker: letters burned in; marker_place: their centre in film widths.
        seed: of the quantum noise.
    """

    exposure: float
    contrast: float
    photons: float
    blur: float
    scatter: float
    zoom: float
    shift: tuple[float, float]
    tilt_degrees: float
    border: tuple[float, float, float, float]
    marker: str
    marker_place: tuple[float, float]
    seed: int


def placement(film: Film, canvas: int, pixels: int) -> Map:
    """The affine map (2, 3) from a film of `pixels` a side to its place on the canvas, for cv2.warpAffine."""
    scale = canvas / (EXTENT * pixels * film.zoom)
    angle = np.deg2rad(film.tilt_degrees)
    turn = scale * np.array(((np.cos(angle), -np.sin(angle)), (np.sin(angle), np.cos(angle))))
    middle = np.array((canvas - 1.0, canvas - 1.0)) / 2 - np.array(film.shift) * canvas / (2 * EXTENT)
    return np.column_stack([turn, middle - turn @ np.full(2, (pixels - 1) / 2)]).astype(np.float32)


def attenuation(chest: Thorax) -> Map:
    """The exponent of the Beer-Lambert law at each point of the canvas: I = I0 exp(-attenuation)."""
    tissue = chest.body - chest.cavity * (1 - chest.density) - chest.air
    within = np.clip(8 * chest.body, 0, 1)  # bones end at the skin
    return np.asarray((ATTENUATION * np.maximum(tissue, 0) + chest.bone + chest.extra) * within)


def expose(exponent: Map, film: Film, depth: float) -> Map:
    """The picture of rays attenuated by `exponent`, (pixels, pixels) float 0..1, bright = strongly attenuated.

    Args:
        exponent: attenuation on the film.
        film: how it was taken.
        depth: of the patient; the dose is chosen for it, as an automatic exposure does.
    """
    pixels = exponent.shape[0]
    intensity = np.exp(-exponent)
    # scatter comes from a wide surrounding, so a small picture of it is enough
    coarse = cv2.resize(intensity, (16, 16), interpolation=cv2.INTER_AREA)
    haze = cv2.resize(cv2.GaussianBlur(coarse, (0, 0), 1.5), (pixels, pixels), interpolation=cv2.INTER_LINEAR)
    behind = math.exp(-0.55 * ATTENUATION * depth)  # what an average ray keeps
    intensity += film.scatter * np.minimum(haze, behind)
    # the detector's blur correlates the noise, so the noise falls with the side of a pixel, not with its area
    quanta = film.photons * 256 / pixels * math.exp(0.55 * ATTENUATION * (depth - 1))
    rng = numpy_stream(film.seed, "quanta", pixels)
    intensity += rng.standard_normal((pixels, pixels), dtype=np.float32) * np.sqrt(intensity / quanta)
    blur = film.blur * pixels
    if blur > 0.3:
        intensity = cv2.GaussianBlur(intensity, (0, 0), blur)
    weakened = -np.log(np.maximum(intensity, 1e-4))
    # the film's curve, centred between lung and mediastinum of a patient of this depth
    centre = ATTENUATION * 0.64 * depth + 0.1 - film.scatter
    steepness = 1.30 * film.contrast / math.sqrt(depth)
    return np.asarray(1 / (1 + np.exp(4 * film.exposure - steepness * (weakened - centre))))


def burn_in(picture: Map, film: Film) -> None:
    """Draw the marker and the black borders into `picture`, in place."""
    pixels = picture.shape[0]
    letters = np.zeros((64, 64 * len(film.marker)), np.uint8)
    for place, letter in enumerate(film.marker):
        cv2.putText(letters, letter, (64 * place + 12, 54), cv2.FONT_HERSHEY_SIMPLEX, 2.0, 255, 7, cv2.LINE_AA)
    height = max(2, round(pixels * 0.075))
    width = max(2, round(height * 0.8 * len(film.marker)))
    letters = np.asarray(cv2.resize(letters, (width, height), interpolation=cv2.INTER_AREA))
    left = min(max(round(film.marker_place[0] * pixels - width / 2), 0), pixels - width)
    top = min(max(round(film.marker_place[1] * pixels - height / 2), 0), pixels - height)
    patch = picture[top : top + height, left : left + width]
    np.maximum(patch, letters.astype(np.float32) * (0.97 / 255), out=patch)
    from_left, from_top, from_right, from_bottom = (round(b * pixels) for b in film.border)
    # exactly 0, which no exposure gives: `phantom.render` tells the border by it
    picture[:from_top] = 0
    picture[pixels - from_bottom :] = 0
    picture[:, :from_left] = 0
    picture[:, pixels - from_right :] = 0
