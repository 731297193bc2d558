"""Self-contained HTML pages: one style for light and dark, pictures embedded, nothing loaded from the network.

The style and the components (verdict, table, figure, folded detail) are also those of the pages of ``web``.
"""

import base64
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from PIL import Image

if TYPE_CHECKING:
    from matplotlib.figure import Figure


STYLE = Path(__file__).parent / "style"  # folder of the style sheet
MARKS = {  # of an outcome: a sign, for colour alone does not tell everybody, and a class of the style
    "passed": ("✓", "good"), "met": ("✓", "good"), "learned": ("✓", "good"), "right answer": ("✓", "good"),
    "failed": ("✗", "bad"), "not met": ("✗", "bad"), "not learned": ("✗", "bad"), "wrong answer": ("✗", "bad"),
    "finished": ("✓", "good"), "broken off": ("✗", "bad"), "stopped": ("◐", "warn"), "running": ("▶", "quiet"),
    "partly learned": ("◐", "warn"), "cannot tell": ("?", "quiet"), "inconclusive": ("?", "warn"),
    "no leak found": ("✓", "good"), "leak found": ("✗", "bad"),
    "passed, but most tests are inconclusive": ("?", "warn"),
    "better": ("✓", "good"), "worse": ("✗", "bad"),
    "next": ("→", "quiet"), "undecided": ("?", "warn"), "no relevant difference": ("=", "quiet"),
}  # fmt: skip
# colours that also people with a colour vision deficiency tell apart (Okabe and Ito 2008), and line styles
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#000000", "#56b4e9", "#e69f00")
DASHES: tuple[Any, ...] = ("-", (0, (5, 1.5)), (0, (1, 1)), (0, (5, 1.5, 1, 1.5)))


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table of a page; cells are text or Markup, the first of a row names the row.

    Attributes:
        caption: says what the table holds; read aloud, and seen if `show_caption`.
        numbers: columns that hold numbers and stand at the right.
        faint: rows that are printed weakly, because too few patients are behind them.
        stack: on a phone, the cells of a row stand below each other, each with its head.
    """

    caption: str
    heads: Sequence[str]
    rows: Sequence[Sequence[str]]
    numbers: Collection[int] = ()
    faint: Collection[int] = ()
    stack: bool = False
    show_caption: bool = False


def render_page(template: str, **content: Any) -> str:
    """Fill a template of ``radcommons/templates``; text is escaped, a missing value is an error."""
    return _environment(escape=True).get_template(template).render(**content)


def render_text(template: str, **content: Any) -> str:
    """Fill a template of plain text or Markdown; nothing is escaped, a missing value is an error."""
    return _environment(escape=False).get_template(template).render(**content)


def component(name: str, *content: Any, **options: Any) -> Markup:
    """One component of ``components.html.j2``, for a page that is not made by `render_page`."""
    module = _environment(escape=True).get_template("components.html.j2").module
    return Markup(getattr(module, name)(*content, **options))


@cache
def _environment(*, escape: bool) -> Environment:
    loader = PackageLoader("radcommons", "templates")
    trim = not escape  # of text; in a page a line's end is the space between two sentences
    environment = Environment(loader=loader, autoescape=escape, undefined=StrictUndefined, trim_blocks=trim)
    environment.filters["marked"] = lambda outcome: MARKS.get(outcome, ("–", "quiet"))
    environment.filters["sentences"] = sentences
    environment.globals["style"] = Markup((STYLE / "style.css").read_text(encoding="utf-8"))
    return environment


def sentences(text: str) -> list[str]:
    """The sentences of a text; a verdict of several is one of the first, and a list of the others."""
    return re.split(r"(?<=\.)\s+(?=[A-Z])", text)


def markdown_table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """The lines of a Markdown table."""
    lines = ["| " + " | ".join(cells) + " |" for cells in (heads, *rows)]
    return [lines[0], "|" + "---|" * len(heads), *lines[1:]]


def picture(image: Image.Image, description: str, *, quality: int | None = None) -> Markup:
    """An <img> of a Pillow image, as wide in CSS pixels as the image is in its own.

    Args:
        quality: embed it as a JPEG of this quality, which is smaller; None = PNG, with every grey level as it is.
    """
    buffer = BytesIO()
    if quality is None:
        image.save(buffer, "PNG", optimize=True)
    else:
        image.save(buffer, "JPEG", quality=quality, subsampling=0)
    return _image("image/png" if quality is None else "image/jpeg", buffer.getvalue(), description, image.width)


@contextmanager
def drawing(width: float, height: float) -> "Iterator[Figure]":
    """A new figure, sides in inches; inside the context, what is drawn has the style of every plot."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context({"font.size": 9, "axes.grid": True, "grid.alpha": 0.3}):
        yield Figure(figsize=(width, height), layout="constrained")


def curve(number: int) -> dict[str, Any]:
    """Colour and line style of one of many curves; the first 28 differ, and neighbours differ in both."""
    return {"color": COLOURS[number % len(COLOURS)], "linestyle": DASHES[number % len(DASHES)]}


def plot(figure: "Figure", description: str, *, on_a_phone: "Figure | None" = None) -> Markup:
    """An <img> of a matplotlib figure, embedded as SVG; `on_a_phone` is a narrow one of the same numbers."""
    image = _image("image/svg+xml", svg(figure), description, None)
    if on_a_phone is None:
        return image
    narrow = _data("image/svg+xml", svg(on_a_phone))
    return Markup('<picture><source media="(max-width: 40rem)" srcset="{}">{}</picture>').format(narrow, image)


def svg(figure: "Figure") -> bytes:
    """A matplotlib figure as an SVG file; the same numbers give the same bytes."""
    import matplotlib

    buffer = BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "radcommons"}):
        figure.savefig(buffer, format="svg", bbox_inches="tight", metadata={"Date": None})
    return buffer.getvalue()


def _image(kind: str, content: bytes, description: str, width: int | None) -> Markup:
    size = Markup(' width="{}"').format(width) if width else ""
    return Markup('<img src="{}" alt="{}"{}>').format(_data(kind, content), description, size)


def _data(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"
