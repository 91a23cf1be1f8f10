"""PPO's arithmetic against the formulas written out, and a policy that learns."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM

from llm_assets.core.errors import InputError
from llm_assets.lm import ppo
from llm_assets.lm.device import autocast
from llm_assets.lm.generation import generate

VOCABULARY, END = 24, 1


def make(seed: int, dropout: float = 0.2) -> LlamaForCausalLM:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        config = LlamaConfig(
            vocab_size=VOCABULARY,
            hidden_size=32,
            intermediate_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=2,
            max_position_embeddings=64,
            attention_dropout=dropout,
            initializer_range=0.2,
        )
        return LlamaForCausalLM(config).eval()


def sampled(policy: LlamaForCausalLM, rows: int, seed: int = 0, each: int = 1) -> tuple[ppo.Packed, list[list[int]]]:
    """``each`` answers to every prompt, ``rows`` in all."""
    prompts = [[2 + (row + column) % 20 for column in range(1 + row % 5)] for row in range(rows // each)]
    asked = [prompt for prompt in prompts for _ in range(each)]
    answers = generate(policy, asked, max_new_tokens=6, eos_ids=[END], temperature=1.0, seed=seed)
    return ppo.pack(prompts, answers, torch.device("cpu")), answers


@pytest.mark.parametrize("batch_size", [1, 7, 64])
@pytest.mark.parametrize("each", [1, 4])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_equal_weights_have_a_kl_of_exactly_zero(batch_size: int, each: int, dtype: str) -> None:
    """Case B34."""
    policy, reference = make(3), make(3)
    packed, _ = sampled(policy, 40, each=each)
    with autocast(torch.device("cpu"), dtype):
        found = ppo.score_rollouts(policy, reference, None, packed, batch_size=batch_size)
    assert not found.kl_sampled.any()
    assert not found.kl_exact.any()


@pytest.mark.parametrize("each", [1, 3])
def test_scores_are_those_of_the_whole_model(each: int) -> None:
    """Several answers in one row see neither each other nor other positions than they would alone."""
    policy, reference = make(3), make(4)
    head = ppo.ValueHead(32)
    torch.nn.init.normal_(head.linear.weight, generator=torch.Generator().manual_seed(1))
    packed, answers = sampled(policy, 12, each=each)
    found = ppo.score_rollouts(policy, reference, head, packed, batch_size=3, keep_hidden=True)
    entropies = []
    with torch.no_grad():
        for row, answer in enumerate(answers):
            start = int(packed.prompt_lengths[row // each])
            whole = torch.tensor([packed.ids[row // each, :start].tolist() + answer])
            own = torch.log_softmax(policy(whole).logits[0], -1)[start - 1 : -1]
            other = torch.log_softmax(reference(whole).logits[0], -1)[start - 1 : -1]
            hidden = policy.model(whole).last_hidden_state[0][start - 1 : -1]
            kl = (own.exp() * (own - other)).sum()
            assert found.kl_exact[row].item() == pytest.approx(float(kl), abs=1e-4)
            target = torch.tensor(answer)[:, None]
            assert torch.allclose(found.logprobs[row, : len(answer)], own.gather(-1, target)[:, 0], atol=1e-5)
            assert torch.allclose(found.reference[row, : len(answer)], other.gather(-1, target)[:, 0], atol=1e-5)
            assert torch.allclose(found.values[row, : len(answer)], head(hidden), atol=1e-4)
            assert not found.logprobs[row, len(answer) :].any()
            entropies += (-(own.exp() * own).sum(-1)).tolist()
    assert found.entropy == pytest.approx(sum(entropies) / len(entropies), abs=1e-4)
    assert found.hidden is not None
    with torch.no_grad():
        assert torch.allclose(head(found.hidden), found.values[found.answer_mask], atol=1e-5)


def test_packing_saves_no_gradient() -> None:
    """The gradient through a shared prompt is the sum of the gradients through its copies."""
    policy = make(3)
    together, answers = sampled(policy, 12, each=4)
    prompts = [together.ids[row, : together.prompt_lengths[row]].tolist() for row in range(3)]
    apart = ppo.pack([prompt for prompt in prompts for _ in range(4)], answers, torch.device("cpu"))
    gradients = []
    for packed in (together, apart):
        policy.zero_grad()
        ppo.supervised_loss(policy, packed).backward()
        gradients.append([parameter.grad.clone() for parameter in policy.parameters() if parameter.grad is not None])
    assert gradients[0]
    assert all(torch.allclose(one, two, atol=1e-6) for one, two in zip(*gradients, strict=True))


def test_sampled_and_exact_kl_agree_in_the_mean() -> None:
    """Case B34: were sampling and scoring at odds, the sampled mean would leave the exact one."""
    policy, reference = make(3), make(3)
    with torch.no_grad():
        policy.lm_head.weight.add_(0.1 * torch.randn(policy.lm_head.weight.shape, generator=torch.Generator().manual_seed(2)))
    packed, _ = sampled(policy, 2000, each=4)
    found = ppo.score_rollouts(policy, reference, None, packed, batch_size=500)
    noise = float(found.kl_sampled.std()) / math.sqrt(2000)
    assert float(found.kl_exact.mean()) > 5 * noise
    assert abs(float(found.kl_sampled.mean() - found.kl_exact.mean())) < 4 * noise


def rows_of(values: list[list[float]]) -> tuple[Tensor, Tensor]:
    width = max(map(len, values))
    padded = torch.tensor([row + [0.0] * (width - len(row)) for row in values])
    return padded, torch.tensor([[column < len(row) for column in range(width)] for row in values])


@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.lists(st.floats(-3, 3), min_size=1, max_size=6), min_size=1, max_size=4),
    st.floats(0.5, 1),
    st.floats(0, 1),
    st.integers(0, 99),
)
def test_advantages_are_the_sum_of_discounted_errors(
    rewards: list[list[float]], gamma: float, gae_lambda: float, seed: int
) -> None:
    padded, mask = rows_of(rewards)
    values = torch.randn(padded.shape, generator=torch.Generator().manual_seed(seed)) * mask
    found, returns = ppo.advantages(padded, values, mask, gamma, gae_lambda)
    for row, given_rewards in enumerate(rewards):
        v = [*values[row, : len(given_rewards)].tolist(), 0.0]
        deltas = [r + gamma * v[t + 1] - v[t] for t, r in enumerate(given_rewards)]
        for t in range(len(deltas)):
            expected = sum((gamma * gae_lambda) ** k * delta for k, delta in enumerate(deltas[t:]))
            assert float(found[row, t]) == pytest.approx(expected, abs=1e-4)
            assert float(returns[row, t]) == pytest.approx(expected + v[t], abs=1e-4)
    assert not found[~mask].any()
    assert not returns[~mask].any()


def test_whitening_is_over_marked_entries_only() -> None:
    values, mask = rows_of([[1.0, 2.0, 3.0], [5.0]])
    values[1, 1] = 99.0
    found = ppo.whiten(values, mask)
    assert float(found[mask].mean()) == pytest.approx(0, abs=1e-6)
    assert float(found[mask].std(unbiased=False)) == pytest.approx(1, abs=1e-6)
    assert not found[~mask].any()
    assert not ppo.whiten(torch.full((1, 3), 2.0), torch.ones(1, 3, dtype=torch.bool)).any(), "no spread, no signal"


def test_policy_loss_clips_the_side_that_would_profit() -> None:
    old = torch.zeros(4)
    new = torch.tensor([1.5, 0.5, 1.5, 0.5]).log()
    advantage = torch.tensor([1.0, 1.0, -1.0, -1.0])
    loss, clipped = ppo.policy_loss(new, old, advantage, 0.2)
    assert float(loss) == pytest.approx(-(1.2 + 0.5 - 1.5 - 0.8) / 4)
    assert float(clipped) == 0.5


def test_value_loss_takes_the_larger_error() -> None:
    old, returns = torch.tensor([0.0, 0.0]), torch.tensor([1.0, 1.0])
    assert float(ppo.value_loss(torch.tensor([0.1, 1.0]), old, returns, 0.2)) == pytest.approx((0.81 + 0.64) / 4)


def test_rewards_carry_the_penalty_everywhere_and_the_score_at_the_end() -> None:
    policy, reference = make(3), make(4)
    packed, answers = sampled(policy, 8, each=2)
    found = ppo.score_rollouts(policy, reference, None, packed)
    scores = torch.arange(8.0)
    rewards = ppo.token_rewards(found, scores, 0.3)
    assert torch.allclose(rewards.sum(-1), scores - 0.3 * found.kl_sampled, atol=1e-5)
    last = torch.tensor([len(answer) - 1 for answer in answers])
    plain = ppo.token_rewards(found, torch.zeros(8), 0.3)
    difference = rewards - plain
    assert torch.equal(difference.abs().argmax(-1)[1:], last[1:])
    assert not rewards[~found.answer_mask].any()


def test_the_controller_steers_towards_its_target() -> None:
    controller = ppo.KlController(0.1, target=2.0, horizon=100, adaptive=True)
    controller.update(4.0, 50)
    assert controller.coefficient == pytest.approx(0.1 * (1 + 0.2 * 0.5))
    controller.update(1.9, 50)
    assert controller.coefficient == pytest.approx(0.11 * (1 - 0.05 * 0.5))
    fixed = ppo.KlController(0.1, target=2.0, horizon=100, adaptive=False)
    fixed.update(9.0, 50)
    assert fixed.coefficient == 0.1


def test_the_first_fit_of_the_critic_is_least_squares() -> None:
    generator = torch.Generator().manual_seed(1)
    hidden, weights = torch.randn(200, 5, generator=generator), torch.randn(5, generator=generator)
    head = ppo.ValueHead(5)
    assert not head(hidden).any()
    ppo.fit_values(head, hidden, hidden @ weights + 0.7, ridge=1e-9)
    assert torch.allclose(head.linear.weight[0], weights, atol=1e-4)
    assert head.linear.bias.item() == pytest.approx(0.7, abs=1e-4)


def step(policy: LlamaForCausalLM, head: ppo.ValueHead, scores: Tensor, seed: int, **over: float) -> dict[str, float]:
    reference = make(3)
    packed, _ = sampled(policy, len(scores), seed, each=2)
    rollouts = ppo.score_rollouts(policy, reference, head, packed)
    options = ppo.PpoSettings(minibatch_size=16, **over)
    optimiser = torch.optim.AdamW([*policy.parameters(), *head.parameters()], lr=1e-2, weight_decay=0.0)
    rewards = ppo.token_rewards(rollouts, scores, 0.0)
    return ppo.update(policy, head, optimiser, rollouts, rewards, options, torch.Generator().manual_seed(seed))


def test_fitting_the_critic_never_moves_the_policy() -> None:
    """With all advantages equal there is no policy gradient; the critic still learns, from detached hidden states."""
    policy, head = make(3), ppo.ValueHead(32)
    before = {name: weight.clone() for name, weight in policy.state_dict().items()}
    packed = ppo.pack([[2, 3], [4]], [[5], [6]], torch.device("cpu"))
    rollouts = ppo.score_rollouts(policy, policy, head, packed)
    optimiser = torch.optim.SGD([*policy.parameters(), *head.parameters()], lr=0.1)
    rewards = ppo.token_rewards(rollouts, torch.ones(2), 0.0)
    figures = ppo.update(policy, head, optimiser, rollouts, rewards, ppo.PpoSettings(), torch.Generator())
    assert figures["value_loss"] > 0
    assert head.linear.weight.any()
    assert all(torch.equal(weight, before[name]) for name, weight in policy.state_dict().items())


def test_dropout_is_off_in_the_update() -> None:
    """Case B34: the first minibatch's ratio is 1, so nothing is clipped and the update's KL is 0 but for rounding."""
    policy = make(3, dropout=0.5)
    figures = step(policy, ppo.ValueHead(32), torch.arange(16.0), seed=1)
    assert figures["clipped_share"] == 0.0
    assert abs(figures["update_kl_nats"]) < 1e-6


def test_it_learns_what_is_rewarded() -> None:
    policy, head, liked = make(3), ppo.ValueHead(32), 7

    def share(seed: int) -> Tensor:
        _, answers = sampled(policy, 64, seed, each=2)
        return torch.tensor([answer.count(liked) / len(answer) for answer in answers])

    start = float(share(99).mean())
    for seed in range(12):
        ids_scores = share(seed)
        figures = step(policy, head, ids_scores, seed, epochs=2)
        assert figures["gradient_norm"] > 0
    assert float(share(99).mean()) > start + 0.3


def test_the_supervised_loss_is_mixed_in() -> None:
    policy, head = make(3), ppo.ValueHead(32)
    wanted = ppo.pack([[2, 3]], [[5, END]], torch.device("cpu"))
    before = ppo.supervised_loss(policy, wanted).item()
    rolled = ppo.pack([[2, 3], [4]], [[5], [6]], torch.device("cpu"))
    rollouts = ppo.score_rollouts(policy, policy, head, rolled)
    optimiser = torch.optim.SGD(policy.parameters(), lr=0.5)
    options = ppo.PpoSettings(ptx_coefficient=1.0)
    zero = torch.zeros(rollouts.answer_mask.shape)
    figures = ppo.update(policy, head, optimiser, rollouts, zero, options, torch.Generator(), [wanted])
    assert figures["ptx_loss_nats"] == pytest.approx(before, abs=1e-5)
    assert ppo.supervised_loss(policy, wanted).item() < before


def test_minibatches_cover_every_row_once_an_epoch() -> None:
    parts = ppo.minibatches(10, 4, 2, torch.Generator().manual_seed(1))
    assert [len(part) for part in parts] == [4, 4, 2, 4, 4, 2]
    assert sorted(torch.cat(parts[:3]).tolist()) == list(range(10))
    assert torch.cat(parts[:3]).tolist() != torch.cat(parts[3:]).tolist()


def test_refusals() -> None:
    with pytest.raises(InputError, match="at least one prompt token"):
        ppo.pack([[1]], [[]], torch.device("cpu"))
    with pytest.raises(InputError, match="shared out evenly"):
        ppo.pack([[1], [2]], [[3], [3], [3]], torch.device("cpu"))
    policy = make(3)
    policy.config.final_logit_softcapping = 30.0
    with pytest.raises(InputError, match="final_logit_softcapping"):
        ppo.supervised_loss(policy, ppo.pack([[2]], [[3]], torch.device("cpu")))
