"""The rules: the same verdicts as datatrove's own filters on real pages, and each rule at its edge."""

import dataclasses

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_assets.core import embedded
from llm_assets.core.recipe.cleaning import (
    C4Rules,
    CleanedCorpusConfig,
    FinewebRules,
    GopherQuality,
    GopherRepetition,
)
from llm_assets.stages.clean.filters import c4, fineweb, gopher, ngrams, repetition, rules_of
from llm_assets.stages.clean.filters.base import Rule, judge, prepare, verdict_of

PLAIN = (
    "The river is long and it flows to the sea. People have lived near it for many years, and they fish with nets of rope.\n"
)
TEXTS = [a.text for a in embedded.articles() if a.lang == "en"][:600]
NASTY = [
    "- one of the items\n" * 30,
    "word " * 60,
    "# " * 40 + PLAIN,
    (PLAIN + "and so on...\n") * 3,
    "The of and to 12 34 56 78 90 12 34 56 78 90 12 34 56 78 90 11 22 33",
    "a b c d e f g h i j k l m n o p q r s t u v w x y z the of and",
    PLAIN * 4,
    "line\n" * 50,
    PLAIN + "\n\n" + PLAIN,
]


def frame_of(texts, lang="en"):
    return repetition.add_repetition(prepare(pl.DataFrame({"text": texts, "lang": [lang] * len(texts)})))


@pytest.fixture(autouse=True)
def spaces_are_word_borders(monkeypatch):
    """Datatrove's filters get our words (runs of non-space), so that only the rules are compared."""
    for module in ("gopher_quality_filter", "gopher_repetition_filter", "fineweb_quality_filter"):
        monkeypatch.setattr(f"datatrove.pipeline.filters.{module}.split_into_words", lambda text, _=None: text.split())


def verdicts(theirs, texts):
    from datatrove.data import Document

    found = []
    for number, text in enumerate(texts):
        result = theirs.filter(Document(text=text, id=str(number)))
        found.append(result is True)
    return found


def test_gopher_quality_agrees_with_datatrove():
    from datatrove.pipeline.filters import GopherQualityFilter

    texts = TEXTS + NASTY
    config = GopherQuality(min_words=50)
    mine = judge(frame_of(texts), gopher.rules(config))["kept"].to_list()
    theirs = verdicts(GopherQualityFilter(min_doc_words=50), texts)
    # Stop words are compared in lower case here and as written there; nothing else may differ.
    different = [t for t, a, b in zip(texts, mine, theirs, strict=True) if a != b]
    assert all(judge(frame_of([t]), gopher.rules(config))["kept"][0] for t in different)
    assert len(different) <= len(texts) * 0.01
    assert 0.1 < np.mean(mine) < 0.9


def test_fineweb_agrees_with_datatrove():
    from datatrove.pipeline.filters import FineWebQualityFilter

    texts = TEXTS + NASTY
    mine = judge(frame_of(texts), fineweb.rules(FinewebRules()))["kept"].to_list()
    assert mine == verdicts(FineWebQualityFilter(stop_chars=tuple(".!?…。！？؟\"'”»:;)")), texts)
    assert not all(mine)


def test_repetition_agrees_with_datatrove_but_for_ngrams_that_occur_once():
    from datatrove.pipeline.filters import GopherRepetitionFilter

    texts = [t for t in TEXTS if len(t.split()) >= 80] + NASTY
    mine = judge(frame_of(texts), repetition.rules(GopherRepetition()))["kept"].to_list()
    theirs = verdicts(GopherRepetitionFilter(), texts)
    different = [t for t, a, b in zip(texts, mine, theirs, strict=True) if a != b]
    assert len(different) <= len(texts) * 0.01, [t[:100] for t in different]
    assert not all(mine)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.sampled_from(["a", "bb", "ccc", "dd"]), max_size=60))
def test_ngram_counts_equal_a_plain_count(words):
    hashes = np.array([hash(w) & 0xFFFF_FFFF_FFFF for w in words], dtype=np.uint64)
    lengths = np.array([len(w) for w in words], dtype=np.int64)
    with np.errstate(over="ignore"):
        found = ngrams.repeated_chars(hashes, lengths, np.array([0, len(words)]))[0]
    for column, n in enumerate(range(2, 5)):
        grams = [" ".join(words[i : i + n]) for i in range(len(words) - n + 1)]
        counts = {g: grams.count(g) for g in grams}
        top = max(counts.values(), default=1)
        expected = max((len(g) * c for g, c in counts.items() if c == top), default=0) if top > 1 else 0
        assert found[column] == expected
    for column, n in enumerate(range(5, 11), 3):
        seen, i, chars = set(), 0, 0
        while i + n <= len(words):
            gram = tuple(words[i : i + n])
            if gram in seen:
                chars, i = chars + sum(map(len, gram)), i + n
            else:
                seen.add(gram)
                i += 1
        assert found[column] == chars


def test_a_verdict_has_value_and_threshold():
    verdict = verdict_of("The end of it and that.", "en", rules_of(CleanedCorpusConfig()))
    assert (verdict.kept, verdict.rule, verdict.value, verdict.threshold) == (False, "gopher_min_words", 6, 20)
    assert verdict_of(PLAIN * 1, "en", rules_of(CleanedCorpusConfig())).kept


def test_a_language_without_stop_words_is_not_judged_by_them():
    text = (
        "Der Fluss fliesst langsam durch ein weites Tal, bevor er nach vielen Tagen endlich das grosse Meer im Norden erreicht. "
        * 1
    )
    rules = [r for r in gopher.rules(GopherQuality(min_words=5)) if r.name == "gopher_stop_words"]
    assert verdict_of(text, "de", rules).kept
    assert verdict_of(text, "en", rules).rule == "gopher_stop_words"


def test_the_first_broken_rule_is_the_verdict():
    rules = [
        Rule("one", pl.lit(5), "at_most", 9),
        Rule("two", pl.lit(3), "at_least", 4),
        Rule("three", pl.lit(9), "at_most", 1),
    ]
    assert verdict_of("x", "en", rules).rule == "two"


def test_empty_text_breaks_a_rule_and_nothing_else_breaks():
    assert not verdict_of("", "en", rules_of(CleanedCorpusConfig())).kept


def test_c4_drops_lines_and_pages():
    text = "Home\nThe first sentence is here.\nPlease enable JavaScript to see this.\nWe use cookies to follow you.\nMore words here"
    assert c4.clean_lines(text, C4Rules(drop_unterminated_lines=True)) == "The first sentence is here."
    assert c4.clean_lines(text, C4Rules()) == "Home\nThe first sentence is here.\nMore words here"
    kept = c4.clean_lines(text, C4Rules(drop_unterminated_lines=False))
    assert kept == "Home\nThe first sentence is here.\nMore words here"
    assert verdict_of("Lorem ipsum dolor sit amet.", "en", c4.rules(C4Rules())).rule == "c4_lorem_ipsum"
    assert verdict_of("function() { return 1; }", "en", c4.rules(C4Rules())).rule == "c4_curly_bracket"
    assert verdict_of("no end", "en", c4.rules(C4Rules())).rule == "c4_min_sentences"


def test_a_family_can_be_switched_off():
    config = CleanedCorpusConfig(gopher_quality=GopherQuality(enabled=False), c4=C4Rules(enabled=False))
    names = {rule.name.split("_")[0] for rule in rules_of(config)}
    assert names == {"repetition", "fineweb"}
    everything = CleanedCorpusConfig()
    assert len({r.name for r in rules_of(everything)}) == len(rules_of(everything))
    assert dataclasses.is_dataclass(rules_of(everything)[0])
