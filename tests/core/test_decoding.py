"""Charsets: who is believed, in which order, and what is refused."""

import codecs

import pytest

from llm_assets.core.decoding import decode, detect

HEAD = b'<link rel="stylesheet" href="/a/b.css">\n' * 500


def text(payload, content_type=""):
    found = decode(payload, content_type)
    return None if found is None else (found.text, found.source)


def test_meta_is_honoured():
    """Case B08 (a)."""
    assert decode(b'<meta charset="iso-8859-1"><p>the majestic m\xf6\xf6se').text.endswith("the majestic mööse")


def test_a_long_ascii_head_is_no_evidence():
    """Case B08 (b): 20 kB of ASCII, then four bytes of GB18030, and nobody says which."""
    assert decode(HEAD + b"\xd6\xd0\xce\xc4").text.endswith("中文")


@pytest.mark.parametrize(
    ("charset", "sample"),
    [
        ("gb18030", "中文网页的内容是这样的，很长。"),
        ("shift_jis", "日本語のテキストはここにあります"),
        ("windows-1251", "Это русский текст о старом мосте"),
        ("koi8-r", "Это русский текст о старом мосте"),
        ("euc_kr", "한국어 텍스트가 여기에 있습니다"),
    ],
)
def test_undeclared_charsets_are_detected(charset, sample):
    assert decode(HEAD + sample.encode(charset)).text.endswith(sample)


def test_order_mark_then_http_then_meta():
    latin = "<meta charset=utf-8>café".encode("latin-1")
    assert text(latin, "text/html; charset=ISO-8859-1") == ("<meta charset=utf-8>café", "http")
    assert decode(latin, "text/html; charset=ISO-8859-1").charset == "cp1252"  # as the web means it
    marked = codecs.BOM_UTF8 + "<meta charset=latin1>café".encode()
    assert text(marked, "text/html; charset=latin1") == ("<meta charset=latin1>café", "bom")
    assert text("<p>café".encode("utf-16-le"), "")[1] != "bom"
    assert text(codecs.BOM_UTF16_LE + "<p>café".encode("utf-16-le")) == ("<p>café", "bom")


def test_a_declaration_that_lies_is_passed_over():
    assert text('<meta charset="ascii"><p>中文网页'.encode(), "text/html; charset=us-asci")[0].endswith("中文网页")
    assert text("<p>café".encode("latin-1") * 3, "text/html; charset=utf-8")[1] == "detector"
    # a declaration that could be read as ASCII is not UTF-16
    assert text('<meta charset="utf-16"><p>é'.encode())[0].endswith("<p>é")


def test_a_stray_byte_does_not_change_the_charset():
    found = decode("Un café à la carte. ".encode() * 200 + b"\xff" + " déjà vu".encode(), "text/html; charset=utf-8")
    assert (found.charset, found.replaced) == ("utf-8", 1)
    assert "café" in found.text


def test_what_nothing_decodes_is_refused():
    """Case B08: never runs of U+FFFD."""
    assert (
        decode(bytes(range(128, 256)) * 40, "text/html; charset=utf-8") is None
        or "\ufffd" not in decode(bytes(range(128, 256)) * 40, "text/html; charset=utf-8").text
    )


def test_few_single_byte_letters_are_not_taken_for_chinese():
    assert detect("the majestic möose".encode("latin-1")) != "gb18030"
    assert decode(b"plain ascii").charset == "utf-8"
