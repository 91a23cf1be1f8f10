"""robots.txt and the other ways to say no (case B05)."""

import json

import pytest

from llm_assets.core.recipe.crawl import AI_AGENTS
from llm_assets.stages.crawl.optout import is_reserved, page_optouts, parse_tdmrep
from llm_assets.stages.crawl.robots import no_rules, parse_robots, product_token, unavailable


def allows(text: bytes, path: str) -> bool:
    return parse_robots(text, "llm-assets", AI_AGENTS).allows(f"http://a.example{path}")


def test_bom_longest_match_and_wildcards():
    """B05: what the standard library's parser gets wrong."""
    assert not allows(b"\xef\xbb\xbfUser-agent: *\nDisallow: /\n", "/x")
    longer = b"User-agent: *\nAllow: /\nDisallow: /private\n"
    assert allows(longer, "/x")
    assert not allows(longer, "/private/x")
    pdf = b"User-agent: *\nDisallow: /*.pdf$"
    assert not allows(pdf, "/a/b.pdf")
    assert allows(pdf, "/a/b.pdf.html")


def test_our_own_group_counts_before_the_general_one():
    text = b"User-agent: *\nDisallow: /\n\nUser-agent: llm-assets\nDisallow: /x\n"
    assert allows(text, "/y")
    assert not allows(text, "/x")
    assert product_token("llm-assets/0.1 (+https://c.example)") == "llm-assets"


def test_agents_of_model_makers_are_asked_only_where_named():
    robots = parse_robots(b"User-agent: gptbot\nUser-agent: CCBot\nDisallow: /members/\n", "llm-assets", AI_AGENTS)
    assert set(robots.ai_agents) == {"GPTBot", "CCBot"}
    assert robots.forbids_ai("http://a.example/members/1")
    assert robots.allows("http://a.example/members/1")
    assert not robots.forbids_ai("http://a.example/open")


def test_no_file_allows_all_and_no_answer_nothing():
    assert no_rules("a").allows("http://a.example/x")
    assert not unavailable("a", "robots_unavailable").allows("http://a.example/x")


def test_delay_and_sitemaps():
    robots = parse_robots(b"User-agent: *\nCrawl-delay: 2.5\nSitemap: http://a.example/s.xml\n", "x", [])
    assert (robots.delay_seconds, robots.sitemaps) == (2.5, ("http://a.example/s.xml",))


@pytest.mark.parametrize(
    ("headers", "html", "noai", "tdm"),
    [
        ({}, b"<p>noai</p>", False, False),
        ({"x-robots-tag": "noindex, NoAI"}, b"", True, False),
        ({"x-robots-tag": "otherbot: noimageai"}, b"", True, False),
        ({}, b'<META content="noai, noimageai" NAME="Robots">', True, False),
        ({}, b'<meta name="description" content="a page on noai">', False, False),
        ({"tdm-reservation": "1"}, b"", False, True),
        ({"tdm-reservation": "0"}, b"", False, False),
        ({}, b"<meta name=tdm-reservation content=1>", False, True),
    ],
)
def test_optouts_of_a_page(headers, html, noai, tdm):
    found = page_optouts(headers, html, True, False, False)
    assert (found.robots_ai, found.noai, found.tdm) == (False, noai, tdm)


@pytest.mark.parametrize(
    ("value", "noai"),
    [
        ("noai", True),
        ("otherbot: noai", False),
        ("GPTBot: noai", True),
        ("llm-assets: nosnippet, noimageai", True),
        ("otherbot: noindex, noai", False),
        ("otherbot: noindex, gptbot: noai", True),
        ("otherbot: noindex\nnoai", True),
        ("unavailable_after: 25 Jun 2027 15:00:00 PST, noai", True),
        ("otherbot: nofollow, *: noai", True),
        ("noairport", False),
    ],
)
def test_a_directive_counts_for_the_agent_that_it_names(value, noai):
    found = page_optouts({"x-robots-tag": value}, b"", False, False, False, agents=frozenset({"llm-assets", "gptbot"}))
    assert found.noai is noai


def test_metas_may_name_an_agent_too():
    for name, noai in (("gptbot", True), ("otherbot", False), ("robots", True)):
        payload = f'<meta name="{name}" content="noai">'.encode()
        assert page_optouts({}, payload, True, False, False, agents=frozenset({"gptbot"})).noai is noai


@pytest.mark.parametrize("in_file", [False, True])
@pytest.mark.parametrize("header", ["", "0", "1", "2", "yes", "0, 1"])
@pytest.mark.parametrize("meta", ["", "0", "1", "2"])
def test_tdmrep_the_page_supersedes_the_header_and_that_the_file(in_file, header, meta):
    """TDMRep, "Processing priority"; other values than 0 and 1 are unset, and what is unset changes nothing."""
    payload = f'<meta name="tdm-reservation" content="{meta}">'.encode() if meta else b"<p>"
    expected = {"0": False, "1": True, "0, 1": True}.get(header, in_file)
    expected = {"0": False, "1": True}.get(meta, expected)
    assert page_optouts({"tdm-reservation": header}, payload, True, in_file, False).tdm is expected


@pytest.mark.parametrize(
    ("pattern", "path", "fits"),
    [
        ("/a/", "/a/b", True),
        ("/a/", "/ab", False),
        ("/a/*.jpg", "/a/x/y.jpg?size=2", True),
        ("/a/*.jpg$", "/a/x/y.jpg?size=2", False),
        ("/*/then$", "/this/then", True),
        ("/*/then$", "/this/then/not", False),
        ("*", "/x", True),
        ("/a*b*c$", "/abbc", True),
        ("/ab*b$", "/ab", False),
        ("/path/foo-%24", "/path/foo-$", True),
        ("/caf\u00e9", "/caf%C3%A9/x", True),
        ("/[ab]", "/a", False),
        ("/x$", "/x", True),
    ],
)
def test_tdmrep_patterns_are_those_of_robots_txt(pattern, path, fits):
    rules = parse_tdmrep(json.dumps([{"location": pattern, "tdm-reservation": 1}]).encode())
    assert is_reserved(rules, path) is fits


def test_tdmrep_rules_that_say_nothing_are_passed_over_and_crafted_ones_are_quick():
    odd = [{"location": "/", "tdm-reservation": value} for value in (2, True, None, "x", 1.5)]
    assert parse_tdmrep(json.dumps(odd).encode()) == []
    assert parse_tdmrep(b"[" * 100_000) == []
    assert len(parse_tdmrep(json.dumps([{"location": "/", "tdm-reservation": 0}] * 5_000).encode())) == 1_000
    assert not is_reserved([("/" + "a*" * 20_000 + "b$", True)], "/" + "a" * 40_000)


def test_metas_of_images_do_not_count():
    assert not page_optouts({}, b"<meta name=robots content=noai>", False, False, False).noai


def test_tdmrep_first_match_counts():
    rules = parse_tdmrep(
        b'\xef\xbb\xbf[{"location": "/open/*", "tdm-reservation": 0}, {"location": "/", "tdm-reservation": 1}, 7]'
    )
    assert not is_reserved(rules, "/open/x")
    assert is_reserved(rules, "/other")
    assert is_reserved(parse_tdmrep(b'[{"location": "/a.html$", "tdm-reservation": 1}]'), "/a.html")
    assert not is_reserved(parse_tdmrep(b'[{"location": "/a.html$", "tdm-reservation": 1}]'), "/a.html.bak")
    assert parse_tdmrep(b"<html>not json") == parse_tdmrep(b'{"location": "/"}') == parse_tdmrep(b"\xff\xfe") == []
