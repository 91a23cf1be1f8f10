"""The gold metric is a list of floats whatever the answers are."""

from llm_assets.stages.rl.measuring import rouge_l


def test_an_answer_without_words_scores_a_float_zero_beside_others():
    found = rouge_l(["a small river", "a small river", "a small river"], ["", "a small river", "mountain"])
    assert found == [0.0, 1.0, 0.0]
    assert {type(score) for score in found} == {float}
