"""What is text on a page, how it is written down, and what the page says of itself."""

import sys

import pytest

from llm_assets.core.errors import InputError
from llm_assets.stages.extract.html import check_extractor, parse_html, parse_plain

PROSE = "It was built of stone by the masons of the town, who were paid in grain and wool. " * 3
TEXT = PROSE.strip()


def page(body, head="", **more):
    return parse_html(
        f"<html lang=en-GB><head><title>Bridge - Site</title>{head}</head><body>{body}</body></html>",
        "http://s.example/a/b",
        **more,
    )


def article(body):
    return page(f"<main><article>{body}</article></main>").text


def parts(body):
    """The blocks between two paragraphs of prose."""
    found = article(f"<p>{PROSE}</p>{body}<p>End. {PROSE}</p>").split("\n\n")
    assert (found[0], found[-1]) == (TEXT, f"End. {TEXT}")
    return found[1:-1]


def test_metadata():
    found = page(
        f'<main><h1>Bridge</h1><p>{PROSE}</p></main><footer><a rel="license" href="/by-sa">L</a></footer>',
        '<meta name="Description" content=" A  bridge "><meta property="article:section" content="Arts">'
        '<link rel="canonical" href="../c">',
    )
    assert (found.title, found.description, found.section) == ("Bridge", "A bridge", "Arts")
    assert (found.license, found.rel_canonical, found.html_lang) == ("http://s.example/by-sa", "http://s.example/c", "en-GB")
    assert (found.license_id, found.published) == ("", "")


def test_og_title_before_title_and_absurd_values_are_none():
    found = page("", f'<meta property="og:title" content="The bridge"><meta name="description" content="{"x" * 3000}">')
    assert (found.title, found.description) == ("The bridge", "")
    assert parse_html("", "http://s.example/").text == ""
    assert page('<a rel=license href="http://[broken">x</a>').license == ""


def test_headings_paragraphs_and_the_repeated_title():
    text = article(f"<h1>Bridge</h1><p>{PROSE}</p><h2>Parts</h2><p>Two:<br>above and\nbelow.</p><h3>Arch</h3><p>{PROSE}</p>")
    assert text.split("\n\n") == [TEXT, "## Parts", "Two:\nabove and below.", "### Arch", TEXT]


@pytest.mark.parametrize(
    ("markup", "written"),
    [
        ("<ul><li>the arch, <i>low</i><li>the pier</ul>", "- the arch, low\n- the pier"),
        ("<ul><li>a<ul><li>b<ol><li>c</ol></ul><li>d</ul>", "- a\n  - b\n    1. c\n- d"),
        ("<ol start=3><li>cut<li>lay</ol>", "3. cut\n4. lay"),
        ("<ol><li>cut<li><ol><li>a<li>b</ol><li>lay</ol>", "1. cut\n  1. a\n  2. b\n3. lay"),
        ("<ul><li><p>one</p><p>more of it</p></li><li><p>two</p></li></ul>", "- one\n  more of it\n- two"),
        ("<ul><li>run<pre>a\n  b</pre></li></ul>", "- run\n  ```\n  a\n    b\n  ```"),
        ("<ul><li><div><span>a</span></div><li></li><li><b>b</b></ul>", "- a\n- b"),
        ("<li>stray<li>items", "- stray\n- items"),
        ("<dl><dt>term<dd>what it means</dl>", "term\n\nwhat it means"),
    ],
)
def test_lists(markup, written):
    assert "\n\n".join(parts(markup)) == written


@pytest.mark.parametrize(
    ("markup", "written"),
    [
        ("<pre>a  &lt; b\n  c\n</pre>", "```\na  < b\n  c\n```"),
        ('<pre><code class="language-py">if a:\n\tb</code></pre>', "```py\nif a:\n    b\n```"),
        ('<div class="highlight-rust"><div><pre><span>fn</span> <b>f</b>() {}</pre></div></div>', "```rust\nfn f() {}\n```"),
        ("<pre>one<br>two</pre>", "```\none\ntwo\n```"),
        ("<pre>```\nfenced\n```</pre>", "~~~~\n```\nfenced\n```\n~~~~"),
        ("<p>call <code>f(<b>x</b>)</code> or <kbd>y</kbd></p>", "call `f(x)` or y"),
        ("<pre>a\n\n\nb</pre>", "```\na\n\n\nb\n```"),
    ],
)
def test_code(markup, written):
    assert "\n\n".join(parts(markup)) == written


def test_code_that_spans_blocks_leaves_no_odd_tick():
    text = article(f"<p>{PROSE}</p><p>a <code>b<p>c</code> d</p><p>{PROSE}</p>")
    assert text.count("`") % 2 == 0


@pytest.mark.parametrize(
    ("markup", "written"),
    [
        ("<table><tr><th>Room<th>Turns<tr><td>Hall<td>2</table>", "| Room | Turns |\n| Hall | 2 |"),
        (
            "<table><caption>Valves</caption><thead><tr><th>a<th>b</thead><tbody><tr><td>x|y<td><p>1</p></tbody></table>",
            "Valves\n\n| a | b |\n| x\\|y | 1 |",
        ),
        ("<table><tr><td>a<td><br><tr><td>c<td>d<br>e</table>", "| a |  |\n| c | d e |"),
        ("<table><tr><td>one</table>", "one"),
        (f"<table><tr><td><p>So {PROSE}</p><p>b.</p><td><ul><li>x</ul></table>", f"So {TEXT}\n\nb.\n\n- x"),
        ("<table><tr><td><table><tr><td>a<td>b<tr><td>c<td>d</table></table>", "| a | b |\n| c | d |"),
    ],
)
def test_tables_are_rows_and_layout_is_none(markup, written):
    assert "\n\n".join(parts(markup)) == written


def test_quotations():
    assert parts("<blockquote><p>So they said.</p><blockquote>And we<br>too.</blockquote></blockquote>") == [
        "> So they said.\n>\n> > And we\n> > too."
    ]
    assert parts("<blockquote><ul><li>a<li>b</ul></blockquote>") == ["> - a\n> - b"]


def test_line_breaks_end_lines_and_two_of_them_paragraphs():
    assert parts("<div>one<br>two<br><br>three <br>\n<br> four</div>") == ["one\ntwo", "three", "four"]


def test_right_to_left_and_chinese_stay_as_they_are():
    arabic = "بُني الجسر من الحجر على يد بنّائي المدينة، وكانوا يتقاضون أجورهم حبوبًا وصوفًا طوال سنوات عديدة حتى اكتمل البناء. "
    text = page(f'<main dir="rtl"><h2>الجسر</h2><p>{arabic * 3}</p><ul><li>قوس<li>دعامة</ul></main>').text
    assert text == f"## الجسر\n\n{(arabic * 3).strip()}\n\n- قوس\n- دعامة"
    chinese = "这座桥由镇上的石匠用石头建成，他们得到粮食和羊毛作为报酬。" * 6
    text = page(f"<main><h2>桥</h2><p>{chinese}</p><table><tr><td>高<td>三米<tr><td>长<td>十米</table></main>").text
    assert text == f"## 桥\n\n{chinese}\n\n| 高 | 三米 |\n| 长 | 十米 |"
    assert page(f"<p>{chinese}</p><p><ruby>漢<rt>かん</rt></ruby>字</p>").text.endswith("漢字")


def test_broken_markup_reads_as_in_a_browser():
    text = article(
        f"<p>{PROSE}<p>un<b>closed<h2>Half</h3><ul><li>a<li>b</div></ul><p>c</span> &amp; d &nbsp; e &lt;f&gt;<p>{PROSE}"
    )
    assert text.split("\n\n") == [TEXT, "unclosed", "## Half", "- a\n- b", "c & d e <f>", TEXT]


def test_furniture_is_left_out():
    text = page(
        '<header><nav><ul><li><a href="/">Home</a></ul></nav></header>'
        f'<main><article><h1>Bridge</h1><p>{PROSE}</p></article><ul><li><a href="/x">One more page</a><li><a href="/y">Next</a></ul>'
        '<div>Related: <a href="/z">Mill</a></div></main><section><h3>Sign up to our letter</h3><form></form></section>'
        '<div class="cookie-banner"><p>We use cookies.</p></div><footer><p>Imprint</p></footer>'
    ).text
    assert text == TEXT


@pytest.mark.parametrize(
    "furniture",
    [
        '<div class="post-share"><span>Tell your friends about this page, they will thank you for it.</span></div>',
        '<div id="reviews"><h2>What buyers say</h2><p>I bought it last year and am glad of it every day.</p></div>',
        '<ul class="topic-map"><li><a href="x">3 replies</a><li><a href="y">412 views</a></ul>',
        "<div><p>Our letter comes once a month, and you can leave it at any time.</p><input type=email><button>Go</button></div>",
        "<aside><p>Petra lives at the edge of a small town with two cats.</p></aside>",
        '<div role="complementary"><p>Petra lives at the edge of a small town.</p></div>',
        '<p class="byline">By Petra, 3 May 2026</p>',
        "<div>Posted on 3 May 2026, 14:12</div>",
        "<h2>Comments</h2>",
        '<p aria-hidden="true">A twin for the eye alone.</p>',
        "<button>Copy</button><select><option>one<option>two</select>",
        "<script>text</script><style>text</style><noscript>text</noscript><template><p>text</p></template>",
        '<svg><text>A drawing</text></svg><p style="display:none">never seen</p>',
    ],
)
def test_furniture_by_names_fields_and_links(furniture):
    assert article(f"<p>{PROSE}</p><p>{PROSE} Twice.</p>{furniture}") == f"{TEXT}\n\n{TEXT} Twice."


def test_a_name_that_holds_the_text_is_not_believed():
    """A wrapper named after what it has beside the text."""
    assert page(f'<div class="content-sidebar-wrap"><p>{PROSE}</p><div class="sidebar">About me.</div></div>').text == TEXT
    assert page(f'<form id="aspnetForm"><div class="comments"><p>{PROSE}</p></div></form>').text == TEXT


def test_short_posts_beside_a_long_one_stay():
    """One post of a thread may outweigh all others; hashed class names say nothing but that they are of one make."""
    posts = "".join(
        f'<div class="_p1"><div class="_x9"><p>{said}</p></div></div>' for said in (PROSE * 4, "Thank you.", "It works now.")
    )
    assert page(f'<div id="root"><div class="_bar">Board</div><div>{posts}</div></div>').text.endswith(
        "Thank you.\n\nIt works now."
    )


def test_remarks_go_where_a_text_is_left_and_stay_where_they_are_the_page():
    remarks = f'<div class="comments"><p>{PROSE}</p><p>{PROSE} Yes.</p></div>'
    assert page(f"<article><p>So {PROSE}</p></article>{remarks}").text == f"So {TEXT}"
    assert page(f"<p>Short.</p>{remarks}").text.endswith("Yes.")


def test_text_that_a_tab_or_a_button_opens_is_text():
    folded = '<h3><button aria-expanded="false">How do I join?</button></h3><div class="accordion" style="display:none"><p>Come in.</p></div>'
    assert parts(folded) == ["### How do I join?", "Come in."]


def test_anchors_of_headings_and_edit_links_go():
    markup = '<h2>Parts<a class="headerlink" href="#parts">¶</a></h2><p>Two.</p>'
    markup += '<h3>C<a href="#c">#</a><span class="mw-editsection">[<a href="e">edit</a>]</span></h3><p>Sharp.</p>'
    assert parts(markup) == ["## Parts", "Two.", "### C", "Sharp."]


def test_a_page_of_links_has_no_text():
    listed = "".join(f'<li><a href="/{n}">Article number {n}</a>' for n in range(40))
    assert page(f"<main><h1>All articles</h1><ul>{listed}</ul></main>").text == ""


def test_a_teaser_that_is_one_link_is_text():
    cards = "".join(
        f'<div><a href="/{n}"><h3>Mill {n}</h3><p>The mill number {n} stands by the river and still turns today.</p></a></div>'
        for n in range(5)
    )
    text = page(f"<main>{cards}</main>").text
    assert text.startswith("### Mill 0\n\nThe mill number 0 stands by the river")
    assert text.count("###") == 5


def test_headings_stay_only_where_text_follows():
    assert parts("<h2>Empty</h2><h2>Full</h2><h3>Also empty</h3><h3>Deep</h3><p>Text.</p>") == ["## Full", "### Deep", "Text."]
    assert not article(f"<p>{PROSE}</p><h2>Last</h2>").endswith("Last")


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
    assert bool(parts(f"<div>{line}</div>")) is kept


def test_a_paragraph_with_some_links_is_text_and_one_of_links_is_not():
    linked = " ".join(f'<a href="{n}">word{n}</a> and' for n in range(10))
    assert parts(f"<p>{linked} more words that are no links at all.</p>") != []
    assert parts('<p><a href="1">One</a> <a href="2">Two</a></p>') == []


def test_deep_nesting_and_odd_attributes():
    deep = "<div>" * 400 + f"<p>{PROSE}</p>" + "</div>" * 400
    assert page(deep).text == TEXT
    assert page(f'<div data-x="a > b" title="<p>no</p>"><p>{PROSE}</p></div>').text == TEXT


def test_plain_text_keeps_its_lines():
    assert parse_plain("a\r\nb\rc\n").text == "a\nb\nc"
    assert parse_plain("x", {"x-document-license": "CC%20BY%204.0"}).license_id == "CC-BY-4.0"


def test_trafilatura_finds_the_text_and_metadata_stay_ours():
    pytest.importorskip("trafilatura")
    body = f"<main><article><h1>Bridge</h1><p>{PROSE}</p><h2>Parts</h2><ul><li>the arch</li><li>the pier</li></ul><p>{PROSE} End.</p></article></main>"
    found = page(body, '<meta property="article:published_time" content="2026-05-03T10:00:00Z">', extractor="trafilatura")
    assert TEXT in found.text and "- the arch" in found.text and "## Parts" in found.text
    assert (found.title, found.published) == ("Bridge", "2026-05-03")
    assert page("", extractor="trafilatura").text == ""


def test_trafilatura_that_is_not_installed_is_a_users_error(monkeypatch):
    monkeypatch.setitem(sys.modules, "trafilatura", None)
    monkeypatch.setattr("llm_assets.stages.extract.html.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"llm_assets\[trafilatura\]"):
        check_extractor("trafilatura")
    check_extractor("resiliparse")
