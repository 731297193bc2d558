"""Markdown that others wrote, as HTML that is safe to show: no HTML of theirs, no pictures, links to the web only."""

import re
from collections.abc import Iterator, Sequence
from html import escape

from django.utils.safestring import SafeString, mark_safe
from markdown_it import MarkdownIt
from markdown_it.token import Token

LONGEST = 64 * 1024  # characters; what is longer is cut
DEEPEST = 20  # quotes and lists inside each other
LEVELS_DOWN = 2  # "# Name" of a card becomes <h3>, below the page's own headings
LINK = re.compile(r"(?:https?://|mailto:)\S+", re.IGNORECASE)
TABLE = '<div class="scroll" tabindex="0" role="group" aria-label="Table"><table>\n'


def to_html(text: str) -> SafeString:
    """The HTML of a text in Markdown (CommonMark with tables).

    HTML in the text is shown as text. A picture is left out, a link that does not lead to http, https or mailto loses
    its address and keeps its words.
    """
    kept = "".join(c if c.isprintable() or c in "\n\t" else " " for c in text[:LONGEST])
    return mark_safe(_parser.renderer.render(list(_blocks(_parser.parse(kept))), _parser.options, {}))


def _code(renderer: object, tokens: Sequence[Token], place: int, options: object, env: object) -> str:
    return f'<pre tabindex="0"><code>{escape(tokens[place].content)}</code></pre>\n'


_parser = MarkdownIt("js-default", {"html": False, "maxNesting": DEEPEST})
_parser.add_render_rule("table_open", lambda *_: TABLE)
_parser.add_render_rule("table_close", lambda *_: "</table></div>\n")
_parser.add_render_rule("fence", _code)
_parser.add_render_rule("code_block", _code)


def _blocks(tokens: Sequence[Token]) -> Iterator[Token]:
    """Without empty table heads and empty paragraphs, and with headings below those of the page."""
    place = 0
    while place < len(tokens):
        token = tokens[place]
        if token.type == "thead_open":
            end = next(n for n in range(place, len(tokens)) if tokens[n].type == "thead_close")
            if not any(inner.content.strip() for inner in tokens[place:end]):
                place = end + 1
                continue
        if token.type == "paragraph_open" and not any(_shows(inner) for inner in tokens[place + 1].children or ()):
            place += 3
            continue
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(6, int(token.tag[1]) + LEVELS_DOWN)}"
        if token.type == "inline":
            token.children = list(_inline(token.children or []))
        yield token
        place += 1


def _inline(tokens: Sequence[Token]) -> Iterator[Token]:
    """Without pictures, and with links to the web only."""
    dropped = False
    for place, token in enumerate(tokens):
        if token.type == "link_open":
            end = next(n for n in range(place, len(tokens)) if tokens[n].type == "link_close")
            address = str(token.attrGet("href"))
            dropped = not (LINK.fullmatch(address) and any(_shows(inner) for inner in tokens[place + 1 : end]))
            token.attrs = {"href": address, "rel": "nofollow noopener noreferrer"}
        if not (token.type == "image" or (dropped and token.type in ("link_open", "link_close"))):
            yield token


def _shows(token: Token) -> bool:
    return token.type in ("text", "code_inline") and bool(token.content.strip())
