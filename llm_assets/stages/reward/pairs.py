"""Preference pairs as ids. A row is the whole chat up to the end of the answer's turn, as PPO scores it.

Pairs that are too long or whose two rows are equal are left out and counted (case B32): nothing is truncated, so two answers
that differ beyond a cut can't become one.
"""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from llm_assets.core.errors import InputError
from llm_assets.lm import chat


@dataclass
class Pairs:
    """Encoded pairs, in order."""

    chosen: list[list[int]] = field(default_factory=list)
    rejected: list[list[int]] = field(default_factory=list)
    answers: list[tuple[list[int], list[int]]] = field(default_factory=list)  # ids of the two answers alone
    kinds: list[str] = field(default_factory=list)
    rows: list[dict[str, str]] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    def __len__(self) -> int:
        return len(self.chosen)

    def share(self, *reasons: str) -> float:
        """Share of the pairs that were left out for these reasons."""
        total = sum(self.counts.values())
        return sum(self.counts[reason] for reason in reasons) / total if total else 0.0


def encode_answer(tokenizer: Any, prompt: str, answer: str) -> tuple[list[int], list[int]]:
    """Ids of the chat up to and with the end of the answer's turn, and those of the answer with its end."""
    encoded = chat.encode(tokenizer, [{"role": "user", "content": prompt}, {"role": "assistant", "content": answer}])
    end = max(place for place, trained in enumerate(encoded.mask) if trained) + 1
    answered = [token for token, trained in zip(encoded.ids, encoded.mask, strict=True) if trained]
    return encoded.ids[:end], answered


def encode(tokenizer: Any, frame: pl.DataFrame, max_tokens: int) -> Pairs:
    """Encode pairs in order. Raises ``InputError`` where none is left."""
    pairs = Pairs()
    for row in frame.iter_rows(named=True):
        chosen, good = encode_answer(tokenizer, row["prompt"], row["chosen"])
        rejected, bad = encode_answer(tokenizer, row["prompt"], row["rejected"])
        if max(len(chosen), len(rejected)) > max_tokens:
            pairs.counts["too_long"] += 1
        elif chosen == rejected:
            pairs.counts["equal"] += 1
        else:
            pairs.chosen.append(chosen)
            pairs.rejected.append(rejected)
            pairs.answers.append((good, bad))
            pairs.kinds.append(row["kind"])
            pairs.rows.append(row)
            pairs.counts["used"] += 1
    if not pairs.chosen:
        raise InputError(
            f"none of {frame.height} preference pairs is usable: {pairs.counts['too_long']} are longer than {max_tokens} "
            f"tokens, {pairs.counts['equal']} have equal answers; raise reward_model.max_tokens or rebuild preference_dataset"
        )
    return pairs
