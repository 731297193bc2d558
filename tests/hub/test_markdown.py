"""What a stranger writes into a card can neither run, nor load, nor lead to anything but the web."""

import re
import time

import pytest

from radcommons.hub.markdown import LONGEST, to_html


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("# Toy\n\n## At a glance", "<h3>Toy</h3>\n<h4>At a glance</h4>\n"),
        ("a **b** `c`", "<p>a <strong>b</strong> <code>c</code></p>\n"),
        ("- one\n- two", "<ul>\n<li>one</li>\n<li>two</li>\n</ul>\n"),
        ("5 &lt; 6 &amp; \\*", "<p>5 &lt; 6 &amp; *</p>\n"),
        ("```sh\na < b\n```", '<pre tabindex="0"><code>a &lt; b\n</code></pre>\n'),
    ],
)
def test_text_headings_lists_and_code_are_rendered_below_the_pages_headings(written: str, shown: str) -> None:
    assert to_html(written) == shown


def test_a_table_scrolls_by_itself_and_an_empty_head_is_left_out() -> None:
    html = to_html("| | |\n|---|---|\n| License | cc |")
    assert html.startswith('<div class="scroll" tabindex="0" role="group"') and "<th" not in html
    assert "<td>License</td>" in html
    assert "<th>a</th>" in to_html("| a | |\n|---|---|\n| b | c |")


@pytest.mark.parametrize(
    "written",
    [
        "<script>x()</script>",
        "a <img src=x onerror=x()> b",
        "<!-- <b> --> <![CDATA[ <b> ]]>",
        "[a](javascript:x)",
        "[a](JaVaScRiPt:x)",
        "[a](&#106;avascript:x)",
        "[a](data:text/html;base64,eA==)",
        "[a](vbscript:x)",
        "[a](//example.org)",
        "[a](LICENSE)",
        "[a](/logout)",
        "[a][b]\n\n[b]: javascript:x",
        "<javascript:x>",
        "![a](https://example.org/x.png)",
        "[![a](https://example.org/x.png)](https://example.org)",
        '![a](x "onerror=x()")',
        "[](https://example.org)",
        "```\"onmouseover='x()'\na\n```",
    ],
)
def test_nothing_of_it_is_html_a_picture_or_a_link_away_from_the_web(written: str) -> None:
    html = to_html(written)
    assert {tag.lower() for tag in re.findall(r"<\s*/?\s*([a-zA-Z!]+)", html)} <= {"p", "pre", "code"}
    assert not re.search(r"<[^>]*\s(?:on\w+|style|href|src)=", html)


def test_a_link_to_the_web_or_to_a_mailbox_is_kept_and_vouched_for_by_nobody() -> None:
    for address in ("https://example.org/a?b=c", "http://example.org", "mailto:a@example.org"):
        html = to_html(f'[**here**]({address} "a title")')
        assert html == f'<p><a href="{address}" rel="nofollow noopener noreferrer"><strong>here</strong></a></p>\n'


def test_characters_that_turn_the_text_around_are_taken_out() -> None:
    assert to_html("a\u202eb\u2066c") == "<p>a b c</p>\n"


PARTS = ("[", "*a ", "`", "> ", "![a](", "| a |\n|---|\n", "<a ", "[a]: b\n", "&#", "- " * 9, "_*", "**a", "[a](")
WIDE_TABLE = (
    "|" + "a|" * 4000 + "\n|" + "-|" * 4000 + "\n" + "a\n" * 20_000
)  # each short row is filled up to 4,000 cells


@pytest.mark.parametrize(
    "written", [*(part * (4 * LONGEST // len(part)) for part in PARTS), WIDE_TABLE], ids=lambda text: text[:9]
)
def test_a_card_that_is_made_to_be_slow_is_cut_and_read_in_seconds(written: str) -> None:
    started = time.process_time()
    html = to_html(written)
    assert time.process_time() - started < 10 and len(html) < 4_000_000
