"""Draw what labels do: strips, animations, maps over films. Arrays in, pictures out."""

import io
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure, SubFigure
from matplotlib.patheffects import Stroke
from PIL import Image, ImageDraw, ImageFont

from radcommons.explain.difference import Change
from radcommons.pages import drawing
from radcommons.pictures import GAP, INK, PAPER, contact_sheet

SIDE = 96  # smallest side of an image on a strip, pixels
MOVING_SIDE = 128  # the same in an animation
LONGEST = 32_767  # largest side of a picture, pixels: viewers use 16 bits; JPEG allows 65,500, GIF 65,535
FRAME_SECONDS, REST_SECONDS = 0.12, 0.9
COLOURS = colormaps["RdBu_r"]  # red = brighter, blue = darker
OPAQUE = 0.85  # opacity of the strongest change; no change is transparent, so the film shows
DARK, LIGHT = "#181818", "#e6e6e6"


def strip(images: np.ndarray, strengths: Sequence[float], name: str) -> Image.Image:
    """One row per latent vector, one column per label value, from images uint8 (P, n, R, R); at most `LONGEST` wide."""
    side = max(SIDE, images.shape[-1])
    font = ImageFont.load_default(size=13)
    rows = [f"latent {number}" for number in range(1, len(images) + 1)]
    margin = 10 + max(round(font.getlength(row)) for row in rows)
    top = 42
    shown = spread(len(strengths), (LONGEST - margin - GAP) // (side + GAP))
    sheet = contact_sheet(list(images[:, shown]), side=side)
    page = Image.new("L", (margin + sheet.width, top + sheet.height), PAPER)
    page.paste(sheet, (margin, top))
    pen = ImageDraw.Draw(page)
    pen.text((margin + GAP, 5), f"{name}, synthetic: label from 0 (without) to 1 (with)", fill=INK, font=font)
    for column, frame in enumerate(shown):
        centre = margin + GAP + column * (side + GAP) + side // 2
        pen.text((centre, top - 3), f"{strengths[frame]:.2f}", fill=INK, font=font, anchor="mb")
    for row, text in enumerate(rows):
        pen.text((6, top + GAP + row * (side + GAP) + side // 2), text, fill=INK, font=font, anchor="lm")
    return page


def spread(count: int, most: int) -> np.ndarray:
    """Which of `count` frames to show if at most `most` fit: evenly spaced, with the first and the last."""
    return np.linspace(0, count - 1, min(count, most)).round().astype(int)


def most_side_by_side(resolution: int) -> int:
    """How many images fit side by side into an animation."""
    return (LONGEST - GAP) // (max(MOVING_SIDE, resolution) + GAP)


def moving(images: np.ndarray, strengths: Sequence[float], name: str) -> list[Image.Image]:
    """The frames of an animation: latent vectors side by side, the label's value above as text and bar."""
    side = max(MOVING_SIDE, images.shape[-1])
    frames = []
    for column, strength in enumerate(strengths):
        sheet = contact_sheet([images[:, column]], side=side)
        width, height = (length + length % 2 for length in (sheet.width, sheet.height + 34))  # even, for video
        page = Image.new("L", (width, height), PAPER)
        page.paste(sheet, (0, 34))
        pen = ImageDraw.Draw(page)
        text = f"{name} {strength:.2f}, synthetic"
        pen.text((6, 6), text, fill=INK, font=_fitting(text, width - 12))
        pen.rectangle((GAP, 28, width - GAP, 31), fill=70)
        pen.rectangle((GAP, 28, GAP + strength * (width - 2 * GAP), 31), fill=INK)
        frames.append(page)
    return frames


def _fitting(text: str, width: float) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """The font in which a text is at most so wide, pixels; 15 or smaller."""
    return ImageFont.load_default(size=min(15, 15 * width / ImageFont.load_default(size=15).getlength(text)))


def save_animation(path: Path, frames: Sequence[Image.Image]) -> None:
    """Save a GIF that plays forward and back and pauses at both ends."""
    order = [*frames, *reversed(frames[1:-1])]
    step, rest = round(1000 * FRAME_SECONDS), round(1000 * REST_SECONDS)
    durations = [rest if frame in (frames[0], frames[-1]) else step for frame in order]
    order[0].save(path, "GIF", save_all=True, append_images=order[1:], duration=durations, loop=0)


def save_video(path: Path, frames: Sequence[Image.Image]) -> bool:
    """Save an MP4 that plays forward and back; returns False without an ffmpeg on the PATH that writes H.264."""
    program = shutil.which("ffmpeg")
    if program is None:
        return False
    rests = round(REST_SECONDS / FRAME_SECONDS)
    order = [*[frames[0]] * rests, *frames[1:-1], *[frames[-1]] * rests, *reversed(frames[1:-1])]
    width, height = frames[0].size
    command = [program, "-v", "error", "-y", "-f", "rawvideo", "-pix_fmt", "gray", "-s", f"{width}x{height}"]
    command += ["-r", f"{1 / FRAME_SECONDS:g}", "-i", "-", "-c:v", "libx264", "-pix_fmt", "yuv420p", str(path)]
    pixels = b"".join(frame.tobytes() for frame in order)
    done = subprocess.run(command, input=pixels, capture_output=True, check=False)
    if done.returncode != 0:
        path.unlink(missing_ok=True)
    return done.returncode == 0


def as_picture(figure: Figure) -> Image.Image:
    """A figure as a picture."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return Image.open(buffer).convert("RGB")


def overlay(film: np.ndarray, change: np.ndarray, limit: float, clear: np.ndarray | None = None) -> np.ndarray:
    """A change in colour over a grey film.

    Args:
        film: grey levels 0 ... 255, (R, R).
        change: grey levels, (R, R).
        limit: the change that gets full colour, grey levels, > 0.
        clear: where the change is larger than chance, mask (R, R); the rest of the film stays uncoloured.
    Returns:
        float (R, R, 3) in [0, 1]; the larger the change, the less of the film shows.
    """
    share = np.clip(change / limit, -1, 1)
    opacity = OPAQUE * np.sqrt(np.abs(share))
    if clear is not None:
        opacity = opacity * clear
    colour = COLOURS((share + 1) / 2)[..., :3]
    grey = np.repeat(film[..., None] / 255, 3, axis=-1)
    mixed: np.ndarray = grey + opacity[..., None] * (colour - grey)
    return mixed


def map_figure(
    change: Change, singles: Sequence[tuple[np.ndarray, np.ndarray]], region: np.ndarray | None, name: str
) -> Image.Image:
    """The mean map over the mean healthy film and alone, maps of single latent vectors below, colour bars.

    Args:
        change: not collapsed.
        singles: difference and healthy film of single latent vectors, (R, R) each; may be empty.
        region: mask (R, R) of where the finding is known to sit, outlined; None if unknown.
    """
    limit = float(np.abs(change.mean).max())
    with drawing(7.6, 3.0 if not singles else 5.1) as figure:
        figure.set_facecolor(DARK)
        upper, *lower = figure.subfigures(2 if singles else 1, 1, height_ratios=[1.6, 1] if singles else None,
                                          squeeze=False)[:, 0]  # fmt: skip
        upper.set_facecolor(DARK)
        upper.suptitle(f"{name}, synthetic", color=LIGHT, fontsize=10)
        film, over, alone = upper.subplots(1, 3)
        _film(film, np.repeat(change.healthy[..., None] / 255, 3, axis=-1), "mean film without it")
        _film(over, overlay(change.healthy, change.mean, limit, change.clear), "mean change")
        _film(alone, COLOURS((change.mean / limit + 1) / 2)[..., :3], "the change alone")
        if region is not None:
            edge = alone.contour(region, levels=[0.5], colors="black", linewidths=1.4)
            edge.set_path_effects([Stroke(linewidth=3.4, foreground="white"), Stroke()])
            alone.set_title("alone; outline: where it sits", color=LIGHT, fontsize=9)
        _colour_bar(upper, [film, over, alone], limit, "grey levels of 255\nred: brighter, blue: darker")
        for below in lower:
            below.set_facecolor(DARK)
            strongest = float(max(np.percentile(np.abs(d), 99.5) for d, _ in singles)) or 1.0
            axes = below.subplots(1, len(singles), squeeze=False)[0]
            for number, (place, (difference, film_of)) in enumerate(zip(axes, singles, strict=True), start=1):
                _film(place, overlay(film_of, difference, strongest), f"latent {number}")
            _colour_bar(below, list(axes), strongest, "grey levels")
        return as_picture(figure)


def _colour_bar(figure: SubFigure, beside: list[Axes], limit: float, label: str) -> None:
    scale = ScalarMappable(Normalize(-limit, limit), COLOURS)
    bar = figure.colorbar(scale, ax=beside, fraction=0.03, pad=0.01)
    bar.set_label(label, color=LIGHT, fontsize=8)
    bar.ax.tick_params(colors=LIGHT, labelsize=8)
    bar.ax.grid(False)


def _film(axes: Axes, picture: np.ndarray, caption: str) -> None:
    axes.imshow(picture, interpolation="bilinear")
    axes.set_title(caption, color=LIGHT, fontsize=9)
    axes.set_axis_off()
