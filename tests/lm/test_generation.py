"""Decoding: batches equal singles, transformers' own loop agrees, ends stop, log-probabilities are those sampled from."""

import random

import pytest
import torch
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM

from llm_assets.core.errors import InputError
from llm_assets.lm.generation import generate, right_pad, sequence_logprobs, token_logprobs

VOCABULARY = 61


@pytest.fixture(scope="module")
def model() -> LlamaForCausalLM:
    torch.manual_seed(5)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=64,
        initializer_range=0.25,
        attention_dropout=0.3,
        tie_word_embeddings=True,
    )
    return LlamaForCausalLM(config).eval()


@pytest.fixture(scope="module")
def prompts() -> list[list[int]]:
    draw = random.Random(1)
    return [[draw.randrange(2, VOCABULARY) for _ in range(draw.randint(1, 20))] for _ in range(33)]


@pytest.mark.parametrize("temperature", [0.0, 1.0, 0.7])
def test_batched_equals_single(model: LlamaForCausalLM, prompts: list[list[int]], temperature: float) -> None:
    options = {"max_new_tokens": 12, "eos_ids": [1, 7], "temperature": temperature, "seed": 3}
    whole = generate(model, prompts, batch_size=64, **options)
    assert whole == generate(model, prompts, batch_size=1, **options) == generate(model, prompts, batch_size=5, **options)
    assert any(answer[-1] in (1, 7) for answer in whole), "some row must end early, or compaction is not exercised"


def test_greedy_equals_transformers(model: LlamaForCausalLM, prompts: list[list[int]]) -> None:
    ours = generate(model, prompts, max_new_tokens=10, eos_ids=[1])
    options = GenerationConfig(max_new_tokens=10, do_sample=False, eos_token_id=1, pad_token_id=0)
    for prompt, answer in zip(prompts, ours, strict=True):
        ids = torch.tensor([prompt])
        theirs = model.generate(ids, attention_mask=torch.ones_like(ids), generation_config=options)[0, len(prompt) :]
        assert answer == theirs.tolist()


def test_answers_end_with_the_end_id_or_run_out(model: LlamaForCausalLM, prompts: list[list[int]]) -> None:
    for answer in generate(model, prompts, max_new_tokens=9, eos_ids=[1, 7], temperature=1.0):
        ends = [position for position, token in enumerate(answer) if token in (1, 7)]
        assert ends == [len(answer) - 1] or (not ends and len(answer) == 9)


def test_seed_decides_and_global_state_does_not(model: LlamaForCausalLM, prompts: list[list[int]]) -> None:
    torch.manual_seed(1)
    first = generate(model, prompts, max_new_tokens=8, eos_ids=[1], temperature=1.0, seed=3)
    torch.manual_seed(2)
    assert first == generate(model, prompts, max_new_tokens=8, eos_ids=[1], temperature=1.0, seed=3)
    assert first != generate(model, prompts, max_new_tokens=8, eos_ids=[1], temperature=1.0, seed=4)


def test_dropout_is_off_and_the_mode_restored(model: LlamaForCausalLM, prompts: list[list[int]]) -> None:
    expected = generate(model, prompts, max_new_tokens=8, eos_ids=[1])
    model.train()
    try:
        assert generate(model, prompts, max_new_tokens=8, eos_ids=[1]) == expected
        assert model.training
    finally:
        model.eval()


def test_sampling_follows_the_models_distribution(model: LlamaForCausalLM) -> None:
    """Case B34: what is sampled from is what is scored, to the sampling noise of 4,000 draws."""
    prompt = [3, 4, 5]
    draws = [
        answer[0] for answer in generate(model, [prompt] * 4000, max_new_tokens=1, eos_ids=[], temperature=1.0, batch_size=4000)
    ]
    seen = torch.bincount(torch.tensor(draws), minlength=VOCABULARY).double() / 4000
    with torch.no_grad():
        expected = torch.softmax(model(torch.tensor([prompt])).logits[0, -1].double(), -1)
    # Total variation of an empirical distribution: about sum sqrt(2 p / (pi n)) / 2; twice that is never met by chance.
    noise = float((2 * expected / (torch.pi * 4000)).sqrt().sum() / 2)
    assert float((seen - expected).abs().sum() / 2) < 2 * noise


def test_token_logprobs_are_the_full_models(model: LlamaForCausalLM) -> None:
    rows = [[3, 4, 5, 6, 7], [8, 9, 10]]
    ids = right_pad(rows)
    mask = torch.tensor([[False, False, True, True, True], [False, True, True, False, False]])
    with torch.no_grad():
        found = token_logprobs(model, ids, mask)
        for row, tokens in enumerate(rows):
            reference = torch.log_softmax(model(torch.tensor([tokens])).logits[0], -1)
            for position in range(1, len(tokens)):
                expected = float(reference[position - 1, tokens[position]]) if mask[row, position] else 0.0
                assert float(found[row, position]) == pytest.approx(expected, abs=1e-5)
    assert not found[~mask].any()
    sums = sequence_logprobs(model, rows, [mask[0].tolist(), mask[1, :3].tolist()], batch_size=1)
    assert sums == pytest.approx(found.sum(-1).tolist(), abs=1e-5)


def test_refusals(model: LlamaForCausalLM) -> None:
    with pytest.raises(InputError, match="no tokens"):
        generate(model, [[1], []], max_new_tokens=2, eos_ids=[1])
    with pytest.raises(InputError, match="exceed the model's 64 positions"):
        generate(model, [[2] * 60], max_new_tokens=5, eos_ids=[1])
    with pytest.raises(InputError, match="temperature"):
        generate(model, [[2]], max_new_tokens=5, eos_ids=[1], temperature=-1.0)
    with pytest.raises(InputError, match="first token"):
        token_logprobs(model, torch.tensor([[2, 3]]), torch.tensor([[True, True]]))
    assert generate(model, [], max_new_tokens=5, eos_ids=[1]) == []
