"""Captions: what pages say of an image, cleaned; which page was met first plays no part."""

import itertools

import pytest

from llm_assets.stages.images.captions import Caption, Captions, cleaned, images_of
from llm_assets.stages.images.records import as_utf8

SITE = "http://site.example"
IMAGE = f"{SITE}/a.png"


def said(*pages, address=IMAGE):
    """The caption after reading pages (number, HTML)."""
    texts = Captions({IMAGE, f"{SITE}/b.png"}, 500)
    for number, html in pages:
        texts.read(html if isinstance(html, bytes) else html.encode(), f"{SITE}/p/{number}.html")
    return texts.of(address)


@pytest.mark.parametrize(
    ("html", "caption"),
    [
        ('<img src="/a.png" alt="A red  sun &amp; sky">', ("A red sun & sky", "alt")),
        ("<IMG SRC=/a.png ALT='Ein Hügel'>", ("Ein Hügel", "alt")),
        ('<img alt="An arrow > and < too" class=x src="../a.png"/>', ("An arrow > and < too", "alt")),
        ('<img data-src="/a.png" src="data:image/gif;base64,R0lGOD" alt="Loaded late">', ("Loaded late", "alt")),
        ('<base href="http://site.example/"><img src="a.png" alt="By the base">', ("By the base", "alt")),
        ('<img src="/a.png#top" title="Only a title">', ("Only a title", "title")),
        (
            '<figure><a href="#"><img src="/a.png" alt=""></a><figcaption>The <b>old</b> bridge<br>at dusk</figcaption></figure>',
            ("The old bridge at dusk", "figcaption"),
        ),
        ('<figure><figcaption>First said</figcaption><img src="/a.png" title="t"></figure>', ("First said", "figcaption")),
        ('<figure><img src="/a.png" alt="IMG_2041.jpg"><figcaption>A goat</figcaption></figure>', ("A goat", "figcaption")),
        ('<figure><img src="/a.png"></figure><figcaption>Of nothing</figcaption>', ("", "")),
        ('<img src="/a.png"><figure><figcaption>Of the other</figcaption><img src="/b.png"></figure>', ("", "")),
        ('<!-- <img src="/a.png" alt="Commented out"> --><script>"<img src=/a.png alt=no>"</script>', ("", "")),
        ('<image src="/a.png" alt="No img"><img-box src="/a.png" alt="Nor this">', ("", "")),
        ('<img src="http://[bad/a.png" alt="x y"><img src="" alt="y z">', ("", "")),
    ],
)
def test_what_a_page_says(html, caption):
    found = said((1, html))
    assert (found.text, found.kind) == caption
    assert found.page_url == (f"{SITE}/p/1.html" if found.text else "")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("  A\tgoat\n on a  hill ", "A goat on a hill"),
        ("A\x00goat\x1b[2J", "A goat [2J"),
        ("Das Café", "Das Café"),
        ("東京", "東京"),
        ("half \ud835 pair", "half \ufffd pair"),
        ("goat.JPG", ""),
        ("img/2019/goat_final.webp", ""),
        ("IMG_2041", ""),
        ("DSC-0031 (2)", ""),
        ("Image 3", ""),
        ("photo", ""),
        ("placeholder", ""),
        ("https://site.example/a", ""),
        ("www.site.example", ""),
        ("data:image/png;base64,AA", ""),
        ("1234 - 5", ""),
        ("…", ""),
        ("", ""),
        ("Image of a goat", "Image of a goat"),
        ("Photo: NASA 2019", "Photo: NASA 2019"),
    ],
)
def test_captions_are_one_line_and_say_something(text, shown):
    assert cleaned(text, 500) == shown


def test_long_captions_are_cut_at_a_word():
    assert cleaned("one two three", 9) == "one two"
    assert cleaned("one two three", 7) == "one two"
    assert cleaned("x" * 50, 10) == "x" * 10


def test_of_many_pages_the_best_kind_then_the_most_then_the_longest_counts_in_any_order():
    pages = [
        (1, '<img src="/a.png" title="A title that is very long indeed">'),
        (2, '<img src="/a.png" alt="A goat">'),
        (3, '<img src="/a.png" alt="A goat">'),
        (4, '<img src="/a.png" alt="The goat of the neighbours">'),
        (5, '<img src="/b.png" alt="Not this image">'),
    ]
    for order in itertools.permutations(pages):
        assert said(*order) == Caption("A goat", "alt", f"{SITE}/p/2.html")
    assert said(*pages[2:]).text == "The goat of the neighbours"


def test_a_page_counts_once_however_often_it_says_it():
    html = '<img src="/a.png" alt="A goat">' * 3
    assert (
        said((1, html), (2, '<img src="/a.png" alt="Two goats">'), (3, '<img src="/a.png" alt="Two goats">')).text
        == "Two goats"
    )


def test_several_addresses_of_one_image_are_read_together():
    texts = Captions({IMAGE, f"{SITE}/b.png"}, 500)
    texts.read(b'<img src="/b.png" alt="A hill">', SITE)
    assert texts.of(IMAGE) == Caption()
    assert texts.of(IMAGE, f"{SITE}/b.png").text == "A hill"


def test_what_says_nothing_is_counted():
    texts = Captions({IMAGE}, 500)
    texts.read(b'<img src="/a.png" alt="a.png" title="image">', SITE)
    assert texts.refused == 2


@pytest.mark.parametrize(
    ("kind", "charset", "head"),
    [
        ("text/html", "utf-8-sig", ""),
        ("text/html; charset=iso-8859-1", "cp1252", '<meta charset="utf-8">'),
        ("text/html", "iso-8859-1", '<meta charset="iso-8859-1">'),
        ("text/html; charset=nonsense", "gb18030", '<meta charset="gb18030">'),
        ("text/html; charset=utf-16-le", "utf-16-le", ""),
        ("text/html; charset=utf-8", "utf-8", ""),
    ],
)
def test_captions_are_read_in_the_charset_of_the_page(kind, charset, head):
    """Case B08, for captions: mark, then header, then meta."""
    page = as_utf8({"content-type": kind}, f'{head}<img src="/a.png" alt="the majestic möose">'.encode(charset))
    assert said((1, page)).text == "the majestic möose"


def test_a_header_that_is_wrong_is_not_believed():
    """Case B08, for captions: bytes that a declared charset can't decode mean that it is another."""
    page = '<img src="/a.png" alt="Старый мост стоит посреди города">'.encode("windows-1251")
    assert said((1, as_utf8({"content-type": "text/html; charset=utf-8"}, page))).text == "Старый мост стоит посреди города"


def test_a_page_in_no_charset_has_no_captions():
    assert as_utf8({"content-type": "text/html; charset=utf-8"}, bytes(range(128, 256)) * 3 + b"\x00\xff") is None


@pytest.mark.parametrize(
    "html",
    [
        b"<svg><template>\n<img src=/a.png alt='Still here'>",
        b"<img " * 200_000,
        b'<img alt="' * 200_000,
        b"<img alt='\"" * 100_000,
        b"<figure>" * 200_000 + b"<figcaption>",
        b"<figcaption>" * 200_000,
        b"<img src='/a.png' alt='" + b"x" * 3_000_000 + b"'>",
    ],
)
def test_no_page_stops_the_reader(html):
    """Case B10, for captions: no native parser, and no pattern that looks at a byte again and again."""
    assert len(list(images_of(html))) <= 2_000
