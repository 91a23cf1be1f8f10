import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import LlamaConfig, LlamaForCausalLM, Qwen3Config, Qwen3ForCausalLM

from llm_assets.lm.generation import sequence_logprobs
from llm_assets.stages.evals.choices import score_choices

SHAPE = {
    "vocab_size": 40,
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 8,
    "max_position_embeddings": 64,
    "initializer_range": 0.5,
}
IDS = st.lists(st.integers(4, 39), min_size=1, max_size=6)


@pytest.fixture(scope="module")
def models():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return [LlamaForCausalLM(LlamaConfig(**SHAPE)).eval(), Qwen3ForCausalLM(Qwen3Config(**SHAPE)).eval()]


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(IDS, st.lists(IDS, min_size=1, max_size=4)), min_size=1, max_size=5), st.integers(1, 3))
def test_scores_equal_those_of_choices_read_one_by_one(models, rows, batch_size):
    prompts, choices = [row[0] for row in rows], [row[1] for row in rows]
    sequences = [(p, c) for p, options in rows for c in options]
    ids = [[*p, *c] for p, c in sequences]
    masks = [[False] * len(p) + [True] * len(c) for p, c in sequences]
    for model in models:
        found = [value for row in score_choices(model, prompts, choices, batch_size=batch_size) for value in row]
        assert found == pytest.approx(sequence_logprobs(model, ids, masks), abs=2e-4)


def test_a_choice_does_not_see_the_others(models):
    alone = score_choices(models[0], [[5, 6, 7]], [[[8, 9]]])[0][0]
    among = score_choices(models[0], [[5, 6, 7]], [[[30, 31, 32], [8, 9], [8, 10]]])[0][1]
    assert among == pytest.approx(alone, abs=1e-5)


def test_nothing_to_score_is_an_error(models):
    with pytest.raises(ValueError, match="at least one token"):
        score_choices(models[0], [[5]], [[[]]])
