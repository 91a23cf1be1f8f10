"""Proximal policy optimisation for language models: the arithmetic, a value head, and one update from a batch of rollouts.

Schulman et al. 2017 (clipped ratio), 2016 (generalised advantage estimation); Ziegler et al. 2019 (per-token KL penalty
against a reference, adaptive coefficient); Ouyang et al. 2022 (mixing in the supervised loss, "ptx"). TRL removed its PPO; in
this one every pass scores exactly the distribution that was sampled from, so the KL at equal weights is 0 to the last
bit (case B34), and that the value head reads *detached* hidden states: fitting values never moves the policy.

Layouts: what belongs to answer tokens is (answers, longest answer), or flat (answer tokens of all answers in order). Dropout is
off throughout: models are in evaluation mode, gradients flow all the same.
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
    minibatch_size: int = 64  # answers
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


@dataclass(frozen=True)
class Packed:
    """Prompts with one or more answers each, a row a prompt: ``prompt answer answer … padding``.

    Each answer sees its prompt and itself, at the positions it would have alone: a prompt is computed once for all
    its answers, which for short answers to long prompts is most of the work.
    """

    ids: Tensor  # (rows, length)
    positions: Tensor  # (rows, length)
    segments: Tensor  # (rows, length): 0 prompt, 1… the answers, −1 padding
    prompt_lengths: Tensor  # (rows,)
    starts: Tensor  # (rows, answers a prompt): column of an answer's first token
    lengths: Tensor  # (rows, answers a prompt)

    def __len__(self) -> int:
        """Answers."""
        return self.lengths.numel()

    @property
    def answers_each(self) -> int:
        """Answers a prompt."""
        return self.lengths.shape[1]

    @property
    def answer_mask(self) -> Tensor:
        """(answers, longest answer) bool: where there is a token."""
        lengths = self.lengths.flatten()
        return torch.arange(int(lengths.max()), device=lengths.device) < lengths[:, None]

    def take(self, rows: Tensor) -> "Packed":
        """Some of the prompts with their answers, cut to the longest of them."""
        ends = self.starts[rows, -1] + self.lengths[rows, -1]
        width = int(ends.max())
        ids, positions, segments = (part[rows, :width] for part in (self.ids, self.positions, self.segments))
        return Packed(ids, positions, segments, self.prompt_lengths[rows], self.starts[rows], self.lengths[rows])

    def answer_rows(self, rows: Tensor) -> Tensor:
        """Indices of the answers to some of the prompts, in the order ``take`` has them."""
        each = torch.arange(self.answers_each, device=rows.device)
        return (rows[:, None] * self.answers_each + each).flatten()

    def attention(self) -> Tensor | None:
        """(rows, 1, length, length) bool; None where plain causal attention is the same (one answer a prompt)."""
        if self.answers_each == 1:
            return None
        length = self.ids.shape[1]
        causal = torch.ones((length, length), dtype=torch.bool, device=self.ids.device).tril()
        ours = self.segments[:, :, None] == self.segments[:, None, :]
        return (causal & (ours | (self.segments[:, None, :] == 0)))[:, None]

    def columns(self) -> tuple[Tensor, Tensor]:
        """Columns of each answer's tokens and of what predicts them, (answers, longest answer); clamped where there is none."""
        step = torch.arange(int(self.lengths.max()), device=self.ids.device)
        own = self.starts.flatten()[:, None] + step
        before = torch.where(step == 0, self.prompt_lengths.repeat_interleave(self.answers_each)[:, None] - 1, own - 1)
        last = self.ids.shape[1] - 1
        return own.clamp(max=last), before.clamp(max=last)


def pack(prompts: Sequence[Sequence[int]], answers: Sequence[Sequence[int]], device: torch.device) -> Packed:
    """Lay out ``answers``, the same number for each prompt and in the prompts' order.

    ``InputError`` on an empty prompt or answer, or where the numbers don't match.
    """
    each, rest = divmod(len(answers), len(prompts))
    if rest or each == 0:
        raise InputError(f"{len(answers)} answers can't be shared out evenly over {len(prompts)} prompts")
    if not all(prompts) or not all(answers):
        raise InputError("a rollout needs at least one prompt token and one answer token")
    rows: dict[str, list[list[int]]] = {name: [] for name in ("ids", "positions", "segments", "starts", "lengths")}
    for number, prompt in enumerate(prompts):
        ids, positions, segments = list(prompt), list(range(len(prompt))), [0] * len(prompt)
        own = answers[number * each : (number + 1) * each]
        rows["starts"].append([])
        for segment, answer in enumerate(own, 1):
            rows["starts"][-1].append(len(ids))
            ids += answer
            positions += range(len(prompt), len(prompt) + len(answer))
            segments += [segment] * len(answer)
        rows["lengths"].append([len(answer) for answer in own])
        for name, values in (("ids", ids), ("positions", positions), ("segments", segments)):
            rows[name].append(values)
    return Packed(
        right_pad(rows["ids"]).to(device),
        right_pad(rows["positions"]).to(device),
        right_pad(rows["segments"], fill=-1).to(device),
        torch.tensor([len(prompt) for prompt in prompts], device=device),
        torch.tensor(rows["starts"], device=device),
        torch.tensor(rows["lengths"], device=device),
    )


@dataclass
class Rollouts:
    """Prompts with sampled answers, and what the policy, its reference and the critic said when they were sampled."""

    packed: Packed
    logprobs: Tensor  # (answers, longest answer), nats, 0 where there is no token
    reference: Tensor  # the same under the reference
    values: Tensor  # the critic's
    entropy: float  # nats a token, of the policy's distribution
    kl_exact: Tensor  # (answers,) nats an answer: sum over its tokens of the full KL(policy ‖ reference)
    hidden: Tensor | None = None  # (answer tokens of all answers in order, hidden), where asked for

    @property
    def answer_mask(self) -> Tensor:
        """(answers, longest answer) bool."""
        return self.packed.answer_mask

    @property
    def kl_sampled(self) -> Tensor:
        """(answers,) nats an answer: sum of log p − log q of the sampled tokens. Unbiased; negative only by noise."""
        return (self.logprobs - self.reference).sum(-1)

    @property
    def tokens(self) -> int:
        """Answer tokens."""
        return int(self.packed.lengths.sum())


def predictions(model: Any, packed: Packed) -> tuple[Tensor, Tensor, Tensor]:
    """For each answer token, flat: log-softmax of its distribution (tokens, vocabulary), its id, the hidden state behind it."""
    states = model.base_model(
        input_ids=packed.ids, attention_mask=packed.attention(), position_ids=packed.positions, use_cache=False
    ).last_hidden_state
    own, before = packed.columns()
    mask = packed.answer_mask
    row = torch.arange(len(packed.ids), device=mask.device).repeat_interleave(packed.answers_each)[:, None].expand_as(mask)
    hidden = states[row[mask], before[mask]]
    return torch.log_softmax(token_logits(model, hidden), -1), packed.ids[row[mask], own[mask]], hidden


@torch.no_grad()
def score_rollouts(
    policy: Any, reference: Any, head: ValueHead | None, packed: Packed, *, batch_size: int = 64, keep_hidden: bool = False
) -> Rollouts:
    """Run policy, reference and critic over sampled answers, ``batch_size`` rows at a time.

    Policy and reference go through the same code on the same batch: at equal weights they agree to the last bit.
    """
    mask = packed.answer_mask
    names = ("logprobs", "reference", "values", "kl")
    columns = {name: torch.zeros(mask.shape, device=mask.device) for name in names}
    kept: list[tuple[Tensor, Tensor]] = []
    entropy = torch.zeros((), dtype=torch.float64, device=mask.device)
    # Rows of like length share a batch: padding is then small.
    order = torch.argsort((packed.segments >= 0).sum(-1), stable=True)
    for rows in torch.split(order, batch_size):
        own, targets, hidden = predictions(policy, packed.take(rows))
        other, _, _ = predictions(reference, packed.take(rows))
        probabilities = own.exp()
        entropy -= (probabilities * own).sum().double()
        found = {
            "logprobs": own.gather(-1, targets[:, None]).squeeze(-1),
            "reference": other.gather(-1, targets[:, None]).squeeze(-1),
            "values": torch.zeros_like(own[:, 0]) if head is None else head(hidden),
            "kl": (probabilities * (own - other)).sum(-1),
        }
        answers = packed.answer_rows(rows)
        for name, flat in found.items():
            part = torch.zeros((len(answers), mask.shape[1]), device=mask.device)
            part[mask[answers]] = flat.float()
            columns[name][answers] = part
        if keep_hidden:
            kept.append((answers, hidden))
    return Rollouts(
        packed=packed,
        logprobs=columns["logprobs"],
        reference=columns["reference"],
        values=columns["values"],
        entropy=float(entropy) / int(mask.sum()),
        kl_exact=columns["kl"].sum(-1),
        hidden=_in_order(kept, mask) if keep_hidden else None,
    )


def _in_order(parts: Sequence[tuple[Tensor, Tensor]], mask: Tensor) -> Tensor:
    """Hidden states that came batch by batch, (tokens, hidden), in the order of the answers."""
    whole = torch.zeros((*mask.shape, parts[0][1].shape[-1]), device=mask.device)
    for answers, hidden in parts:
        part = torch.zeros((len(answers), *whole.shape[1:]), device=mask.device)
        part[mask[answers]] = hidden.float()
        whole[answers] = part
    return whole[mask]


def token_rewards(rollouts: Rollouts, scores: Tensor, kl_coefficient: float) -> Tensor:
    """(answers, longest answer): −β (log p − log q) at every token, plus the answer's score at its last one."""
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


def supervised_loss(model: Any, packed: Packed) -> Tensor:
    """Mean −log p (nats) of the answer tokens."""
    scores, targets, _ = predictions(model, packed)
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
    supervised: Sequence[Packed] = (),
) -> dict[str, float]:
    """One PPO update: ``epochs`` passes over the rollouts in minibatches; returns means over the minibatches.

    ``supervised``: prompts with reference answers, one batch a minibatch, used where ``ptx_coefficient`` > 0. The gradients of
    policy and critic are clipped apart, so that a large value error can't shrink the policy's step.
    """
    estimates, returns = advantages(rewards, rollouts.values, rollouts.answer_mask, settings.gamma, settings.gae_lambda)
    mask = rollouts.answer_mask
    estimates = whiten(estimates, mask)
    sums: dict[str, float] = {}
    packed = rollouts.packed
    parts = minibatches(len(packed.ids), max(1, settings.minibatch_size // packed.answers_each), settings.epochs, generator)
    for number, chosen in enumerate(parts):
        rows = chosen.to(mask.device)
        answers = packed.answer_rows(rows)
        marks = mask[answers]
        scores, targets, hidden = predictions(policy, packed.take(rows))
        logprobs = scores.gather(-1, targets[:, None]).squeeze(-1)
        old = rollouts.logprobs[answers][marks]
        surrogate, clipped = policy_loss(logprobs, old, estimates[answers][marks], settings.clip_ratio)
        critic = value_loss(
            head(hidden.detach()), rollouts.values[answers][marks], returns[answers][marks], settings.value_clip
        )
        loss = surrogate + critic
        figures = {
            "policy_loss": surrogate,
            "value_loss": critic,
            "clipped_share": clipped,
            "update_kl_nats": (old - logprobs).mean(),
        }
        if settings.ptx_coefficient > 0:
            imitation = supervised_loss(policy, supervised[number])
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
