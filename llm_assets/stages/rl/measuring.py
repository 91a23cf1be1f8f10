"""How a policy is judged: the reward model's score, the distance from the reference, and a gold metric it is not trained on."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from llm_assets.core.errors import InputError
from llm_assets.lm.generation import generate, right_pad
from llm_assets.lm.ppo import pack, score_rollouts
from llm_assets.lm.rouge import rouge_l
from llm_assets.stages.rl.prompts import Example


@dataclass(frozen=True)
class Scale:
    """Mean and standard deviation of raw scores of the reference's answers: what a reward is counted in."""

    mean: float
    sd: float

    @classmethod
    def of(cls, raw: torch.Tensor) -> "Scale":
        """From raw scores (sequences,); ``InputError`` when they do not differ at all."""
        sd = float(raw.double().std(unbiased=False))
        if not sd > 1e-6:
            raise InputError(
                "the reward model gives every answer the same score; it can't teach anything: rebuild reward_model"
            )
        return cls(float(raw.double().mean()), sd)

    def apply(self, raw: torch.Tensor) -> torch.Tensor:
        """Raw scores in standard deviations from the reference's mean."""
        return (raw - self.mean) / self.sd


class Scorer:
    """The reward model over chat ids, padded on the right. An answer cut off is scored as if its turn ended there."""

    def __init__(self, model: Any, end_id: int, batch_size: int = 64) -> None:
        if model.config.pad_token_id is None:
            raise InputError("the reward model's config has no pad_token_id, so it can't score batches; rebuild reward_model")
        self.model, self.end_id, self.batch_size = model, end_id, batch_size

    @torch.inference_mode()
    def __call__(self, prompts: Sequence[Sequence[int]], answers: Sequence[Sequence[int]]) -> torch.Tensor:
        """Raw scores (sequences,), float32 on the CPU."""
        rows = [
            [*prompt, *answer] if answer and answer[-1] == self.end_id else [*prompt, *answer, self.end_id]
            for prompt, answer in zip(prompts, answers, strict=True)
        ]
        scores = torch.zeros(len(rows))
        order = sorted(range(len(rows)), key=lambda index: (len(rows[index]), index))
        pad = int(self.model.config.pad_token_id)
        for start in range(0, len(order), self.batch_size):
            chosen = order[start : start + self.batch_size]
            ids = right_pad([rows[index] for index in chosen], fill=pad).to(self.model.device)
            logits = self.model(input_ids=ids, attention_mask=(ids != pad).long(), use_cache=False).logits
            scores[chosen] = logits[:, 0].float().cpu()
        return scores


@dataclass(frozen=True)
class Measure:
    """One policy on one set of prompts; lists have one entry a prompt."""

    answers: list[list[int]]  # fresh samples at temperature 1
    greedy: list[str]
    raw_rewards: list[float]
    rouge_l: list[float]  # of the greedy answers
    kl_exact: list[float]  # nats a sequence
    kl_sampled: list[float]
    entropy: float  # nats a token

    @property
    def mean_length(self) -> float:
        """Tokens of a sampled answer, its end included."""
        return sum(map(len, self.answers)) / len(self.answers)


def measure(
    policy: Any,
    reference: Any,
    scorer: Scorer,
    tokenizer: Any,
    examples: Sequence[Example],
    *,
    max_answer_tokens: int,
    seed: int,
) -> Measure:
    """Sample once and decode greedily once for each example, with dropout off; the seed fixes the samples."""
    prompts = [example.prompt_ids for example in examples]
    options: dict[str, Any] = {"max_new_tokens": max_answer_tokens, "eos_ids": [scorer.end_id]}
    sampled = generate(policy, prompts, temperature=1.0, seed=seed, **options)
    greedy = [tokenizer.decode(ids, skip_special_tokens=True).strip() for ids in generate(policy, prompts, **options)]
    scored = score_rollouts(policy, reference, None, pack(prompts, sampled, policy.device))
    return Measure(
        answers=sampled,
        greedy=greedy,
        raw_rewards=scorer(prompts, sampled).tolist(),
        rouge_l=rouge_l([example.reference for example in examples], greedy),
        kl_exact=scored.kl_exact.tolist(),
        kl_sampled=scored.kl_sampled.tolist(),
        entropy=scored.entropy,
    )
