"""Which kind of source an address is, by the recipe's rules."""

import pytest

from llm_assets.stages.crawl.kinds import SourceKinds

RULES = {"a.example": "code", "*.example/forum/*": "forum", "a.example/forum/books/*": "book", "own.invalid/*.epub": "book"}


@pytest.mark.parametrize(
    ("address", "kind"),
    [
        ("https://a.example/x", "code"),
        ("https://b.example/x", "web"),
        ("https://b.example/forum/1", "forum"),
        ("https://a.example/forum/1", "forum"),
        ("https://a.example/forum/books/1", "book"),
        ("https://own.invalid/shelf/a.epub", "book"),
        ("https://own.invalid/shelf/a.txt", "web"),
    ],
)
def test_the_longest_pattern_counts_then_the_host(address, kind):
    assert SourceKinds(RULES).of(address) == kind
    assert SourceKinds(dict(reversed(RULES.items()))).of(address) == kind


def test_the_crawl_comes_before_the_default():
    assert SourceKinds({}, "paper").of("https://a.example/", "own") == "paper"
    assert SourceKinds({}).of("https://a.example/", "own") == "own"
