"""The rules: what is counted, against plain Python, and each rule at its edge."""

import dataclasses
import hashlib
import re
import unicodedata
from collections import Counter

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_assets.core.errors import InputError, RecipeError
from llm_assets.core.recipe.cleaning import (
    C4Rules,
    CleanedCorpusConfig,
    FinewebRules,
    GopherQuality,
    JunkRules,
    UrlRules,
)
from llm_assets.stages.clean.filters import c4, gopher, junk, rules_of, url
from llm_assets.stages.clean.filters.base import Rule, judge, prepare, verdict_of
from llm_assets.stages.clean.standardise import standardise_all

PLAIN = (
    "The river is long and it flows to the sea. People have lived near it for many years, and they fish with nets of rope.\n"
)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.sampled_from(["a", "bb", "ccc", "dd"]), max_size=60))
def test_ngram_counts_equal_a_plain_count(words):
    frame = pl.DataFrame({"text": [" ".join(words)], "lang": ["en"]})
    row = prepare(frame).row(0, named=True)
    single = prepare(frame, CleanedCorpusConfig(gopher_repetition={"single_ngrams": True})).row(0, named=True)
    for n in (2, 3, 4):
        grams = [" ".join(words[i : i + n]) for i in range(len(words) - n + 1)]
        # As datatrove's Counter.most_common(1): of the most frequent the first seen; once is no repetition.
        gram, times = Counter(grams).most_common(1)[0] if grams else ("", 1)
        assert row[f"_top_{n}gram_chars"] == (len(gram) * times if times > 1 else 0)
        assert single[f"_top_{n}gram_chars"] == len(gram) * times
    for n in (5, 6, 7, 8, 9, 10):
        seen, i, chars = set(), 0, 0
        while i + n <= len(words):
            gram = tuple(words[i : i + n])
            if gram in seen:
                chars, i = chars + sum(map(len, gram)), i + n
            else:
                seen.add(gram)
                i += 1
        assert row[f"_dup_{n}gram_chars"] == chars


@settings(deadline=None, max_examples=200)
@given(st.lists(st.text(alphabet="aZé1#-•.…, \n中", max_size=40), min_size=1, max_size=4))
def test_counts_equal_plain_python(texts):
    texts = standardise_all(pl.Series(texts)).to_list()
    rows = prepare(pl.DataFrame({"text": texts, "lang": ["en"] * len(texts)})).rows(named=True)
    for text, row in zip(texts, rows, strict=True):
        words = text.split()
        plain = [w for w in words if any(unicodedata.category(c)[0] in "LN" for c in w)]
        lines = [line for line in text.split("\n") if line]
        paragraphs = re.split(r"\n{2,}", text) if text else []
        config = FinewebRules()
        expected = {
            "chars": len(text),
            "newlines": text.count("\n"),
            "words": len(words),
            "plain_words": len(plain),
            "plain_word_chars": sum(map(len, plain)),
            "letter_words": sum(any(c.isalpha() for c in w) for w in words),
            "hashes": text.count("#"),
            "ellipses": text.count("...") + text.count("…"),
            "lines": len(lines),
            "bullet_lines": sum(line.startswith(("-", "•")) for line in lines),
            "ellipsis_lines": sum(line.endswith(("...", "…")) for line in lines),
            "ended_lines": sum(line.endswith(tuple(config.end_characters)) for line in lines),
            "short_lines": sum(len(line) <= config.short_line_chars for line in lines),
            "dup_lines": len(lines) - len(set(lines)),
            "dup_line_chars": sum(map(len, lines)) - sum(map(len, set(lines))),
            "paragraphs": len(paragraphs),
            "dup_paragraphs": len(paragraphs) - len(set(paragraphs)),
            "dup_paragraph_chars": sum(map(len, paragraphs)) - sum(map(len, set(paragraphs))),
        }
        assert {name: row[f"_{name}"] for name in expected} == expected


def test_stop_words_are_counted_once_in_any_case_and_by_language():
    frame = pl.DataFrame({"text": ["The the AND x", "Et le LE la", "the and"], "lang": ["en", "fr", "xx"]})
    assert prepare(frame)["_stop_words"].to_list() == [2, 3, 0]


def test_a_verdict_has_value_and_threshold():
    verdict = verdict_of("The end of it and that.", "en", rules_of(CleanedCorpusConfig()))
    assert (verdict.kept, verdict.rule, verdict.value, verdict.threshold) == (False, "gopher_min_words", 6, 20)
    assert verdict_of(PLAIN, "en", rules_of(CleanedCorpusConfig())).kept


def test_a_language_without_stop_words_is_not_judged_by_them():
    text = (
        "Der Fluss fliesst langsam durch ein weites Tal, bevor er nach vielen Tagen endlich das grosse Meer im Norden erreicht."
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


def c4_text(text, **config):
    config = C4Rules(**config)
    return c4.clean_lines(pl.DataFrame({"text": [text]}), config)["text"][0]


def test_c4_drops_lines_and_pages():
    text = "Home\nThe first sentence is here.\nPlease enable JavaScript to see this.\nWe use cookies to follow you.\nMore words here"
    assert c4_text(text, drop_unterminated_lines=True) == "The first sentence is here."
    assert c4_text(text) == "Home\nThe first sentence is here.\nMore words here"
    assert c4_text(text, min_words_per_line=3) == "The first sentence is here.\nMore words here"
    assert c4_text("Short.\n\n" + "x" * 1001 + " y\n\nEnd.") == "Short.\n\nEnd."
    assert c4_text("é" * 1000) == "é" * 1000  # characters count, not bytes
    assert c4_text("It was so.[12] Then[citation needed] a[0]", remove_citations=True) == "It was so. Then a"
    assert c4_text("a[0] = 1") == "a[0] = 1"
    assert verdict_of("Lorem ipsum dolor sit amet.", "en", c4.rules(C4Rules())).rule == "c4_lorem_ipsum"
    assert verdict_of("function() { return 1; }", "en", c4.rules(C4Rules())).rule == "c4_curly_bracket"
    assert verdict_of("no end", "en", c4.rules(C4Rules())).rule == "c4_min_sentences"
    assert verdict_of("A javascript {.\nGood line here.", "en", c4.rules(C4Rules())).kept


PIECES = [
    "A line of words.", "short", "x" * 12, "Lorem IPSUM dolor", "JavaScript is off.", "our Privacy  Policy", "we use COOKIES.",
    "{ code }", "so it was.[12]", "[edit]", "[citation needed] Then", "a[0]", "[]", "wait...", "and … then", "“Quoted.”", "(end.)",
    "é中。 文。", "!? ok", ". . .", "", " ", "U", "u", "[", "]", "e.g. this",
]  # fmt: skip


def plain_c4(text, config):
    """(text, lorem, curly, sentences) as the rules are told, line by line."""
    policy = ["terms of use", "privacy policy", "cookie policy", "uses cookies", "use of cookies", "use cookies"]
    kept, lorem, curly, sentences = [], False, False, 0
    for line in text.split("\n"):
        line = line.strip()
        words = line.split()
        if config.max_word_chars and any(len(word) > config.max_word_chars for word in words):
            continue
        if config.remove_citations:
            line = re.sub(r"\[[0-9]*\]|\[edit\]|\[citation needed\]", "", line)
        end = line.rstrip()
        if config.drop_unterminated_lines and (not end.endswith(tuple(config.end_characters)) or end.endswith("...")):
            continue
        if len(words) < config.min_words_per_line:
            continue
        low = line.lower()
        lorem |= "lorem ipsum" in low
        curly |= "{" in line and "javascript" not in low
        if "javascript" in low or any(phrase in low for phrase in policy):
            continue
        kept.append(line)
        sentences += len(re.findall(r"[.!?。！？]+[\"”»')\]]*(?:\s|$)", line))
    return re.sub(r"\n{3,}", "\n\n", "\n".join(kept)).strip(), lorem, curly, sentences


@settings(deadline=None, max_examples=300)
@given(
    st.lists(st.lists(st.sampled_from(PIECES), max_size=4).map(" ".join), max_size=6).map("\n".join),
    st.booleans(), st.booleans(), st.sampled_from([0, 3]), st.sampled_from([0, 11]),
)  # fmt: skip
def test_c4_equals_its_rules_told_line_by_line(text, terminated, cite, words, longest):
    config = C4Rules(
        drop_unterminated_lines=terminated, remove_citations=cite, min_words_per_line=words, max_word_chars=longest
    )
    text = standardise_all(pl.Series([text]))[0]
    row = c4.clean_lines(pl.DataFrame({"text": ["before.", text, "after."]}), config).row(1, named=True)
    assert (row["text"], row["_c4_lorem"], row["_c4_curly"], row["_c4_sentences"]) == plain_c4(text, config)


JUNK = {
    "junk_replacement_chars": "The caf\ufffd was closed.",
    "junk_control_chars": "The \x93quoted\x94 word",
    "junk_mojibake": "The cafÃ© at the lake wasnâ€™t open",
    "junk_private_chars": "\ue001 Home \uf0a8 Search",
    "junk_symbols": "★☆★☆ ▓▓▓▓ ░░░░ ◆◇ word ■□▪▫ ●○",
}
SOUND = [
    "NÃO FALE, SÃO PAULO, CORAÇÕES: em maiúsculas.",
    "Résumé, naïve, Ångström, œuvre, «Â» est une lettre.",
    "Россия и Сибирь — страна. Рёв воды, Сёмга.",
    "Україна: Сіль, Річка, Європа, їжак, ґанок.",
    "Price: 5 € or £4 ± 1, x < y, a = b + c; 20 °C © 2026 Name™",
    "中文的文章，没有问题。 日本語の文章です。",
    "عربي نص قصير و עברית",
]


def test_junk_is_found_and_sound_text_is_not():
    rules = junk.rules(JunkRules())
    for rule, text in JUNK.items():
        assert verdict_of(text, "en", rules).rule == rule
    for text in SOUND:
        assert verdict_of(text, "en", rules).kept, text


@pytest.mark.parametrize(
    "text", ["Élève à l'école, “déjà”", "Привет, мир. Как дела?", "Grüße aus Köln — schön", "emoji 😀 and 🎉"]
)
def test_double_encoding_is_found_in_any_language(text):
    for wrong in ("cp1252", "cp1251", "latin-1"):
        try:
            garbled = text.encode().decode(wrong)
        except UnicodeDecodeError:
            continue
        if wrong == "cp1251" and not re.search("[а-я]", text):
            continue
        rule = verdict_of(garbled, "en", junk.rules(JunkRules(max_control_chars=1, max_symbols=1))).rule
        assert rule == "junk_mojibake", (wrong, garbled)


def judged(urls, **config):
    config = UrlRules(**config)
    frame = pl.DataFrame({"url": urls, "host": [address.split("/")[2] for address in urls]})
    return judge(url.add_measures(frame, config), url.rules(config)).select("rule", "detail").rows()


def test_addresses_are_left_out_by_domain_and_words(tmp_path):
    assert judged(["http://www.xvideos.com/a", "http://taboola.com.example.org/", "http://cdn.taboola.com/"]) == [
        ("url_domain", "www.xvideos.com"),
        ("kept", None),
        ("url_domain", "cdn.taboola.com"),
    ]
    encyclopedia = [
        f"http://wiki.example/wiki/{t}" for t in ("Casino", "Pornography", "Free_software", "Adult", "Poker", "Essex")
    ]
    assert {rule for rule, _ in judged(encyclopedia)} == {"kept"}
    assert judged(["http://a.example/free-casino-bonus"])[0][0] == "url_soft_words"
    assert judged(["http://a.example/free-casino-bonus"], min_soft_words=4)[0][0] == "kept"
    own = tmp_path / "mine.txt"
    own.write_text("# mine\nmine.example\nhard knitting\nurl http://b.example/One\n")
    with pytest.raises(RecipeError, match=r"url.file_sha256 is not given, but .* has [0-9a-f]{64}"):
        judged(["http://mine.example/"], file=str(own))
    digest = hashlib.sha256(own.read_bytes()).hexdigest()
    found = judged(
        ["http://mine.example/", "http://x.example/Knitting", "http://b.example/One"], file=str(own), file_sha256=digest
    )
    assert [rule for rule, _ in found] == ["url_domain", "url_hard_word", "url_listed"]
    own.write_text("what is this line\n")
    with pytest.raises(InputError, match=r"mine.txt, line 1"):
        judged(["http://x.example/"], file=str(own), file_sha256=hashlib.sha256(own.read_bytes()).hexdigest())
    with pytest.raises(RecipeError, match="is no file"):
        judged(["http://x.example/"], file=str(tmp_path / "none"), file_sha256=digest)


def test_datatrove_lists_are_read_from_its_package():
    found = judged(["http://www.pornhub.com/x", "http://en.wikipedia.org/wiki/Bridge"], own_lists=False, datatrove_lists=True)
    assert [rule for rule, _ in found] == ["url_domain", "kept"]


def test_a_family_can_be_switched_off():
    config = CleanedCorpusConfig(gopher_quality=GopherQuality(enabled=False), c4=C4Rules(enabled=False))
    names = {rule.name.split("_")[0] for rule in rules_of(config)}
    assert names == {"repetition", "fineweb", "url", "junk"}
    everything = CleanedCorpusConfig()
    assert len({r.name for r in rules_of(everything)}) == len(rules_of(everything))
    assert dataclasses.is_dataclass(rules_of(everything)[0])
