"""Merges: the file is the tokenizers library's, byte for byte, whatever the text, limits and ties."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_assets.core.recipe.tokens import TokenizerConfig
from llm_assets.stages.tokens.train import byte_alphabet, trained
from tests.support import corpus


def both(texts, **limits):
    values = {"vocab_size": 416, "min_pair_count": 2, "max_token_chars": 24, **limits}
    found = [trained(iter([texts]), TokenizerConfig(engine=engine, **values), 0).to_str() for engine in ("numba", "tokenizers")]
    return found[0], found[1]


@pytest.mark.parametrize(
    "limits",
    [{}, {"vocab_size": 1024}, {"min_pair_count": 9}, {"max_token_chars": 3}, {"max_token_chars": 5, "vocab_size": 320}],
)
def test_prose_gives_the_librarys_file(limits):
    texts = [str(row["text"]) for row in [*corpus.rows(60), *corpus.rows(30, "fr")]]
    ours, theirs = both(texts, **limits)
    assert ours == theirs


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(st.sampled_from("aabbc é"), max_size=30), max_size=12), st.integers(2, 9), st.integers(1, 3))
def test_few_letters_give_many_ties_and_the_same_file(texts, longest, least):
    """Equal counts everywhere, and strings that two different pairs reach."""
    ours, theirs = both(texts, max_token_chars=longest, min_pair_count=least)
    assert ours == theirs


def test_long_words_of_one_letter_and_of_two():
    draw = random.Random(1)
    texts = ["a" * 400, "ab" * 300, "".join(draw.choice("ab") for _ in range(3_000)), "<|endoftext|> <|endoftext|>"] * 2
    ours, theirs = both(texts, vocab_size=512, max_token_chars=40)
    assert ours == theirs


def test_no_text_at_all_gives_the_bytes():
    ours, theirs = both([])
    assert ours == theirs


def test_the_alphabet_is_that_of_byte_level_bpe():
    from tokenizers.pre_tokenizers import ByteLevel

    alphabet = byte_alphabet()
    assert sorted(alphabet.values()) == sorted(ByteLevel.alphabet())
    assert all(
        ByteLevel(add_prefix_space=False, use_regex=False).pre_tokenize_str(chr(n))[0][0] == alphabet[n] for n in range(128)
    )
