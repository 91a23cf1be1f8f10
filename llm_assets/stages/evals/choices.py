"""Log-probabilities of a prompt's possible answers, all in one pass over the prompt.

Scoring eleven classes as eleven sequences reads the same long prompt eleven times. Here the choices stand behind one another
after the prompt, each at the positions it would have alone, under a mask in which a choice sees the prompt and itself but
not its siblings. A test holds the scores against the plain way.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from llm_assets.lm.generation import token_logits

_PAD = -1


def score_choices(
    model: Any, prompts: Sequence[Sequence[int]], choices: Sequence[Sequence[Sequence[int]]], *, batch_size: int = 32
) -> list[list[float]]:
    """Sum of log-probabilities (nats) of each choice's ids after its prompt: one list a prompt, in the order given.

    Every prompt and every choice must have at least one id (``ValueError`` otherwise).
    """
    if any(not prompt for prompt in prompts) or any(not choice for row in choices for choice in row):
        raise ValueError("a prompt and a choice need at least one token each")
    order = sorted(range(len(prompts)), key=lambda index: (len(prompts[index]), index))
    scores: list[list[float]] = [[] for _ in prompts]
    for start in range(0, len(order), batch_size):
        rows = order[start : start + batch_size]
        for row, found in zip(rows, _batch(model, [prompts[r] for r in rows], [choices[r] for r in rows]), strict=True):
            scores[row] = found
    return scores


@torch.inference_mode()
def _batch(model: Any, prompts: list[Sequence[int]], choices: list[Sequence[Sequence[int]]]) -> list[list[float]]:
    """Scores of one batch: ids, positions and segments are (rows, longest); segment 0 is the prompt, k the k-th choice."""
    longest = max(len(p) + sum(map(len, row)) for p, row in zip(prompts, choices, strict=True))
    ids = torch.zeros((len(prompts), longest), dtype=torch.long)
    positions, segments = torch.zeros_like(ids), torch.full_like(ids, _PAD)
    asked: list[tuple[int, int, int, int]] = []  # row, choice, the column it is predicted from, its id
    for row, (prompt, options) in enumerate(zip(prompts, choices, strict=True)):
        end = len(prompt)
        ids[row, :end], positions[row, :end], segments[row, :end] = torch.tensor(prompt), torch.arange(end), 0
        at = end
        for number, option in enumerate(options, 1):
            stop = at + len(option)
            ids[row, at:stop] = torch.tensor(option)
            positions[row, at:stop] = torch.arange(end, end + len(option))
            segments[row, at:stop] = number
            sources = [end - 1, *range(at, stop - 1)]
            asked += [(row, number - 1, source, token) for source, token in zip(sources, option, strict=True)]
            at = stop
    device = model.device
    mask = _tree_mask(segments).to(device)
    hidden = model.base_model(
        input_ids=ids.to(device), attention_mask=mask.to(model.dtype), position_ids=positions.to(device), use_cache=False
    ).last_hidden_state
    table = torch.tensor(asked, device=device)
    logits = token_logits(model, hidden[table[:, 0], table[:, 2]])
    picked = torch.log_softmax(logits, -1).gather(-1, table[:, 3:4]).squeeze(-1).double().tolist()
    scores = [[0.0] * len(options) for options in choices]
    for (row, number, *_), value in zip(asked, picked, strict=True):
        scores[row][number] += value
    return scores


def _tree_mask(segments: Tensor) -> Tensor:
    """Additive attention mask (rows, 1, length, length): 0 where a query may look, the lowest float elsewhere."""
    length = segments.shape[1]
    causal = torch.ones((length, length), dtype=torch.bool).tril()
    same = segments[:, :, None] == segments[:, None, :]
    allowed = causal & (same | (segments[:, None, :] == 0))
    lowest = torch.finfo(torch.float32).min
    return torch.zeros(allowed.shape).masked_fill_(~allowed, lowest)[:, None]
