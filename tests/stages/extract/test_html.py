"""What is text on a page, and what the page says of itself."""

import pytest

from llm_assets.stages.extract.blocks import main_text, read_blocks
from llm_assets.stages.extract.html import parse_html, parse_plain

PROSE = "It was built of stone by the masons of the town, who were paid in grain and wool. " * 3


def page(body, head=""):
    return parse_html(
        f"<html lang=en-GB><head><title>Bridge - Site</title>{head}</head><body>{body}</body></html>", "http://s.example/a/b"
    )


def article(body):
    return page(f"<main><article>{body}</article></main>").text


def test_metadata():
    found = page(
        f'<main><h1>Bridge</h1><p>{PROSE}</p></main><footer><a rel="license" href="/by-sa">L</a></footer>',
        '<meta name="Description" content=" A  bridge "><meta property="article:section" content="Arts">'
        '<link rel="canonical" href="../c">',
    )
    assert (found.title, found.description, found.section) == ("Bridge", "A bridge", "Arts")
    assert (found.license, found.rel_canonical, found.html_lang) == ("http://s.example/by-sa", "http://s.example/c", "en-GB")


def test_og_title_before_title_and_absurd_values_are_none():
    found = page("", f'<meta property="og:title" content="The bridge"><meta name="description" content="{"x" * 3000}">')
    assert (found.title, found.description) == ("The bridge", "")
    assert parse_html("", "http://s.example/").text == ""
    assert page('<a rel=license href="http://[broken">x</a>').license == ""


def test_paragraphs_headings_and_lists_are_readable():
    text = article(
        f"<h1>Bridge</h1><p>{PROSE}</p><h2>Parts</h2><p>There are <b>two</b> parts:<br>above and below.</p>"
        "<ul><li>the arch, <i>low</i><li>the pier<ul><li>of oak</ul></ul>"
        f"<h2>Steps</h2><p>{PROSE}</p><ol><li>cut the stone<li>lay the stone</ol><pre>a  &lt; b\n  c</pre><p>{PROSE}</p>"
    )
    assert text.split("\n\n") == [
        PROSE.strip(),
        "Parts",
        "There are two parts:\nabove and below.",
        "- the arch, low\n- the pier\n  - of oak",
        "Steps",
        PROSE.strip(),
        "1. cut the stone\n2. lay the stone",
        "a  < b\n  c",
        PROSE.strip(),
    ]


def test_furniture_is_left_out():
    text = page(
        '<header><nav><ul><li><a href="/">Home</a></ul></nav></header>'
        f'<main><article><h1>Bridge</h1><p>{PROSE}</p></article><ul><li><a href="/x">One more page</a><li><a href="/y">Next</a></ul>'
        '<div>Related: <a href="/z">Mill</a></div></main><section><h3>Sign up to our letter</h3><form></form></section>'
        '<div class="cookie-banner"><p>We use cookies.</p></div><footer><p>Imprint</p></footer>'
    ).text
    assert text == PROSE.strip()


def test_a_page_of_links_has_no_text():
    listed = "".join(f'<li><a href="/{n}">Article number {n}</a>' for n in range(40))
    assert page(f"<main><h1>All articles</h1><ul>{listed}</ul></main>").text == ""


def test_headings_stay_only_where_text_follows():
    markup = "<h2>Empty</h2>\n<h2>Full</h2>\n<h3>Also empty</h3>\n<h3>Deep</h3>\n<p>Text.</p>\n<h2>Last</h2>"
    assert main_text(read_blocks(markup), "title") == "Full\n\nDeep\n\nText."
    assert main_text(read_blocks("<h1>One</h1>\n<h1>Two</h1>\n<p>Text.</p>"), "title") == "Two\n\nText."


@pytest.mark.parametrize(
    ("line", "kept"),
    [
        ('See <a href="x">the mill</a> for the rest of it.', True),
        ('Related: <a href="x">Mill</a>', False),
        ("A line without any link", True),
        ('<a href="x">A</a> <a href="y">B</a>', False),
    ],
)
def test_bare_lines_with_links_must_be_sentences(line, kept):
    text = main_text(read_blocks(f"<p>{PROSE}</p>\n\n{line}\n\n<p>End.</p>"), "")
    assert (len(text.split("\n\n")) == 3) is kept


def test_a_paragraph_with_some_links_is_text_and_one_of_links_is_not():
    linked = " ".join(f'<a href="{n}">word{n}</a> and' for n in range(10))
    assert main_text(read_blocks(f"<p>{linked} more words that are no links at all.</p>"), "") != ""
    assert main_text(read_blocks('<p><a href="1">One</a> <a href="2">Two</a></p>'), "") == ""


def test_plain_text_keeps_its_lines():
    assert parse_plain("a\r\nb\rc\n").text == "a\nb\nc"
