"""The same verdicts, for the same reasons, as datatrove's own filters on 2,500 documents; what differs is named and counted.

Datatrove gets our words (runs of non-space) and our sentences; everything else of it is its own.
"""

import re
from collections import Counter

import polars as pl
import pytest

from benchmarks._datatrove import REASONS, SENTENCE
from llm_assets.core.recipe.cleaning import (
    C4Rules,
    CleanedCorpusConfig,
    FinewebRules,
    GopherQuality,
    GopherRepetition,
    UrlRules,
)
from llm_assets.stages.clean.filters import c4, fineweb, gopher, measured, repetition, url
from llm_assets.stages.clean.filters.base import judge
from tests.stages.clean.variants import spoilt, texts

OFF = {name: {"enabled": False} for name in ("url", "junk")}


@pytest.fixture(scope="module")
def documents():
    base = texts(1300) + texts(200, "fr")
    return base + spoilt(base[:1000])


@pytest.fixture(autouse=True)
def same_words(monkeypatch):
    for module in ("gopher_quality_filter", "gopher_repetition_filter", "fineweb_quality_filter"):
        monkeypatch.setattr(f"datatrove.pipeline.filters.{module}.split_into_words", lambda text, _=None: text.split())
    monkeypatch.setattr(
        "datatrove.pipeline.filters.c4_filters.split_into_sentences", lambda text, _=None: SENTENCE.findall(text)
    )


def frame_of(documents):
    return pl.DataFrame({"text": documents, "lang": ["en"] * len(documents)})


def ours(documents, rules, **config):
    config = CleanedCorpusConfig(**{**OFF, "c4": {"enabled": False}, **config})
    return judge(measured(frame_of(documents), config), rules)["rule"].to_list()


def theirs(filter_, documents):
    from datatrove.data import Document

    found = []
    for number, text in enumerate(documents):
        document = Document(text=text, id=str(number))
        result = filter_.filter(document)
        found.append(("kept" if result is True else result[1], document.text))
    return found


def reasons(name, never=()):
    """datatrove's reasons and our rules, of one filter; without those for which no document is here."""
    return {"kept": "kept", **{reason: rule for reason, rule in REASONS[name].items() if reason not in never}}


def compare(documents, mine, their_verdicts, names):
    """Documents on which the two differ in verdict or reason; each rule must have fired."""
    fired = Counter(names[reason] for reason, _ in their_verdicts)
    assert set(names.values()) == set(fired), f"never fired: {set(names.values()) - set(fired)}"
    return [(t, a, names[b]) for t, a, (b, _) in zip(documents, mine, their_verdicts, strict=True) if a != names[b]]


def test_gopher_quality(documents):
    from datatrove.pipeline.filters import GopherQualityFilter
    from datatrove.utils.text import PUNCTUATION_SET

    names = reasons("Gopher quality", never=["gopher_long_doc"])
    mine = ours(documents, gopher.rules(GopherQuality(min_words=50)))
    different = compare(documents, mine, theirs(GopherQualityFilter(), documents), names)
    for text, my_rule, their_rule in different:
        words = text.split()
        stops = set(gopher.STOP_WORDS["en"])
        # "The" counts as a stop word here, and not there.
        cased = their_rule == "gopher_stop_words" and my_rule == "kept" and len({w.lower() for w in words} & stops) >= 2
        # A word such as "€" or "•" is no word of letters or numbers here; there it isn't on the list of punctuation.
        listed = any(not any(c.isalnum() for c in w) and any(c not in PUNCTUATION_SET for c in w) for w in words)
        assert cased or listed, (my_rule, their_rule, text[:300])
    assert 0 < len(different) < 0.01 * len(documents)


def test_gopher_repetition(documents):
    from datatrove.pipeline.filters import GopherRepetitionFilter

    names = reasons("Gopher repetition")
    verdicts = theirs(GopherRepetitionFilter(), documents)
    fired = {reason for reason, _ in verdicts}
    assert len(fired) >= 11  # so many of the fourteen fire
    names = {reason: rule for reason, rule in names.items() if reason in fired}
    config = GopherRepetition(single_ngrams=True)
    assert compare(documents, ours(documents, repetition.rules(config), gopher_repetition=config), verdicts, names) == []
    # By default an n-gram that occurs once is no repetition, and that is all that differs.
    different = compare(documents, ours(documents, repetition.rules(GopherRepetition())), verdicts, names)
    for text, my_rule, their_rule in different:
        n, words = int(re.search(r"\d+", their_rule)[0]), text.split()
        assert their_rule.startswith("repetition_top_"), (my_rule, their_rule, text[:300])
        assert len({tuple(words[i : i + n]) for i in range(len(words) - n + 1)}) == len(words) - n + 1
    assert different


def test_fineweb(documents):
    from datatrove.pipeline.filters import FineWebQualityFilter

    names = reasons("FineWeb")
    config = FinewebRules()
    mine = ours(documents, fineweb.rules(config))
    stock = FineWebQualityFilter(stop_chars=tuple(config.end_characters))
    assert compare(documents, mine, theirs(stock, documents), names) == []


PUBLISHED = C4Rules(
    drop_unterminated_lines=True, end_characters=".?!\"'", min_words_per_line=3, remove_citations=True, min_sentences=5
)


def test_c4_verdicts_and_texts(documents):
    from datatrove.pipeline.filters import C4QualityFilter

    names = reasons("C4")
    longer = ["\n".join(documents[n : n + 3]) for n in range(0, len(documents) - 3, 2)] + documents
    config = CleanedCorpusConfig(**OFF, c4=PUBLISHED)
    frame = measured(frame_of(longer), config)
    mine = judge(frame, c4.rules(PUBLISHED))["rule"].to_list()
    verdicts = theirs(C4QualityFilter(), longer)
    assert compare(longer, mine, verdicts, names) == []
    kept = [(a, b) for a, (verdict, b) in zip(frame["text"], verdicts, strict=True) if verdict == "kept"]
    assert len(kept) > 300
    assert [a for a, b in kept if a != b] == []


@pytest.mark.filterwarnings("ignore:The 'registered_domain' property:DeprecationWarning")
def test_url(monkeypatch):
    import tldextract
    from datatrove.data import Document
    from datatrove.pipeline.filters import URLFilter

    offline = tldextract.TLDExtract(suffix_list_urls=(), cache_dir=None)
    monkeypatch.setattr(tldextract, "TLDExtract", lambda: offline)
    lists = {"domains": ["spam.example.com", "bad.org"], "urls": ["http://fine.net/one"], "hard_words": ["porn"]}
    lists |= {"soft_words": ["casino", "free", "bonus"], "subwords": ["sexcam"]}
    config = UrlRules(own_lists=False, **lists)
    stock = URLFilter(
        extra_domains=lists["domains"],
        extra_urls=lists["urls"],
        banned_words=lists["hard_words"],
        soft_banned_words=lists["soft_words"],
        banned_subwords=lists["subwords"],
        use_integrated_lists=False,
    )
    stock.banned_subwords_automaton.make_automaton()
    hosts = [
        "spam.example.com",
        "example.com",
        "bad.org",
        "www.bad.org",
        "fine.net",
        "notbad.org",
        "porn.net",
        "free-casino.io",
    ]
    paths = [
        "",
        "one",
        "two/porn",
        "popcorn",
        "free/bonus",
        "free",
        "x-sexcam-y",
        "sexcamera",
        "a/casino?x=free",
        "pornography",
    ]
    urls = [f"http://{host}/{path}" for host in hosts for path in paths]
    names = {
        "kept": "kept",
        "domain": "url_domain",
        "subdomain": "url_domain",
        "url": "url_listed",
        "hard_blacklisted": "url_hard_word",
        "soft_blacklisted": "url_soft_words",
        "blacklisted_subword": "url_subword",
    }
    verdicts = [stock.filter(Document(text="", id="x", metadata={"url": address})) for address in urls]
    frame = pl.DataFrame({"url": urls, "host": [address.split("/")[2] for address in urls]})
    mine = judge(url.add_measures(frame, config), url.rules(config))["rule"].to_list()
    assert mine == [names["kept" if found is True else found[1]] for found in verdicts]
    assert set(mine) == set(names.values())
    # What is meant otherwise: subdomains at any depth, and capitals.
    deeper = pl.DataFrame(
        {"url": ["http://a.b.spam.example.com/", "http://fine.net/PORN"], "host": ["a.b.spam.example.com", "fine.net"]}
    )
    assert judge(url.add_measures(deeper, config), url.rules(config))["rule"].to_list() == ["url_domain", "url_hard_word"]
    assert [stock.filter(Document(text="", id="x", metadata={"url": address})) for address in deeper["url"]] == [True, True]
