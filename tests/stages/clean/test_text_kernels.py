"""The compiled loops of cleaning against the same rules written as regular expressions, on every character and any text."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_assets.core.texts import utf8
from llm_assets.stages.clean.filters import junk
from llm_assets.stages.clean.standardise import standardise_all
from llm_assets.stages.clean.text_kernels import reach

STEPS = (
    ("\r\n?|\u2028", "\n"),
    ("\u2029", "\n\n"),
    ("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200b\u2060\ufeff\u00ad]", ""),
    ("[ \t\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]+", " "),
    ("(?m)^ | $", ""),
    (r"\n{3,}", "\n\n"),
)
AFTER_1252 = "\u0080-\u00bf‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ€"
AFTER_1251 = "\u00a0-\u00bfЂЃѓЉЊЌЋЏђ‘’“”•–—™љ›њќћџЎўЈҐЄєјЅѕ‚„…†‡€‰‹№"
MOJIBAKE = (
    f"Ã[{AFTER_1252}]|Â[\u00a0-\u00aa\u00ac-\u00ba\u00bc-\u00bf]|[ÐÑ][{AFTER_1252}]"
    f"|â€[\u0090-\u00bf™œ˜“”¦¢]|â\u0080[\u0090-\u00bf]|ð[Ÿ\u009f]|ï»¿|ï¿½|[РС][{AFTER_1251}]"
)
PATTERNS = {
    "_replacement": "\ufffd",
    "_controls": "[\\x00-\\x08\\x0b\\x0c\\x0e-\\x1f\\x7f-\\x9f]",
    "_mojibake": MOJIBAKE,
    "_private": r"[\p{Co}\x{fdd0}-\x{fdef}\x{fffe}\x{ffff}]",
    "_symbols": r"[\p{So}\p{Sk}\p{Sm}--[+<=>|~^`\x{ac}\x{b1}\x{d7}\x{f7}°©®™]]",
}
EVERY = [chr(point) for point in range(0x110000) if not 0xD800 <= point < 0xE000]
ODD = "  \t\r\n\n\u2028\u2029\u00a0\u3000\u200b\u00ad\x00\x85\u0301\u0323\u1161\u11a8\u1100\uac00´âÃÂÐÑРСðï€™œŸ»¿½\u0080\u009f\u2126★\ue001"
TEXTS = st.lists(st.one_of(st.sampled_from(ODD), st.characters(exclude_categories=["Cs"])), max_size=30).map("".join)


def by_rules(texts: pl.Series) -> pl.Series:
    texts = texts.fill_null("").str.normalize("NFC")
    for pattern, by in STEPS:
        texts = texts.str.replace_all(pattern, by)
    return texts.str.strip_chars()


def shares(texts: pl.Series) -> pl.DataFrame:
    text = pl.col("text")
    chars, solid = text.str.len_chars(), text.str.count_matches(r"\S")
    whole = {name: solid if name == "_symbols" else chars for name in PATTERNS}
    return pl.DataFrame({"text": texts}).select(
        pl.when(whole[name] > 0).then(text.str.count_matches(pattern) / whole[name]).otherwise(0.0).alias(name)
        for name, pattern in PATTERNS.items()
    )


def same(texts: pl.Series) -> None:
    made, wanted = standardise_all(texts), by_rules(texts)
    assert made.equals(wanted), texts.filter(made != wanted).to_list()[:3]
    found = junk.add_measures(pl.DataFrame({"text": texts}), texts).select(list(PATTERNS))
    assert found.equals(shares(texts.fill_null("")))


@pytest.mark.parametrize("form", ["{}", "a{}\u0301", "\uac00{}", "{}\u11a8\u0323"])
def test_every_character_alone_and_beside_what_it_may_join(form):
    same(pl.Series([form.format(char) for char in EVERY]))


@given(st.lists(TEXTS, max_size=8))
def test_any_texts_together(texts):
    same(pl.Series(texts, dtype=pl.String))


def test_no_text_is_an_empty_one():
    assert standardise_all(pl.Series([None, "", " \n"], dtype=pl.String)).to_list() == ["", "", ""]
    same(pl.Series([None, "★"], dtype=pl.String))


@given(TEXTS, st.integers(0, 30))
def test_the_length_that_a_text_reaches(text, least):
    folded = pl.Series([text]).str.replace_all(r"\s+", " ").str.strip_chars().str.len_chars()[0]
    assert reach(*utf8(pl.Series([text])), least)[0] == (folded >= least)


def test_the_length_of_every_character():
    series = pl.Series([f" {char} " for char in EVERY])
    folded = series.str.replace_all(r"\s+", " ").str.strip_chars().str.len_chars() >= 1
    assert (reach(*utf8(series), 1) == folded.to_numpy()).all()
