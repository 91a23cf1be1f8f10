"""Canonical URLs, document ids, surrogates."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_assets.core.documents import canonical_url, doc_id, payload_digest, replace_surrogates


@pytest.mark.parametrize(
    ("given_url", "expected"),
    [
        ("HTTP://Example.ORG:80/a#frag", "http://example.org/a"),
        ("https://example.org:443", "https://example.org/"),
        ("https://example.org:8443/x", "https://example.org:8443/x"),
        ("http://example.org/?b=2&a=1&utm_source=x&fbclid=y", "http://example.org/?a=1&b=2"),
        ("http://example.org./%7Euser/%c3%a9", "http://example.org/~user/%C3%A9"),
        ("http://[2001:DB8::1]/", "http://[2001:db8::1]/"),
    ],
)
def test_one_spelling(given_url, expected):
    assert canonical_url(given_url) == expected


@pytest.mark.parametrize("bad", ["/relative", "ftp://example.org/", "http:///nohost", "javascript:alert(1)"])
def test_other_schemes_and_relative_urls_are_refused(bad):
    with pytest.raises(ValueError, match="URL"):
        canonical_url(bad)


@given(st.text(alphabet=st.characters(codec="utf-8", exclude_characters="#?"), max_size=30))
def test_canonical_is_idempotent(path):
    try:
        once = canonical_url("http://example.org/" + path)
    except ValueError:
        return
    assert canonical_url(once) == once


def test_doc_id_depends_on_url_time_and_payload_only():
    moment = datetime(2026, 11, 1, 12, tzinfo=UTC)
    digest = payload_digest(b"x")
    base = doc_id("http://example.org/", moment, digest)
    assert len(base) == 32
    assert base == doc_id("http://example.org/", moment.astimezone(timezone(timedelta(hours=5))), digest)
    assert base != doc_id("http://example.org/", moment + timedelta(microseconds=1), digest)
    assert base != doc_id("http://example.org/", moment, payload_digest(b"y"))
    with pytest.raises(ValueError, match="time zone"):
        doc_id("http://example.org/", datetime(2026, 11, 1), digest)


def test_only_the_lone_surrogate_is_replaced_and_counted():
    """Case B14: one bad code point never loses the write."""
    assert replace_surrogates("half \ud835 pair") == ("half \ufffd pair", 1)
    assert replace_surrogates("plain") == ("plain", 0)
    assert replace_surrogates("café 😀") == ("café 😀", 0)
