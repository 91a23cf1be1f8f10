"""A page cut into tags: against the standard library's parser, on pages as a browser's parser serialises them."""

import random
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from resiliparse.parse.html import HTMLTree

from llm_assets.stages.extract import reader_state as R
from llm_assets.stages.extract import tags as T
from llm_assets.stages.extract.reader import read_layout
from llm_assets.stages.extract.scan import Scan

ATTRIBUTES = ("", ' class="x y"', ' id="a"', ' href="/x>y"', ' style="display:none"', " a=b'c", ' data-x="&quot;"')
TEXTS = ("", "word ", "&amp;", "a < b", "é漢😀", "\n\t", "\xa0", "\x01\x02\x0b")
NAMES = [*T.NAMES[T.CUSTOM + 1 :], "x-own", "unheard"]


def scan(html):
    """A page as the extractor sees it."""
    return Scan.of(HTMLTree.parse(html).document.html)


def soup(rng, pieces):
    """Tags, texts and what is neither, in any order."""
    made = []
    for _ in range(pieces):
        name = rng.choice(NAMES)
        tag = f"<{name}{rng.choice(ATTRIBUTES)}>" if rng.random() < 0.6 else f"</{name}>"
        made.append(rng.choice((tag, tag, tag, "<!-- a <b> -->", "< ", "<!x>")) + rng.choice(TEXTS))
    return "".join(made)


class Expected(HTMLParser):
    """Tags as the standard library finds them, without what is left out whole."""

    def __init__(self, markup):
        super().__init__(convert_charrefs=True)
        self.found, self._raw, self._depth = [], "", 0
        self.feed(markup)
        self.close()

    def handle_starttag(self, tag, attrs):
        if tag == self._raw:
            self._depth += 1
        elif not self._raw and tag in T.RAW:
            self._raw, self._depth = tag, 1
        elif not self._raw:
            self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        if self._raw:
            self._depth -= tag == self._raw
            self._raw = self._raw if self._depth else ""
        else:
            self.found.append((f"/{tag}", {}))


def name_of(tag):
    return ("/" if tag < 0 else "") + T.NAMES[abs(tag)]


def number_name(name):
    slash, bare = ("/", name[1:]) if name.startswith("/") else ("", name)
    return slash + (bare if bare in T.NUMBERS else "-" if "-" in bare else "?")


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**9), st.integers(0, 60))
def test_tags_are_those_of_the_standard_librarys_parser(seed, pieces):
    html = soup(random.Random(seed), pieces)
    # the standard library reads these otherwise, and knows no scripts in drawings
    for leaves in ("plaintext", "textarea", "title", "xmp", "noembed", "noframes", "iframe", "svg", "math"):
        html = html.replace(f"<{leaves}", "<p")
    page = scan(html)
    expected = Expected(page.data.decode()).found
    tags = [tag for tag in page.tags.tolist() if tag != T.NOTHING]
    assert [name_of(tag) for tag in tags] == [number_name(name) for name, _ in expected]
    places = [place for place, tag in enumerate(page.tags.tolist()) if tag != T.NOTHING]
    for place, (name, said) in zip(places, expected, strict=True):
        if not name.startswith("/"):
            inside = page.attributes(place)
            assert all(f"{key}=" in inside for key in said)
            matters = {key for key in said if key in T.ATTRIBUTES}
            plain = name in T.INLINE and name not in T.SMALL
            assert (page.keys[place] >= 0) == bool(matters and not plain)


@given(st.binary(max_size=300))
@settings(max_examples=100, deadline=None)
def test_whatever_the_bytes_are_the_tags_lie_in_order_and_are_read(data):
    """Not what a parser serialises: nothing is known of it but that it must not harm."""
    page = Scan.of(data.decode("latin-1").replace("\x00", "<p>"))
    stops = [0, *page.ends.tolist()]
    assert all(before <= start < end for before, start, end in zip(stops, page.starts, page.ends, strict=False))
    assert stops[-1] <= len(page.data)
    read_layout(page)


def test_unbalanced_mark_up_is_read_to_the_end():
    ranges = blocks = 0
    for seed in range(100):
        layout = read_layout(Scan.of(soup(random.Random(seed), 100)), menus=seed % 2 == 0)
        now = layout.state.now
        found = [*layout.state.regions[: now[R.N_REGIONS]], *layout.state.containers[: now[R.N_CONTAINERS]]]
        assert all(0 <= row[R.R_START] < row[R.R_END] <= layout.size for row in found)
        assert all(block.text for block in layout.blocks(np.arange(layout.size)))
        ranges, blocks = ranges + len(found), blocks + layout.size
    assert ranges > 20 and blocks > 20


def test_elements_that_are_left_out_may_hold_their_like():
    drawn = "<svg><svg><text>b</text></svg><!-- </svg> --></svg>"
    page = scan(f"<p>a{drawn}c<dialog><dialog>d</dialog><script>'</dialog>'</script>e</dialog>f")
    assert "".join(page.markup()).startswith("<body><p>ac</p>f")
    assert [block.text for block in read_layout(page).blocks(np.arange(2))] == ["ac", "f"]


def test_what_matters_of_attributes_is_kept_once():
    page = scan(
        '<p class="a" title="t">x</p><p title="u" class="a">y</p><p class="b">z</p><p title="v">w</p><i class="c">i</i><u class="c">'
    )
    keys = {
        text: page.key_texts[key] for text, key in zip("xyzw", page.keys[page.tags == T.P].tolist(), strict=True) if key >= 0
    }
    assert keys == {"x": b' class="a"', "y": b' class="a"', "z": b' class="b"'}
    assert page.key_texts == [b' class="a"', b' class="b"', b' class="c"']


def test_a_style_makes_all_attributes_matter():
    page = scan('<div data-tab="one" style="display:none">x</div>')
    assert page.key_texts == [b' data-tab="one" style="display:none"']


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<head><title>T</title></head> <!-- c --> <body class=x>b", '<body class="x">b</body></html>'),
        ("<head><script>'</head><body>'</script></head><body>b", "<body>b</body></html>"),
    ],
)
def test_the_body_begins_after_the_head(html, text):
    page = scan(html)
    assert "".join(page.markup()).strip() == text
    assert T.NAMES[page.tags[page.body]] == "body"


def test_links_with_a_word():
    page = scan(
        '<head><link rel=license href="/head"></head><body><a rel="license" href="/a">license</a><p title="license">'
        '<a href="/b" title="no">x</a><link rel="license" href="/c"><script><a href="license"></script>'
    )
    assert list(page.links_with(b"license")) == ['rel="license" href="/a"', 'rel="license" href="/c"']


def test_the_text_of_an_element_is_without_its_tags():
    page = scan("<h1>A <b>bold</b><svg><title>drawn</title></svg> one</h1><p>x")
    place = next(place for place, tag in page.noted if tag == T.H1)
    assert page.text_to(place, -T.H1) == "A bold one"
    assert page.text_to(place, -T.TABLE) == ""


@given(st.binary(max_size=60), st.text("ab", min_size=1, max_size=4), st.integers(0, 70))
def test_a_word_is_found_where_python_finds_it(data, word, start):
    page = Scan.of("<p>" + "".join("ab"[byte % 2] for byte in data))
    assert page.find(word.encode(), start) == page.data.find(word.encode(), start)
