import unicodedata

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_assets.stages.dedup import plain, plain_kernels

TRICKY = "aé e\u0301 ﬁ … ² \u00a0\u2003\u3000\u1680\u0085 ΑΣ ς İ ß 漢字 カ\u3099 か゛ \u1100\u1161\u11a8 각 \u09c7\u09be 👍🏽 \u2028\u205f\u200b x\u0327\u0301"


def slow(texts):
    return [text.encode() for text in plain.normalise(pl.Series(texts, dtype=pl.String)).to_list()]


def fast(texts):
    data, ends = plain.normalised(pl.Series(texts, dtype=pl.String))
    return [part.tobytes() for part in np.split(data, ends[:-1])] if texts else []


@given(st.lists(st.one_of(st.text(max_size=30), st.text(TRICKY, max_size=12), st.text("aB \t\n.", max_size=20)), max_size=8))
@settings(max_examples=200, deadline=None)
def test_the_fast_way_is_the_slow_way(texts):
    assert fast(texts) == slow(texts)


def test_every_character_alone_and_after_a_letter_is_spelled_as_the_slow_way_says():
    characters = [chr(point) for point in range(0x11000) if not 0xD800 <= point < 0xE000]
    for before in ("", "e", "カ"):
        texts = [f"{before}{character} Z" for character in characters]
        assert fast(texts) == slow(texts)


def test_usual_texts_are_known_to_be_stable():
    usual = [
        "plain",
        "“quotes” – dashes — and ‘more’ €",
        "naïve café à l’île",
        "Привет, мир",
        "ελληνικά",
        "漢字かなカナ",
        "서울은 한국의 수도이다",
        "שלום",
        "مرحبا",
    ]
    doubtful = ["ﬁne", "dots…", "m²", "a\u00a0b", "e\u0301", "각\u11a8", "Ａ", "\U0001d400"]
    data, ends = plain.encoded(pl.Series([*usual, *doubtful]))
    _, _, known = plain_kernels.spell(data, ends, plain.lower())
    assert known.tolist() == [True] * len(usual) + [False] * len(doubtful)
    assert all(unicodedata.is_normalized("NFKC", text) for text in usual)


@pytest.mark.parametrize(
    "texts", [["  a\u2003\n b ", "", "\u3000", "c\u0085\u00a0", "\u2028x\u202fy\u205f"], ["é\u1680\u200b"]]
)
def test_the_compiled_code_does_what_the_python_says(texts):
    data, ends = plain.encoded(pl.Series(texts))
    for kernel, arguments in ((plain_kernels.fold, (data, ends)), (plain_kernels.spell, (data, ends, plain.lower()))):
        with np.errstate(over="ignore"):
            for compiled, plainly in zip(kernel(*arguments), kernel.py_func(*arguments), strict=True):
                assert np.array_equal(compiled, plainly)
