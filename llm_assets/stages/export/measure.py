"""A GGUF file against the model it was made from: the same ids, the same predictions, and what a format costs in perplexity."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from tokenizers import Tokenizer

from llm_assets.lm import chat
from llm_assets.lm.llama_cpp import LlamaCpp, Predicted

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Reference:
    """What transformers says, a value a token, all sequences one after another. Log-probabilities in nats."""

    target: Floats  # of the token that follows
    top_token: npt.NDArray[np.int64]
    top: Floats
    gap: Floats  # between the likeliest two


@dataclass(frozen=True)
class Agreement:
    """How a file's predictions agree with the reference. Differences in nats."""

    tokens: int  # compared
    unseen: int  # llama.cpp reports nothing for tokens that are part of a character
    exempt: int  # steps whose likeliest two are closer than the allowed gap
    top_differs: int  # of the others
    max_difference: float
    mean_difference: float
    perplexity: float
    reference_perplexity: float

    def row(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)


@torch.inference_mode()
def reference(model: Any, sequences: Sequence[Sequence[int]], start: int) -> Reference:
    """The model's predictions of every token of each sequence, given ``start`` and all tokens before it."""
    parts: list[tuple[Floats, npt.NDArray[np.int64], Floats, Floats]] = []
    for ids in sequences:
        row = torch.tensor([[start, *ids]])
        logs = torch.log_softmax(model(input_ids=row[:, :-1], use_cache=False).logits[0].float(), -1)
        best = logs.topk(2)
        target = logs.gather(-1, row[0, 1:, None])[:, 0]
        values = best.values.double()
        parts.append(
            (target.double().numpy(), best.indices[:, 0].numpy(), values[:, 0].numpy(), (values[:, 0] - values[:, 1]).numpy())
        )
    target_, top_token, top, gap = (np.concatenate(column) for column in zip(*parts, strict=True))
    return Reference(target_, top_token, top, gap)


def compare(found: Sequence[Sequence[Predicted | None]], wanted: Reference, least_gap: float) -> Agreement:
    """Predictions against the reference. ``least_gap``: nats between the likeliest two below which they may change places."""
    flat = [step for row in found for step in row]
    seen = np.array([step is not None for step in flat])
    steps = [step for step in flat if step is not None]
    if not steps:
        raise ValueError("no token could be compared")
    target, top = np.array([step.log_probability for step in steps]), np.array([step.top_log_probability for step in steps])
    differs = np.array([step.top_token for step in steps]) != wanted.top_token[seen]
    close = wanted.gap[seen] <= least_gap
    differences = np.maximum(np.abs(target - wanted.target[seen]), np.where(differs, 0, np.abs(top - wanted.top[seen])))
    return Agreement(
        tokens=len(steps),
        unseen=int((~seen).sum()),
        exempt=int(close.sum()),
        top_differs=int((differs & ~close).sum()),
        max_difference=float(differences.max()),
        mean_difference=float(differences.mean()),
        perplexity=math.exp(-float(target.mean())),
        reference_perplexity=math.exp(-float(wanted.target[seen].mean())),
    )


def whole_tokens(engine: Tokenizer, rows: int) -> list[bool]:
    """For each embedding row, whether its token alone is text in valid UTF-8, and no control token."""
    control = {number for number, token in engine.get_added_tokens_decoder().items() if token.special}
    texts = engine.decode_batch([[number] for number in range(rows)], skip_special_tokens=False)
    return [number not in control and bool(text) and "\ufffd" not in text for number, text in enumerate(texts)]


def differing_strings(server: LlamaCpp, engine: Tokenizer, strings: Sequence[str]) -> list[dict[str, Any]]:
    """Strings that llama.cpp turns into other ids than the tokenizer all training used. Written control tokens are text."""
    found = []
    for text in strings:
        ours, theirs = chat.encode_text(engine, text), server.tokenize(text)
        if ours != theirs:
            found.append({"text": text[:200], "ours": ours[:50], "llama_cpp": theirs[:50]})
    return found


def differing_chats(server: LlamaCpp, engine: Tokenizer, chats: Sequence[Sequence[dict[str, str]]]) -> list[dict[str, Any]]:
    """Chats whose ids, as training and gateway make them, aren't those llama.cpp gives for the rendered template (case B30)."""
    found = []
    for messages in chats:
        ours = chat.encode(engine, messages, add_generation_prompt=True).ids
        theirs = server.tokenize(chat.render(messages, add_generation_prompt=True), control=True)
        if ours != theirs:
            found.append({"chat": str(messages)[:200], "ours": ours[:50], "llama_cpp": theirs[:50]})
    return found
