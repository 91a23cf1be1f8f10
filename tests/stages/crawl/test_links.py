"""Addresses on pages, whatever state the HTML is in."""

from hypothesis import given
from hypothesis import strategies as st

from llm_assets.core.tags import attributes
from llm_assets.stages.crawl.links import page_links, resolve, sitemap_locations

URL = "http://a.example/dir/page"


def found(html: str) -> list[str]:
    return [url for url, _ in page_links(html.encode(), URL)]


def test_links_of_all_kinds_in_order_and_once():
    html = """<a href="/x?b=2&amp;a=1">1</a> <A HREF='y'>2</A> <img src=z.png> <area href="//b.example/q">
    <iframe src="http://c.example"></iframe> <link rel="next" href="?page=2"> <link rel="stylesheet" href="s.css">
    <a href="/x?b=2&a=1&utm_source=feed#part">again</a> <meta http-equiv="refresh" content="0; url=/moved">"""
    assert found(html) == [
        "http://a.example/x?b=2&a=1",
        "http://a.example/dir/y",
        "http://a.example/dir/z.png",
        "http://b.example/q",
        "http://c.example/",
        "http://a.example/dir/page?page=2",
        "http://a.example/moved",
    ]


def test_comments_and_scripts_hold_no_links():
    html = "<!-- <a href='/no1'> --><SCRIPT>'<a href=\"/no2\">'</SCRIPT><a href='/yes'>y</a><!-- <a href='/no3'>"
    assert found(html) == ["http://a.example/yes"]


def test_base_changes_what_relative_means():
    assert found('<base href="/other/"><a href="p">p</a>') == ["http://a.example/other/p"]
    assert found('<base href="http://[bad"><a href="p">p</a>') == ["http://a.example/dir/p"]


def test_unfinished_html_gives_what_it_has():
    assert found('<div><a href="/one">one<p><a href=/two>two<a href="/three') == [
        "http://a.example/one",
        "http://a.example/two",
    ]


def test_what_is_no_address_is_passed_over():
    html = '<a href="javascript:x()"><a href="mailto:a@b"><a href="data:text/html,x"><a href="http://[bad"><a href="#top">'
    html += '<a href="">'
    html += '<a href="http://a:port/"><a href="http://user:pw@a.example/"><a href="ftp://a.example/">'
    assert found(html) == []


def test_addresses_are_ascii_and_carry_no_line_ends():
    url, canonical = resolve(URL, "/caf\u00e9 au lait\r\nHost: evil?q=\u00e9") or ("", "")
    assert url == "http://a.example/caf%C3%A9%20au%20laitHost:%20evil?q=%C3%A9"
    assert url.isascii()
    assert canonical.startswith("http://a.example/caf%C3%A9%20au%20lait")
    assert resolve(URL, "http://b\u00fccher.example/x") == ("http://xn--bcher-kva.example/x", "http://xn--bcher-kva.example/x")
    assert resolve(URL, "/" + "x" * 3_000) is None


def test_hostile_pages_take_linear_time():
    """Patterns that look again and again at the same bytes would need minutes for these."""
    for unit in (b"<a ", b"<a href", b"<!--", b"<meta " + b"x" * 3_000, b"<script"):
        assert page_links(unit * (2_000_000 // len(unit)), URL) == []
    assert sitemap_locations(b"<loc>" + b" " * 2_000_000) == ([], False)


def test_attributes_first_wins_and_entities_are_decoded():
    assert attributes(b"<a HREF='x&amp;y' href=z title=\"a > b\">") == {"href": "x&y", "title": "a > b"}


def test_sitemaps_are_read_without_a_parser():
    urlset = b"<urlset><url><loc> http://a.example/1?x=1&amp;y=2 </loc></url><url><loc><![CDATA[http://a.example/2]]></loc></url></urlset>"
    assert sitemap_locations(urlset) == (["http://a.example/1?x=1&y=2", "http://a.example/2"], False)
    assert sitemap_locations(b"<sitemapindex><sitemap><loc>http://a.example/s.xml</loc>")[1] is True


@given(st.text(max_size=200))
def test_any_reference_gives_a_clean_address_or_none(reference):
    resolved = resolve(URL, reference)
    if resolved:
        assert resolved[0].isascii()
        assert not set(resolved[0]) & set(" \r\n\t#")
        assert resolve(resolved[0], resolved[0]) == resolved
