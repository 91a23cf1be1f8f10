"""The texts that ship with the demo, and what stands in for them where they are missing."""

import pytest

from llm_assets.core import embedded

wikipedia = pytest.mark.skipif(embedded.corpus_source() != "wikipedia", reason="the demo extra is not installed")


@wikipedia
def test_articles_are_sorted_distinct_and_whole():
    found = embedded.articles()
    assert len(found) > 20_000
    assert {article.lang for article in found} == {"en", "fr", "es"}
    assert len({(article.lang, article.slug) for article in found}) == len(found)
    assert [(a.lang, a.title) for a in found] == sorted((a.lang, a.title) for a in found)
    assert all(a.text == a.text.strip() and a.text and a.title and a.topic for a in found)
    assert embedded.articles() is found


@wikipedia
def test_slugs_stand_in_addresses_as_they_are():
    assert all(article.slug.isascii() and article.slug == article.slug.strip("-").lower() for article in embedded.articles())
    assert embedded.slugify("Été à l'Île-d'Yeu") == "ete-a-l-ile-d-yeu"
    assert embedded.slugify("漢字") == "6f22-5b57"
    assert embedded.slugify("…") == "2026"


@wikipedia
def test_credit_and_licence_of_wikipedia():
    assert "Wikipedia contributors" in embedded.credit()
    assert embedded.license_url() == embedded.WIKI_LICENSE


def test_without_the_package_pages_come_from_the_standard_library(monkeypatch):
    monkeypatch.setattr(embedded, "_package_folder", lambda package: None)
    assert embedded.corpus_source() == "stdlib"
    assert "Python" in embedded.credit()
    assert embedded.license_url() == embedded.PSF_LICENSE
    found = embedded.articles.__wrapped__()
    assert len(found) > 300
    assert {article.lang for article in found} == {"en"}
    assert len({article.slug for article in found}) == len(found)
    assert all(len(article.text) >= 200 for article in found)
    topics = {article.topic for article in found}
    assert len(topics) == 12
    assert embedded.UNCATEGORIZED in topics
    assert embedded.interface_strings.__wrapped__() == ()


@pytest.mark.skipif(not embedded.interface_strings(), reason="the demo extra is not installed")
def test_interface_strings_are_pairs_of_two_languages():
    pairs = embedded.interface_strings()
    assert len(pairs) > 300
    assert len({english for english, _ in pairs}) == len(pairs)
    assert all(english and french and english != french for english, french in pairs)
