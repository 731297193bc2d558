"""Contact sheets: many small grey images in rows, with a name beside each row. NumPy in, Pillow image out."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

GAP = 2  # pixels between images
PAPER, INK = 24, 230  # grey levels of page and text
SYNTHETIC = "SYNTHETIC"  # title of every sheet that a generator drew


def contact_sheet(
    rows: Sequence[np.ndarray], names: Sequence[str] = (), *, side: int | None = None, stamp: str = "", title: str = ""
) -> Image.Image:
    """A sheet with one row per array.

    Args:
        rows: one uint8 array (n, R, R) per row; rows may differ in n.
        names: text before each row; may be empty.
        side: side of each image on the sheet, pixels; images are enlarged by repetition or averaged down.
        stamp: a word across the foot of each image, e.g. SIMULATED, so that nobody takes it for a patient's.
        title: words above all images, which stay with the sheet where it is copied.
    """
    side = side or rows[0].shape[-1]
    letters = max(10, min(16, side // 5))
    font = ImageFont.load_default(size=letters)
    margin = 8 + max((round(font.getlength(name)) for name in names), default=-8)
    columns = max(len(row) for row in rows)
    head = 2 * letters if title else 0
    width, height = margin + columns * (side + GAP) + GAP, head + len(rows) * (side + GAP) + GAP
    sheet = Image.new("L", (width, height), PAPER)
    pen = ImageDraw.Draw(sheet)
    pen.text((margin + GAP, head // 2), title, fill=INK, font=font, anchor="lm")
    for y, row in enumerate(rows):
        top = head + GAP + y * (side + GAP)
        if names:
            pen.text((4, top + side // 2), names[y], fill=INK, font=font, anchor="lm")
        for x, image in enumerate(row):
            picture = _resized(image, side)
            if stamp:
                _stamp(picture, stamp)
            sheet.paste(picture, (margin + GAP + x * (side + GAP), top))
    return sheet


def _resized(image: np.ndarray, side: int) -> Image.Image:
    picture = Image.fromarray(image)  # a copy
    if picture.width == side:
        return picture
    return picture.resize((side, side), Image.Resampling.NEAREST if side > picture.width else Image.Resampling.BOX)


def _stamp(picture: Image.Image, word: str) -> None:
    """Write a word across the foot of an image, as large as its width allows."""
    widest = 90 * picture.width / ImageFont.load_default(size=100).getlength(word)
    size = min(widest, picture.width / 5)
    foot = round(1.1 * size)
    pen = ImageDraw.Draw(picture)
    pen.rectangle((0, picture.height - foot, picture.width, picture.height), fill=PAPER)
    middle = (picture.width / 2, picture.height - foot / 2)
    pen.text(middle, word, fill=INK, font=ImageFont.load_default(size=size), anchor="mm")
