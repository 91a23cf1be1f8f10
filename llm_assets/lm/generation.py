"""Decoding and log-probabilities for causal models: what rollouts, evaluation and fine-tuning share.

``generate`` is a hand-written loop over ``model(...)`` with a key-value cache that is allocated once and written in place.
transformers' own ``generate`` copies the whole cache each step and keeps finished rows; ``benchmarks/generation.py``
measures both. Prompts are sorted by length, padded on the left, computed once where they repeat; finished rows leave the batch.

Sampling is *pure*: the distribution sampled from is exactly the one ``token_logprobs`` scores (softmax of logits /
temperature: no top-k, no top-p, no length forcing). PPO's KL is only right then.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import Cache, DynamicLayer

from llm_assets.core.errors import InputError

# A batch is compacted once this share of its rows has finished: selecting rows of the cache costs about two decoding steps.
_COMPACT_SHARE = 0.25


class _PreallocatedLayer(DynamicLayer):  # type: ignore[misc]
    """Keys and values of one layer, (rows, heads, capacity, head_dim), written in place; reads are views of the used part."""

    def __init__(self, capacity: int) -> None:
        super().__init__()
        self.capacity = capacity
        self.length = 0

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        """Allocate on the first update, when shapes, dtype and device are known."""
        rows, heads, _, key_dim = key_states.shape
        self.device = key_states.device
        self.keys = key_states.new_zeros((rows, heads, self.capacity, key_dim))
        self.values = value_states.new_zeros((rows, heads, self.capacity, value_states.shape[-1]))
        self.is_initialized = True

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """Append (rows, heads, new, head_dim); returns views of all that is stored."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        end = self.length + key_states.shape[-2]
        self.keys[:, :, self.length : end] = key_states
        self.values[:, :, self.length : end] = value_states
        self.length = end
        return self.keys[:, :, :end], self.values[:, :, :end]

    def get_seq_length(self) -> int:
        """Tokens stored."""
        return self.length

    def select(self, rows: Tensor) -> None:
        """Keep these rows, in this order, repeats allowed."""
        self.keys = self.keys.index_select(0, rows)
        self.values = self.values.index_select(0, rows)


def _check(model: Any, prompts: Sequence[Sequence[int]], max_new_tokens: int, temperature: float, batch_size: int) -> None:
    if max_new_tokens < 1 or batch_size < 1:
        raise InputError(f"max_new_tokens ({max_new_tokens}) and batch_size ({batch_size}) must be at least 1")
    if temperature < 0:
        raise InputError(
            f"temperature is {temperature}; it must be 0 (greedy) or above (1 samples the model's own distribution)"
        )
    if any(len(prompt) == 0 for prompt in prompts):
        raise InputError("a prompt has no tokens; give at least one (the chat template's first control id, say)")
    limit = getattr(model.config, "max_position_embeddings", None)
    longest = max(len(prompt) for prompt in prompts)
    if limit is not None and longest + max_new_tokens > limit:
        raise InputError(
            f"the longest prompt ({longest} tokens) and {max_new_tokens} new tokens exceed the model's {limit} positions; "
            "shorten the prompt or ask for fewer tokens"
        )


@torch.inference_mode()
def generate(
    model: Any,
    prompts: Sequence[Sequence[int]],
    *,
    max_new_tokens: int,
    eos_ids: Sequence[int],
    temperature: float = 0.0,
    seed: int = 0,
    batch_size: int = 64,
) -> list[list[int]]:
    """The new ids for each prompt, in the order given.

    An answer ends *with* the end id that stopped it, so that a caller can tell it from one cut off at ``max_new_tokens``.
    ``temperature`` 0 is greedy; otherwise ids are drawn from softmax(logits / temperature) with the uniform number that
    (``seed``, index of the prompt, step) fixes: the result doesn't depend on ``batch_size`` or on the other prompts, save where
    two logits (or a draw and a boundary) are closer than float rounding, about 1e-6. Dropout is off inside; the model's mode is
    restored. Raises ``InputError`` for an empty prompt or one that doesn't fit the model's positions.
    """
    if not prompts:
        return []
    _check(model, prompts, max_new_tokens, temperature, batch_size)
    uniforms = None
    if temperature > 0:
        # (prompts, steps), one row a prompt: what a row draws doesn't depend on how rows are batched.
        generator = torch.Generator().manual_seed(seed)
        uniforms = torch.rand((len(prompts), max_new_tokens), generator=generator, dtype=torch.float64)
    order = sorted(range(len(prompts)), key=lambda index: (len(prompts[index]), index))
    answers: list[list[int]] = [[] for _ in prompts]
    was_training = model.training
    model.eval()
    try:
        for start in range(0, len(order), batch_size):
            rows = order[start : start + batch_size]
            drawn = None if uniforms is None else uniforms[rows].to(model.device)
            batch = _decode(model, [prompts[row] for row in rows], max_new_tokens, eos_ids, temperature, drawn)
            for row, answer in zip(rows, batch, strict=True):
                answers[row] = answer
    finally:
        model.train(was_training)
    return answers


def _left_pad(prompts: Sequence[Sequence[int]], device: torch.device) -> tuple[Tensor, Tensor]:
    """Ids (rows, longest) padded on the left with id 0, and the number of pads (rows,)."""
    longest = max(len(prompt) for prompt in prompts)
    ids = torch.tensor([[0] * (longest - len(prompt)) + list(prompt) for prompt in prompts], device=device)
    return ids, torch.tensor([longest - len(prompt) for prompt in prompts], device=device)


def _decode(
    model: Any,
    prompts: Sequence[Sequence[int]],
    max_new_tokens: int,
    eos_ids: Sequence[int],
    temperature: float,
    uniforms: Tensor | None,
) -> list[list[int]]:
    device = model.device
    cache, logits, pads, width = _prefill(model, prompts, max_new_tokens)
    ends = torch.tensor(sorted(set(eos_ids)), device=device, dtype=torch.long)
    active = torch.arange(len(prompts), device=device)  # row of the batch → row of the result
    out = torch.full((len(prompts), max_new_tokens), -1, dtype=torch.long, device=device)
    live = torch.ones(len(prompts), dtype=torch.bool, device=device)
    columns = torch.arange(width + max_new_tokens, device=device)
    for step in range(max_new_tokens):
        token = _pick(logits, temperature, None if uniforms is None else uniforms[active, step])
        out[active[live], step] = token[live]
        live = live & ~torch.isin(token, ends)
        alive = int(live.sum())
        if alive == 0 or step + 1 == max_new_tokens:
            break
        if alive <= (1 - _COMPACT_SHARE) * len(active):
            keep = live.nonzero().squeeze(1)
            _select(cache, keep)
            active, token, pads, live = active[keep], token[keep], pads[keep], live[keep]
        seen = width + step + 1
        # For one query a 4-d mask passes through transformers as it is; none is needed without padding.
        mask = (columns[:seen] >= pads[:, None])[:, None, None, :] if bool(pads.any()) else None
        logits = model(
            input_ids=token[:, None], attention_mask=mask, position_ids=(seen - 1 - pads)[:, None], cache=cache, use_cache=True
        ).logits[:, -1]
    return [[token for token in row if token >= 0] for row in out.tolist()]


def _prefill(model: Any, prompts: Sequence[Sequence[int]], room: int) -> tuple[Cache, Tensor, Tensor, int]:
    """Run the prompts, each distinct one once: a cache with room for more, the next logits (rows, vocabulary), pads, width."""
    distinct: dict[tuple[int, ...], int] = {}
    copies = torch.tensor([distinct.setdefault(tuple(prompt), len(distinct)) for prompt in prompts], device=model.device)
    ids, pads = _left_pad(list(distinct), model.device)
    width = ids.shape[1]
    columns = torch.arange(width, device=model.device)
    cache = Cache(layers=[_PreallocatedLayer(width + room) for _ in range(model.config.num_hidden_layers)])
    logits = model(
        input_ids=ids,
        attention_mask=(columns >= pads[:, None]).long() if bool(pads.any()) else None,
        position_ids=(columns - pads[:, None]).clamp(min=0),
        cache=cache,
        use_cache=True,
        logits_to_keep=1,
    ).logits[:, -1]
    if len(distinct) < len(prompts):
        _select(cache, copies)
        logits, pads = logits[copies], pads[copies]
    return cache, logits, pads, width


def _select(cache: Cache, rows: Tensor) -> None:
    """Keep these rows of the cache, in this order."""
    for layer in cache.layers:
        layer.select(rows)


def _pick(logits: Tensor, temperature: float, uniform: Tensor | None) -> Tensor:
    """Next ids (rows,) from logits (rows, vocabulary): argmax, or inverse-CDF sampling in float64."""
    if uniform is None:
        return logits.argmax(-1)
    cumulative = torch.softmax(logits.double() / temperature, -1).cumsum(-1)
    # Scaled by the last entry, the total is exactly what the uniform number is compared with.
    target = uniform[:, None] * cumulative[:, -1:]
    return torch.searchsorted(cumulative, target, right=True).squeeze(1).clamp(max=logits.shape[-1] - 1)


def right_pad(rows: Sequence[Sequence[int]], fill: int = 0, multiple: int = 1) -> Tensor:
    """Integer rows as one (rows, longest) tensor filled up on the right, the width rounded up to ``multiple``."""
    longest = max(len(row) for row in rows)
    width = -(-longest // multiple) * multiple
    return torch.tensor([list(row) + [fill] * (width - len(row)) for row in rows], dtype=torch.long)


def token_logits(model: Any, hidden: Tensor) -> Tensor:
    """Float32 logits (…, vocabulary) of final hidden states, outside any autocast.

    Refuses architectures that transform logits after the head.
    """
    for field in ("final_logit_softcapping", "logits_scaling", "logit_scale"):
        if getattr(model.config, field, None) not in (None, 1, 1.0):
            raise InputError(f"models with {field} are not supported here; use one whose logits are the head's output")
    head = model.get_output_embeddings()
    with torch.autocast(hidden.device.type, enabled=False):
        logits: Tensor = head(hidden.to(head.weight.dtype))
    return logits.float()


def token_logprobs(model: Any, ids: Tensor, mask: Tensor) -> Tensor:
    """Log-probability (nats, float32) of each marked token given all before it: (rows, length), 0 where ``mask`` is false.

    ``ids`` and ``mask`` are (rows, length), padded on the right. The first token of a row has nothing before it and can't be
    marked. The head runs at marked positions only. Gradients flow where they are enabled; dropout is the caller's.
    """
    if bool(mask[:, 0].any()):
        raise InputError("the first token of a sequence has no probability: its mask must be false")
    hidden = model.base_model(input_ids=ids[:, :-1], use_cache=False).last_hidden_state
    chosen = mask[:, 1:]
    scores = torch.log_softmax(token_logits(model, hidden[chosen]), -1)
    picked = scores.gather(-1, ids[:, 1:][chosen][:, None]).squeeze(-1)
    result = torch.zeros(mask.shape, dtype=torch.float32, device=ids.device)
    result[:, 1:][chosen] = picked
    return result


@torch.inference_mode()
def sequence_logprobs(
    model: Any, ids: Sequence[Sequence[int]], mask: Sequence[Sequence[bool]], *, batch_size: int = 64
) -> list[float]:
    """Sum of log-probabilities (nats) of the marked tokens of each sequence, in the order given; dropout off.

    ``mask[i][j]`` marks ``ids[i][j]`` as scored. Rows are sorted by length, so that padding is small.
    """
    order = sorted(range(len(ids)), key=lambda index: (len(ids[index]), index))
    sums = [0.0] * len(ids)
    was_training = model.training
    model.eval()
    try:
        for start in range(0, len(order), batch_size):
            rows = order[start : start + batch_size]
            batch = right_pad([ids[row] for row in rows]).to(model.device)
            marks = right_pad([mask[row] for row in rows]).to(model.device, torch.bool)
            for row, total in zip(rows, token_logprobs(model, batch, marks).double().sum(-1).tolist(), strict=True):
                sums[row] = total
    finally:
        model.train(was_training)
    return sums
