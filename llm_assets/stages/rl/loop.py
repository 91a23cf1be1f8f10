"""The rounds of PPO: sample, score, update, judge, checkpoint.

Everything random is a function of (seed, stream, round): a checkpoint needs no generator state, and a resumed run is the
unbroken one to the last bit (CPU, same threads).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from llm_assets.core.recipe.post_training import RlhfModelConfig
from llm_assets.lm import checkpoint
from llm_assets.lm.device import autocast
from llm_assets.lm.generation import generate
from llm_assets.lm.ppo import (
    KlController,
    PpoSettings,
    Rollouts,
    ValueHead,
    advantages,
    fit_values,
    pack,
    score_rollouts,
    token_rewards,
    update,
)
from llm_assets.stages.rl.measuring import Measure, Scale, Scorer, measure
from llm_assets.stages.rl.prompts import Example, round_examples
from llm_assets.stages.rl.selection import Candidate, GoldBand, better, candidate

# Ridge of the critic's first fit, relative to a feature's mean square: hundreds of features against thousands of tokens.
_RIDGE = 0.1
# Streams of random numbers that must not meet.
SAMPLES, VALIDATION, TEST, MINIBATCHES, IMITATION, ORDER = range(6)


def stream_seed(config: RlhfModelConfig, stream: int, iteration: int = 0) -> int:
    """A 32-bit seed for one stream in one round."""
    return int(np.random.SeedSequence([config.seed, stream, iteration]).generate_state(1)[0])


@dataclass
class Cast:
    """The models of a run. The policy starts as the reference; both are in evaluation mode (dropout off) throughout."""

    policy: Any
    reference: Any
    scorer: Scorer
    tokenizer: Any

    @property
    def end_id(self) -> int:
        """The id that ends an answer."""
        return self.scorer.end_id


@dataclass
class Data:
    """Examples by use."""

    train: list[Example]
    imitate: list[Example]  # of every task: what the supervised loss repeats
    validation: list[Example]
    test: list[Example]
    too_long: int


@dataclass
class State:
    """All that changes from round to round; with the policy's weights, all that a checkpoint holds (case B35)."""

    head: ValueHead
    optimiser: torch.optim.Optimizer
    controller: KlController
    kept: Candidate
    kept_weights: dict[str, torch.Tensor] | None = None  # None: the reference's
    iteration: int = 0
    tokens: int = 0  # answer tokens sampled
    scale: Scale | None = None
    kl_at_start: float = 0.0  # largest |log p − log q| of a sampled token before the first update
    history: list[dict[str, Any]] = field(default_factory=list)


def initial(cast: Cast, config: RlhfModelConfig, kept: Candidate) -> State:
    """Before the first round."""
    head = ValueHead(cast.policy.config.hidden_size).to(cast.policy.device)
    optimiser = torch.optim.AdamW(
        [
            {"params": list(cast.policy.parameters()), "lr": config.learning_rate},
            {"params": list(head.parameters()), "lr": config.value_learning_rate},
        ],
        betas=(0.9, 0.95),
        weight_decay=0.0,
    )
    adaptive = config.kl_controller == "adaptive"
    controller = KlController(config.kl_coefficient, target=config.kl_target_nats, horizon=config.kl_horizon, adaptive=adaptive)
    return State(head, optimiser, controller, kept)


def save(folder: Path, cast: Cast, state: State) -> None:
    """Checkpoint the round just finished."""
    checkpoint.save(
        folder,
        state.iteration,
        {
            "policy": cast.policy.state_dict(),
            "head": state.head.state_dict(),
            "optimiser": state.optimiser.state_dict(),
            "kl_coefficient": state.controller.coefficient,
            "kept": state.kept.record(),
            "kept_weights": state.kept_weights,
            "tokens": state.tokens,
            "scale": None if state.scale is None else [state.scale.mean, state.scale.sd],
            "kl_at_start": state.kl_at_start,
            "history": state.history,
        },
    )


def resume(folder: Path, cast: Cast, state: State) -> bool:
    """Go back to the newest whole checkpoint; False where there is none."""
    found = checkpoint.newest(folder, map_location=cast.policy.device)
    if found is None:
        return False
    state.iteration, saved = found
    cast.policy.load_state_dict(saved["policy"])
    state.head.load_state_dict(saved["head"])
    state.optimiser.load_state_dict(saved["optimiser"])
    state.controller.coefficient = saved["kl_coefficient"]
    state.kept = Candidate(**saved["kept"])
    state.kept_weights = saved["kept_weights"]
    state.tokens = saved["tokens"]
    state.scale = None if saved["scale"] is None else Scale(*saved["scale"])
    state.kl_at_start = saved["kl_at_start"]
    state.history = saved["history"]
    return True


def distinct_prompts(config: RlhfModelConfig) -> int:
    """Prompts of one round."""
    return config.rollouts_per_iteration // config.samples_per_prompt


def imitated_a_round(config: RlhfModelConfig) -> int:
    """Reference answers that one round imitates; 0 where the supervised loss is off."""
    if config.ptx_coefficient == 0:
        return 0
    prompts_an_update = max(1, config.minibatch_size // config.samples_per_prompt)
    return config.epochs * -(-distinct_prompts(config) // prompts_an_update) * config.ptx_batch_size


def imitated(data: Data, config: RlhfModelConfig, iteration: int) -> list[list[Example]]:
    """The examples whose reference answers a round's updates imitate, a list an update."""
    drawn = round_examples(data.imitate, imitated_a_round(config), iteration)
    return [drawn[start : start + config.ptx_batch_size] for start in range(0, len(drawn), config.ptx_batch_size)]


def train_round(cast: Cast, data: Data, state: State, config: RlhfModelConfig) -> dict[str, Any]:
    """One round of rollouts and updates; returns its row of the history."""
    iteration = state.iteration + 1
    distinct = [example.prompt_ids for example in round_examples(data.train, distinct_prompts(config), iteration)]
    prompts = [prompt for prompt in distinct for _ in range(config.samples_per_prompt)]
    answers = generate(
        cast.policy,
        prompts,
        max_new_tokens=config.max_answer_tokens,
        eos_ids=[cast.end_id],
        temperature=1.0,
        seed=stream_seed(config, SAMPLES, iteration),
    )
    packed = pack(distinct, answers, cast.policy.device)
    with autocast(cast.policy.device, config.dtype):
        rollouts = score_rollouts(cast.policy, cast.reference, state.head, packed, keep_hidden=iteration == 1)
    raw = cast.scorer(prompts, answers)
    if state.scale is None:
        state.scale = Scale.of(raw)
        state.kl_at_start = float((rollouts.logprobs - rollouts.reference).abs().max())
    ended = torch.tensor([answer[-1] == cast.end_id for answer in answers])
    scores = state.scale.apply(raw).clamp(-config.reward_clip_sd, config.reward_clip_sd)
    scores = (scores - config.missing_end_penalty_sd * ~ended).to(cast.policy.device)
    rewards = token_rewards(rollouts, scores, state.controller.coefficient)
    if iteration == 1:
        _first_fit(state.head, rollouts, rewards, config.gamma)
    row: dict[str, Any] = {
        "step": iteration,
        "tokens": state.tokens + rollouts.tokens,
        "learning_rate": config.learning_rate,
        "kl_coefficient": state.controller.coefficient,
        "reward_sd": float(state.scale.apply(raw).mean()),
        "kl_nats": float(rollouts.kl_exact.mean()),
        "kl_sampled_nats": float(rollouts.kl_sampled.mean()),
        "entropy_nats": rollouts.entropy,
        "answer_tokens": rollouts.tokens / len(answers),
        "ended_share": float(ended.float().mean()),
        "explained_variance": _explained(rollouts, rewards, config),
    }
    row |= _update(cast, data, state, config, iteration, rollouts, rewards)
    state.controller.update(float(rollouts.kl_exact.mean()), len(answers))
    state.iteration, state.tokens = iteration, state.tokens + rollouts.tokens
    return row


def _first_fit(head: ValueHead, rollouts: Rollouts, rewards: torch.Tensor, gamma: float) -> None:
    """Solve for the critic on the first rollouts (policy = reference), whose hidden states were kept."""
    if rollouts.hidden is None:
        raise ValueError("the first rollouts must be scored with keep_hidden")
    _, returns = advantages(rewards, torch.zeros_like(rewards), rollouts.answer_mask, gamma, 1.0)
    fit_values(head, rollouts.hidden, returns[rollouts.answer_mask], ridge=_RIDGE)
    with torch.no_grad():
        rollouts.values[rollouts.answer_mask] = head(rollouts.hidden)


def _explained(rollouts: Rollouts, rewards: torch.Tensor, config: RlhfModelConfig) -> float:
    """1 − Var(returns − values) / Var(returns) over answer tokens, with Monte-Carlo returns."""
    _, returns = advantages(rewards, torch.zeros_like(rewards), rollouts.answer_mask, config.gamma, 1.0)
    wanted, given = returns[rollouts.answer_mask], rollouts.values[rollouts.answer_mask]
    return float(1 - (wanted - given).var() / wanted.var().clamp(min=1e-12))


def _update(
    cast: Cast,
    data: Data,
    state: State,
    config: RlhfModelConfig,
    iteration: int,
    rollouts: Rollouts,
    rewards: torch.Tensor,
) -> dict[str, float]:
    settings = PpoSettings(
        epochs=config.epochs,
        minibatch_size=config.minibatch_size,
        clip_ratio=config.clip_ratio,
        value_clip=config.value_clip,
        gamma=config.gamma,
        gae_lambda=config.gae_lambda,
        gradient_clip=config.gradient_clip,
        ptx_coefficient=config.ptx_coefficient,
    )
    supervised = [
        pack([e.prompt_ids for e in batch], [e.answer_ids for e in batch], cast.policy.device)
        for batch in imitated(data, config, iteration)
    ]
    generator = torch.Generator().manual_seed(stream_seed(config, MINIBATCHES, iteration))
    with autocast(cast.policy.device, config.dtype):
        return update(cast.policy, state.head, state.optimiser, rollouts, rewards, settings, generator, supervised)


def measure_on(cast: Cast, policy: Any, examples: Sequence[Example], config: RlhfModelConfig, stream: int) -> Measure:
    """Judge a policy; every policy gets the same uniform numbers, so that comparisons are paired down to the sampling noise."""
    return measure(
        policy,
        cast.reference,
        cast.scorer,
        cast.tokenizer,
        examples,
        max_answer_tokens=config.max_answer_tokens,
        seed=stream_seed(config, stream, 1),
    )


def judge(cast: Cast, data: Data, state: State, config: RlhfModelConfig, before: Measure, band: GoldBand) -> dict[str, Any]:
    """Measure the round on the validation prompts and keep it if it is the best so far; returns columns for the history."""
    if state.scale is None:
        raise ValueError("a round is judged after it was trained")
    after = measure_on(cast, cast.policy, data.validation, config, VALIDATION)
    gain = float(np.mean(np.subtract(after.raw_rewards, before.raw_rewards))) / state.scale.sd
    gold, kl = float(np.mean(after.rouge_l)), float(np.mean(after.kl_exact))
    new = candidate(state.iteration, gain, kl, gold, band=band, kl_ceiling=config.kl_ceiling_nats)
    if better(new, state.kept):
        state.kept = new
        state.kept_weights = {name: tensor.detach().clone() for name, tensor in cast.policy.state_dict().items()}
    return {
        "validation_reward_gain_sd": gain,
        "validation_kl_nats": kl,
        "validation_rouge_l": gold,
        "eligible": new.eligible,
    }


def collapsed(history: Sequence[dict[str, Any]], config: RlhfModelConfig) -> bool:
    """Whether the mean sampled KL was below the limit in the last rounds: sampling and scoring disagree (case B34)."""
    last = history[-config.collapse_iterations :]
    return len(last) == config.collapse_iterations and all(row["kl_sampled_nats"] < config.collapse_kl_nats for row in last)
