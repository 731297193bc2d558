"""Self-contained HTML pages: one style for light and dark, pictures embedded, nothing loaded from the network."""

import base64
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from PIL import Image

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def render_page(template: str, **content: Any) -> str:
    """Fill a template of ``radcommons/templates``; text is escaped, a missing value is an error."""
    loader = PackageLoader("radcommons", "templates")
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    return environment.get_template(template).render(**content)


def render_text(template: str, **content: Any) -> str:
    """Fill a template of plain text or Markdown; nothing is escaped, a missing value is an error."""
    loader = PackageLoader("radcommons", "templates")
    environment = Environment(loader=loader, autoescape=False, undefined=StrictUndefined, trim_blocks=True)
    return environment.get_template(template).render(**content)


def markdown_table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """The lines of a Markdown table."""
    lines = ["| " + " | ".join(cells) + " |" for cells in (heads, *rows)]
    return [lines[0], "|" + "---|" * len(heads), *lines[1:]]


def picture(image: Image.Image, description: str) -> Markup:
    """An <img> of a Pillow image, embedded as PNG, as wide in CSS pixels as the image is in its own."""
    buffer = BytesIO()
    image.save(buffer, "PNG", optimize=True)
    return _image("image/png", buffer.getvalue(), description, image.width)


@contextmanager
def drawing(width: float, height: float) -> "Iterator[Figure]":
    """A new figure, sides in inches; inside the context, what is drawn has the style of every plot."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context({"font.size": 9, "axes.grid": True, "grid.alpha": 0.3}):
        yield Figure(figsize=(width, height), layout="constrained")


def plot(figure: "Figure", description: str) -> Markup:
    """An <img> of a matplotlib figure, embedded as SVG; the same numbers give the same SVG."""
    import matplotlib

    buffer = BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "radcommons"}):
        figure.savefig(buffer, format="svg", bbox_inches="tight", metadata={"Date": None})
    return _image("image/svg+xml", buffer.getvalue(), description, None)


def _image(kind: str, content: bytes, description: str, width: int | None) -> Markup:
    data = base64.b64encode(content).decode("ascii")
    size = Markup(' width="{}"').format(width) if width else ""
    return Markup('<img src="data:{};base64,{}" alt="{}"{}>').format(kind, data, description, size)
