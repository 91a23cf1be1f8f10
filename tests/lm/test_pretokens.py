"""Pieces: those of the tokenizers library, on every code point and on texts made of the hard ones."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Regex, pre_tokenizers

from llm_assets.lm import pretokens
from llm_assets.lm.tokenizer import PATTERN
from llm_assets.stages.tokens.train import SAMPLES

ORACLE = pre_tokenizers.Split(Regex(PATTERN), behavior="isolated")
HARD = "aZsSrReEvVlLtTdDmM's'' \t\n\r\x0b\x85\u00a0\u2028\u3000019½٣Ⅷéſ汉👍🏽\u0301\ufeff\U0010fffd.,!-_(){}\"#<|>"


def split(text):
    encoded = text.encode()
    ends = pretokens.pieces(np.frombuffer(encoded, np.uint8), pretokens.classes()).tolist()
    return [encoded[first:end].decode() for first, end in zip([0, *ends], ends, strict=False)]


def theirs(text):
    return [piece for piece, _ in ORACLE.pre_tokenize_str(text)]


@pytest.mark.parametrize("text", [*SAMPLES, "a" * 9_000, " " * 9_000, "\n " * 500 + "x", "'S'RE'll 'x '", "x\n\n  \n y  "])
def test_hard_texts_split_as_the_library_splits_them(text):
    assert split(text) == theirs(text)


@settings(max_examples=400, deadline=None)
@given(st.text(st.sampled_from(HARD), max_size=40) | st.text(max_size=40))
def test_any_text_splits_as_the_library_splits_it(text):
    encodable = text.encode("utf-8", "replace").decode()
    assert split(encodable) == theirs(encodable)


def test_every_code_point_has_the_librarys_class():
    """A code point that is no letter, number or space of the library's Unicode tables must not become one here."""
    points = [point for point in range(0x110000) if not 0xD800 <= point < 0xE000]
    table = pretokens.classes()[points]
    for kind, pattern in ((1, r"\p{L}+"), (2, r"\p{N}+"), (3, r"\s+")):
        matched = np.ones(len(points), bool)
        text = "".join(map(chr, points))
        for _, (first, end) in pre_tokenizers.Split(Regex(pattern), behavior="removed").pre_tokenize_str(text):
            matched[first:end] = False
        assert np.array_equal(matched, table >= 3 if kind == 3 else table == kind), pattern


@pytest.mark.parametrize("threads", [1, 3])
def test_counts_are_those_of_a_plain_count(threads):
    counter = pretokens.PieceCounter(threads)
    texts = ["the bridge and the mill", "", "the bridges, internationalisation\n", "internationalisation the"] * 5
    for first in range(0, len(texts), 7):
        counter.add(texts[first : first + 7])
    letters, starts, counts = counter.words()
    found = {bytes(letters[starts[n] : starts[n + 1]]).decode(): int(counts[n]) for n in range(counts.size)}
    wanted: dict[str, int] = {}
    for text in texts:
        for piece in theirs(text):
            wanted[piece] = wanted.get(piece, 0) + 1
    assert found == wanted


def test_tables_grow(monkeypatch):
    counter = pretokens.PieceCounter()
    texts = [f" {number:x}z{number * 7919:x}" for number in range(100_000)]
    counter.add(texts)
    counter.add(texts)
    letters, starts, counts = counter.words()
    assert counts.sum() == 2 * sum(len(split(text)) for text in texts)
    assert counts.size == len({piece for text in texts for piece in split(text)}) and starts[-1] == letters.size
