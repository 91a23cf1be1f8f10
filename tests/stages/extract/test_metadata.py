"""Dates, licences, addresses and languages that pages declare."""

import pytest

from llm_assets.stages.extract.dates import full_date
from llm_assets.stages.extract.html import parse_html
from llm_assets.stages.extract.licenses import license_id

FETCHED = "2026-11-01T08:00:00+00:00"
BY_SA = "https://creativecommons.org/licenses/by-sa/4.0/"


def page(head="", body="<p>Text of the page.</p>", url="https://s.example/a/b"):
    return parse_html(f"<html><head>{head}</head><body>{body}</body></html>", url, FETCHED)


@pytest.mark.parametrize(
    ("said", "day"),
    [
        ("2026-05-03", "2026-05-03"),
        ("2026-05-03T23:59:00-08:00", "2026-05-03"),
        ("2026-5-3 10:00", "2026-05-03"),
        ("2026/05/03", "2026-05-03"),
        ("20260503", "2026-05-03"),
        ("20260503T101500Z", "2026-05-03"),
        ("03.05.2026", "2026-05-03"),
        ("Sun, 03 May 2026 10:00:00 GMT", "2026-05-03"),
        ("3 May 2026", "2026-05-03"),
        ("May 3rd, 2026", "2026-05-03"),
        ("Sept. 15, 2026", "2026-09-15"),
        ("2026年5月3日", "2026-05-03"),
        ("2026년 5월 3일", "2026-05-03"),
        ("10/08/2026", ""),  # October or August
        ("2026-05", ""),
        ("2026", ""),
        ("yesterday", ""),
        ("", ""),
        ("2026-02-30", ""),
        ("2026-13-01", ""),
        ("20261301", ""),
        ("0001-01-01T00:00:00", ""),
        ("1970-01-01", ""),
        ("1990-12-31", ""),
        ("2026-11-02", "2026-11-02"),  # already tomorrow where it was published
        ("2026-11-03", ""),
        ("2099-01-01", ""),
        ("12345678901", ""),
        ("2026-05-031", ""),
    ],
)
def test_dates_are_whole_plausible_days_or_nothing(said, day):
    assert full_date(said, FETCHED) == day


def test_without_a_time_of_capture_no_future_is_known():
    assert full_date("2099-01-01") == "2099-01-01"


@pytest.mark.parametrize(
    "head",
    [
        '<meta property="article:published_time" content="2026-05-03T10:00:00Z">',
        '<script type="application/ld+json">{"@type":"NewsArticle","datePublished":"2026-05-03"}</script>',
        '<script type="application/ld+json">{"@graph":[{"@type":"Person"},{"@type":["BlogPosting"],"datePublished":"2026-05-03"}]}</script>',
        '<script type="application/ld+json">[{"@type":"WebPage","mainEntity":{"@type":"Recipe","datePublished":"2026-05-03"}}]</script>',
        '<script type="application/ld+json">{"@type":"Article", "datePublished":"2026-05-03", broken</script>',
        '<meta name="DC.date.issued" content="2026-05-03">',
        '<meta name="dcterms.created" content="2026-05-03">',
        '<meta name="citation_publication_date" content="2026/05/03">',
        '<meta itemprop="datePublished" content="2026-05-03">',
        '<meta name="date" content="03.05.2026">',
        '<meta name="article:published_time" content="1970-01-01"><meta name="date" content="2026-05-03">',
    ],
)
def test_where_a_date_may_stand(head):
    assert page(head).published == "2026-05-03"


def test_dates_in_the_text_itself():
    byline = '<article><time datetime="2026-05-03T10:00">May</time><p>In <time datetime="2020-01-01">2020</time></p></article>'
    assert page(body=byline).published == "2026-05-03"
    assert page(body='<span itemprop="author datePublished" content="2026-05-03">x</span>').published == "2026-05-03"
    assert page(body='<div class="comment"><time datetime="2026-05-03">May</time></div>').published == ""


def test_the_deliberate_date_counts():
    said = '<script type="application/ld+json">{"@type":"Article","datePublished":"2026-05-04"}</script>'
    said += '<meta property="article:published_time" content="2026-05-03"><meta name="dc.date" content="2026-05-05">'
    assert page(said).published == "2026-05-03"
    remark = '<script type="application/ld+json">{"@type":"Article","comment":{"@type":"Comment","datePublished":"2026-05-04"}}</script>'
    assert page(remark).published == ""


@pytest.mark.parametrize(
    ("said", "short"),
    [
        (BY_SA, "CC-BY-SA-4.0"),
        ("http://creativecommons.org/licenses/by-nc-nd/3.0/de/", "CC-BY-NC-ND-3.0-DE"),
        ("https://creativecommons.org/licenses/by/4.0/deed.fr", "CC-BY-4.0"),
        ("//creativecommons.org/licenses/by/4.0/legalcode", "CC-BY-4.0"),
        ("https://creativecommons.org/licenses/by/", "CC-BY"),
        ("https://creativecommons.org/publicdomain/zero/1.0/", "CC0-1.0"),
        ("https://creativecommons.org/publicdomain/mark/1.0/deed.en", "CC-PDM-1.0"),
        ("CC BY-SA 4.0", "CC-BY-SA-4.0"),
        ("cc-by-nc-4.0", "CC-BY-NC-4.0"),
        ("Creative Commons BY 4.0 International", "CC-BY-4.0"),
        ("CC0", "CC0-1.0"),
        ("https://opensource.org/license/mit/", "MIT"),
        ("http://www.apache.org/licenses/LICENSE-2.0", "Apache-2.0"),
        ("https://www.gnu.org/licenses/fdl-1.3.html", "GFDL"),
        ("http://www.nationalarchives.gov.uk/doc/open-government-licence/version/3/", "OGL-UK-3.0"),
        ("https://s.example/terms", ""),
        ("https://creativecommons.org/about", ""),
        ("commitment", ""),
        ("", ""),
    ],
)
def test_licences_by_one_short_name(said, short):
    assert license_id(said) == short


def test_where_a_licence_may_stand():
    link = f'<a href="{BY_SA}">CC</a>'
    assert page(body=f'<a rel="license noopener" href="/by">x</a>{link}').license == "https://s.example/by"
    assert page(f'<link rel="license" href="{BY_SA}">').license_id == "CC-BY-SA-4.0"
    assert page(f'<meta name="DCTERMS.license" content="{BY_SA}">').license == BY_SA
    assert page(body=f"<footer>{link} {link}</footer>").license == BY_SA
    assert page('<meta name="dc.rights" content="All rights reserved">').license == ""


def test_links_to_several_licences_are_credits_of_pictures():
    both = f'<a href="{BY_SA}">one</a><a href="https://creativecommons.org/licenses/by/2.0/">two</a>'
    assert page(body=both).license == ""
    assert page(body='<a href="https://creativecommons.org/">about</a>').license == ""


def test_canonical_address_and_language():
    found = page('<link rel="canonical" href="/c?x=1">')
    assert (found.rel_canonical, found.html_lang) == ("https://s.example/c?x=1", "")
    assert page('<meta http-equiv="Content-Language" content="fr, en">').html_lang == "fr"
    assert page('<meta property="og:locale" content="pt_BR">').html_lang == "pt-BR"
    assert parse_html('<html xml:lang="de"><p>x', "https://s.example/").html_lang == "de"


def test_metas_outside_of_the_head_count_where_there_is_no_head():
    found = parse_html('<p>x</p><meta name="date" content="2026-05-03"><link rel="canonical" href="/c">', "https://s.example/")
    assert (found.published, found.rel_canonical) == ("2026-05-03", "https://s.example/c")


def test_json_that_is_deep_or_odd_is_no_date():
    for script in ("[" * 100_000, "null", "[1, null]", '{"@type": 3, "datePublished": 5}', '{"datePublished": "2026-05-03"}'):
        assert page(f'<script type="application/ld+json">{script}</script><!-- datePublished -->').published == ""
