"""Proximal policy optimisation for language models: the arithmetic, a value head, and one update from a batch of rollouts.

Schulman et al. 2017 (clipped ratio), 2016 (generalised advantage estimation); Ziegler et al. 2019 (per-token KL penalty
against a reference, adaptive coefficient); Ouyang et al. 2022 (mixing in the supervised loss, "ptx"). TRL removed its PPO; in
this one every pass scores exactly the distribution that was sampled from, so the KL at equal weights is 0 to the last
bit (case B34), and that the value head reads *detached* hidden states: fitting values never moves the policy.

Layouts: sequences are (rows, length) ids, padded on the right; what belongs to answer tokens is (rows, longest answer), or flat
(answer tokens of all rows in order). Dropout is off throughout: models are in evaluation mode, gradients flow all the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from llm_assets.core.errors import InputError
from llm_assets.lm.generation import right_pad, token_logits


@dataclass(frozen=True)
class PpoSettings:
    """What one update needs to know; the fields are explained in the recipe."""

    epochs: int = 1
    minibatch_size: int = 64  # sequences
    clip_ratio: float = 0.2
    value_clip: float = 0.2
    gamma: float = 1.0
    gae_lambda: float = 0.95
    gradient_clip: float = 1.0
    ptx_coefficient: float = 0.0


class ValueHead(nn.Module):
    """Expected return at each token, a linear read-out of the policy's final hidden state. Starts at 0."""

    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.linear = nn.Linear(hidden_size, 1)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, hidden: Tensor) -> Tensor:
        """(…, hidden) → (…)."""
        return self.linear(hidden.float()).squeeze(-1)  # type: ignore[no-any-return]


@dataclass
class Rollouts:
    """Prompts with sampled answers, and what the policy, its reference and the critic said when they were sampled."""

    ids: Tensor  # (rows, length) prompt + answer, right-padded
    mask: Tensor  # (rows, length) bool: answer tokens
    answer_mask: Tensor  # (rows, longest answer) bool
    logprobs: Tensor  # (rows, longest answer), nats, 0 where there is no token
    reference: Tensor  # the same under the reference
    values: Tensor  # the critic's
    entropy: float  # nats a token, of the policy's distribution
    kl_exact: Tensor  # (rows,) nats a sequence: sum over its tokens of the full KL(policy ‖ reference)
    hidden: Tensor | None = None  # (answer tokens of all rows in order, hidden), where asked for

    @property
    def kl_sampled(self) -> Tensor:
        """(rows,) nats a sequence: sum of log p − log q of the sampled tokens. Unbiased; negative only by noise."""
        return (self.logprobs - self.reference).sum(-1)

    @property
    def tokens(self) -> int:
        """Answer tokens."""
        return int(self.answer_mask.sum())


def pack(prompts: Sequence[Sequence[int]], answers: Sequence[Sequence[int]], device: torch.device) -> tuple[Tensor, Tensor]:
    """Ids and answer mask, both (rows, length); ``InputError`` on an empty prompt or answer."""
    for prompt, answer in zip(prompts, answers, strict=True):
        if not prompt or not answer:
            raise InputError("a rollout needs at least one prompt token and one answer token")
    ids = right_pad([[*prompt, *answer] for prompt, answer in zip(prompts, answers, strict=True)])
    mask = right_pad([[0] * len(prompt) + [1] * len(answer) for prompt, answer in zip(prompts, answers, strict=True)])
    return ids.to(device), mask.to(device, torch.bool)


def trim(ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Cut the columns after the last marked token of any row (they can't influence a marked one)."""
    width = int(mask.any(0).nonzero().max()) + 1
    return ids[:, :width], mask[:, :width]


def predictions(model: Any, ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """For each marked token, flat: log-softmax of its distribution (tokens, vocabulary), its id, the hidden state behind it."""
    hidden = model.base_model(input_ids=ids[:, :-1], use_cache=False).last_hidden_state[mask[:, 1:]]
    return torch.log_softmax(token_logits(model, hidden), -1), ids[:, 1:][mask[:, 1:]], hidden


@torch.no_grad()
def score_rollouts(
    policy: Any,
    reference: Any,
    head: ValueHead | None,
    ids: Tensor,
    mask: Tensor,
    *,
    batch_size: int = 64,
    keep_hidden: bool = False,
) -> Rollouts:
    """Run policy, reference and critic over sampled sequences. Both models go through the same code on the same batch."""
    lengths = mask.sum(-1)
    width = int(lengths.max())
    answer_mask = torch.arange(width, device=ids.device) < lengths[:, None]
    columns = {name: torch.zeros(answer_mask.shape, device=ids.device) for name in ("logprobs", "reference", "values", "kl")}
    entropy = torch.zeros((), dtype=torch.float64, device=ids.device)
    kept: Tensor | None = None
    # Rows of like length share a batch: padding is then small.
    order = torch.argsort(mask.flip(1).long().argmax(1), stable=True)
    for rows in torch.split(order, batch_size):
        batch, marks = trim(ids[rows], mask[rows])
        own, targets, hidden = predictions(policy, batch, marks)
        other, _, _ = predictions(reference, batch, marks)
        probabilities = own.exp()
        entropy -= (probabilities * own).sum().double()
        found = {
            "logprobs": own.gather(-1, targets[:, None]).squeeze(-1),
            "reference": other.gather(-1, targets[:, None]).squeeze(-1),
            "values": torch.zeros_like(targets, dtype=torch.float32) if head is None else head(hidden),
            "kl": (probabilities * (own - other)).sum(-1),
        }
        for name, flat in found.items():
            part = torch.zeros((len(rows), width), device=ids.device)
            part[answer_mask[rows]] = flat
            columns[name][rows] = part
        if keep_hidden:
            kept = torch.zeros((*answer_mask.shape, hidden.shape[-1]), device=ids.device) if kept is None else kept
            part = torch.zeros((len(rows), width, hidden.shape[-1]), device=ids.device)
            part[answer_mask[rows]] = hidden.float()
            kept[rows] = part
    return Rollouts(
        ids=ids,
        mask=mask,
        answer_mask=answer_mask,
        logprobs=columns["logprobs"],
        reference=columns["reference"],
        values=columns["values"],
        entropy=float(entropy) / int(lengths.sum()),
        kl_exact=columns["kl"].sum(-1),
        hidden=None if kept is None else kept[answer_mask],
    )


def token_rewards(rollouts: Rollouts, scores: Tensor, kl_coefficient: float) -> Tensor:
    """(rows, longest answer): −β (log p − log q) at every token, plus the sequence's score at its last one."""
    rewards = -kl_coefficient * (rollouts.logprobs - rollouts.reference)
    last = rollouts.answer_mask.sum(-1) - 1
    rewards[torch.arange(len(last), device=last.device), last] += scores
    return rewards * rollouts.answer_mask


def advantages(rewards: Tensor, values: Tensor, mask: Tensor, gamma: float, gae_lambda: float) -> tuple[Tensor, Tensor]:
    """Generalised advantage estimates and returns (advantage + value), both (rows, tokens), 0 outside the mask.

    A_t = δ_t + γλ A_{t+1}, δ_t = r_t + γ V_{t+1} − V_t, with V = 0 after the last token.
    """
    result = torch.zeros_like(rewards)
    running = torch.zeros_like(rewards[:, 0])
    following = torch.zeros_like(running)
    for step in reversed(range(rewards.shape[1])):
        here = mask[:, step]
        delta = rewards[:, step] + gamma * following - values[:, step]
        running = torch.where(here, delta + gamma * gae_lambda * running, torch.zeros_like(running))
        following = torch.where(here, values[:, step], torch.zeros_like(running))
        result[:, step] = running
    return result, (result + values) * mask


def whiten(values: Tensor, mask: Tensor) -> Tensor:
    """Shift and scale to mean 0, standard deviation 1 over the marked entries; 0 elsewhere."""
    marked = values[mask]
    scale = marked.std(unbiased=False).clamp(min=1e-8)
    return (values - marked.mean()) / scale * mask


def policy_loss(logprobs: Tensor, old: Tensor, advantage: Tensor, clip: float) -> tuple[Tensor, Tensor]:
    """Mean of −min(ρ A, clip(ρ, 1 ± ε) A) over tokens, and the share of tokens where the clip was active."""
    ratio = (logprobs - old).exp()
    plain, clipped = ratio * advantage, ratio.clamp(1 - clip, 1 + clip) * advantage
    return -torch.minimum(plain, clipped).mean(), (clipped < plain).float().mean()


def value_loss(values: Tensor, old: Tensor, returns: Tensor, clip: float) -> Tensor:
    """Half the mean of the larger squared error of the value and of the value held within ± clip of the old one."""
    held = old + (values - old).clamp(-clip, clip)
    return 0.5 * torch.maximum((values - returns) ** 2, (held - returns) ** 2).mean()


class KlController:
    """The coefficient β of the KL penalty: fixed, or steered towards a target (Ziegler et al. 2019, section 2.2).

    β ← β (1 + e · n / horizon), e = KL / target − 1 held within ± 0.2, n = sequences seen since the last update.
    """

    def __init__(self, coefficient: float, *, target: float, horizon: int, adaptive: bool) -> None:
        self.coefficient = coefficient
        self.target, self.horizon, self.adaptive = target, horizon, adaptive

    def update(self, kl: float, sequences: int) -> None:
        """Steer by the mean KL (nats a sequence) of the last rollouts."""
        if self.adaptive:
            error = min(0.2, max(-0.2, kl / self.target - 1))
            self.coefficient *= 1 + error * sequences / self.horizon


def supervised_loss(model: Any, ids: Tensor, mask: Tensor) -> Tensor:
    """Mean −log p (nats) of the marked tokens."""
    scores, targets, _ = predictions(model, *trim(ids, mask))
    return -scores.gather(-1, targets[:, None]).mean()


def minibatches(rows: int, size: int, epochs: int, generator: torch.Generator) -> list[Tensor]:
    """Row indices of each update: every epoch a fresh permutation, cut into parts of ``size``."""
    return [part for _ in range(epochs) for part in torch.split(torch.randperm(rows, generator=generator), size)]


def update(
    policy: Any,
    head: ValueHead,
    optimiser: torch.optim.Optimizer,
    rollouts: Rollouts,
    rewards: Tensor,
    settings: PpoSettings,
    generator: torch.Generator,
    supervised: Sequence[tuple[Tensor, Tensor]] = (),
) -> dict[str, float]:
    """One PPO update: ``epochs`` passes over the rollouts in minibatches; returns means over the minibatches.

    ``supervised``: one (ids, mask) a minibatch, used where ``ptx_coefficient`` > 0. The gradients of policy and
    critic are clipped apart, so that a large value error can't shrink the policy's step.
    """
    estimates, returns = advantages(rewards, rollouts.values, rollouts.answer_mask, settings.gamma, settings.gae_lambda)
    estimates = whiten(estimates, rollouts.answer_mask)
    sums: dict[str, float] = {}
    parts = minibatches(len(rollouts.ids), settings.minibatch_size, settings.epochs, generator)
    for number, chosen in enumerate(parts):
        rows = chosen.to(rollouts.ids.device)
        marks = rollouts.answer_mask[rows]
        scores, targets, hidden = predictions(policy, *trim(rollouts.ids[rows], rollouts.mask[rows]))
        logprobs = scores.gather(-1, targets[:, None]).squeeze(-1)
        old = rollouts.logprobs[rows][marks]
        surrogate, clipped = policy_loss(logprobs, old, estimates[rows][marks], settings.clip_ratio)
        critic = value_loss(head(hidden.detach()), rollouts.values[rows][marks], returns[rows][marks], settings.value_clip)
        loss = surrogate + critic
        figures = {
            "policy_loss": surrogate,
            "value_loss": critic,
            "clipped_share": clipped,
            "update_kl_nats": (old - logprobs).mean(),
        }
        if settings.ptx_coefficient > 0:
            imitation = supervised_loss(policy, *supervised[number])
            loss = loss + settings.ptx_coefficient * imitation
            figures["ptx_loss_nats"] = imitation
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        figures["gradient_norm"] = nn.utils.clip_grad_norm_(policy.parameters(), settings.gradient_clip)
        nn.utils.clip_grad_norm_(head.parameters(), settings.gradient_clip)
        optimiser.step()
        for name, value in figures.items():
            sums[name] = sums.get(name, 0.0) + float(value.detach())
    return {name: value / len(parts) for name, value in sums.items()}


def fit_values(head: ValueHead, hidden: Tensor, targets: Tensor, *, ridge: float) -> None:
    """Set the head to the least-squares fit of ``targets`` (tokens,) from hidden states (tokens, hidden), exactly and at once.

    With the trunk detached the critic is a linear regression: solving it spares the updates that would only warm it up.
    ``ridge`` is relative to the mean squared size of a feature.
    """
    features = torch.cat([hidden.double(), torch.ones_like(hidden[:, :1], dtype=torch.float64)], -1)
    gram = features.T @ features
    scale = gram.diagonal().mean() * ridge
    weights = torch.linalg.solve(
        gram + scale * torch.eye(len(gram), dtype=gram.dtype, device=gram.device), features.T @ targets.double()
    )
    with torch.no_grad():
        head.linear.weight.copy_(weights[:-1].float()[None])
        head.linear.bias.copy_(weights[-1:].float())
