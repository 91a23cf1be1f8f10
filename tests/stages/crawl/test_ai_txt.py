"""ai.txt: the grammar of robots.txt with kinds of files for paths."""

import pytest

from llm_assets.core.recipe.crawl import AI_AGENTS
from llm_assets.stages.crawl.ai_txt import parse_ai_txt

# What Spawning's generator writes for a site that allows its texts and nothing else, shortened.
TEXTS_ONLY = b"""# Spawning AI
User-Agent: *
Allow: *.txt
Allow: *.html
Disallow: *.jpg
Disallow: *.h   # headers of C
Disallow: *.c
Disallow: /
Disallow: *
"""


@pytest.mark.parametrize(
    ("path", "forbidden"),
    [
        ("/a.html", False),
        ("/a.html?page=2", False),
        ("/a.txt", False),
        ("/deep/a.jpg", True),
        ("/a.jpg?size=2", True),
        ("/a.h", True),
        ("/a.css", True),
        ("/no-extension", True),
    ],
)
def test_kinds_of_files(path, forbidden):
    rules = parse_ai_txt(TEXTS_ONLY, "llm-assets", AI_AGENTS)
    assert rules is not None
    assert rules.forbids(f"http://a.example{path}") is forbidden


def test_an_extension_is_the_whole_extension():
    rules = parse_ai_txt(b"\xef\xbb\xbfUser-Agent: *\nAllow: /\nDisallow: *.h\nDisallow: images/\n", "llm-assets", [])
    assert rules is not None
    forbidden = {
        path for path in ("/x.h", "/x.html", "/x.h.txt", "/images/1", "/x") if rules.forbids(f"http://a.example{path}")
    }
    assert forbidden == {"/x.h", "/images/1"}


def test_an_agent_that_is_named_counts():
    rules = parse_ai_txt(b"User-Agent: GPTBot\nDisallow: /members/\n", "llm-assets", AI_AGENTS)
    assert rules is not None
    assert rules.forbids("http://a.example/members/1")
    assert not rules.forbids("http://a.example/open")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"<!DOCTYPE html><html>Disallow: /</html>",
        b"\n <HTML>not found",
        b"# Our product\nIt is a tool for gardeners.\n",
        b"\xff\xfe\x00",
    ],
)
def test_what_is_no_such_file_forbids_nothing(data):
    assert parse_ai_txt(data, "llm-assets", AI_AGENTS) is None
