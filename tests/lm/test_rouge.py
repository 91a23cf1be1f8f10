"""The gold metric is a list of floats whatever the answers are."""

import pytest

from llm_assets.lm.rouge import rouge_each, rouge_l


def test_an_answer_without_words_scores_a_float_zero_beside_others():
    found = rouge_l(["a small river", "a small river", "a small river"], ["", "a small river", "mountain"])
    assert found == [0.0, 1.0, 0.0]
    assert {type(score) for score in found} == {float}


def test_rouge_by_hand_with_stemming():
    each = rouge_each(["cats sat on the mat"], ["the cat sat"], ["rouge1", "rougeL"])
    # Unigrams the, cat(s), sat: P = 3/3, R = 3/5; longest common subsequence "cat sat": P = 2/3, R = 2/5.
    assert each["rouge1"] == [pytest.approx(0.75)] and each["rougeL"] == [pytest.approx(0.5)]
