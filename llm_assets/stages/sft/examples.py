"""Instruction rows as ids and labels: only the answer and the token that ends the turn are trained on.

Ids come from the one chat function that evaluation and the gateway use too. The answer's place is known from building the
chat, never searched for (case B28), the last label is the end of the turn (case B27), and no row is packed with another (case
B23). A row that is too long is left out and counted: cutting it would train on half an answer.
"""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from llm_assets.core.errors import InputError
from llm_assets.lm import chat

IGNORED = -100  # what torch's cross-entropy skips


@dataclass
class Examples:
    """Encoded rows. ``labels`` are the ids where trained on, else -100; nothing follows the last trained token."""

    ids: list[list[int]] = field(default_factory=list)
    labels: list[list[int]] = field(default_factory=list)
    tasks: list[str] = field(default_factory=list)
    rows: list[dict[str, str]] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def trained_share(self) -> float:
        """Trained tokens of all tokens."""
        total = sum(map(len, self.ids))
        return sum(label != IGNORED for row in self.labels for label in row) / total if total else 0.0

    def of_task(self, task: str) -> list[int]:
        """Positions of a task's rows."""
        return [index for index, name in enumerate(self.tasks) if name == task]

    def mask(self, index: int) -> list[bool]:
        """Which tokens of a row are trained on."""
        return [label != IGNORED for label in self.labels[index]]


def messages(prompt: str, answer: str) -> list[dict[str, str]]:
    """One question and its answer as a chat."""
    return [{"role": "user", "content": prompt}, {"role": "assistant", "content": answer}]


def encode(tokenizer: Any, frame: pl.DataFrame, *, max_tokens: int, max_untrained_share: float) -> Examples:
    """Encode rows of the instruction data, in order.

    Raises ``InputError`` when more than ``max_untrained_share`` of the rows have no trained token, or none is left.
    """
    examples = Examples()
    for row in frame.iter_rows(named=True):
        encoded = chat.encode(tokenizer, messages(row["prompt"], row["answer"]))
        add(examples, encoded.ids, encoded.mask, row, max_tokens)
    untrained, total = examples.counts["untrained"], frame.height
    if untrained > max_untrained_share * total:
        raise InputError(
            f"{untrained} of {total} rows have no token to train on ({max_untrained_share:.2%} allowed); "
            "their answers are empty, or the chat template marks no answer"
        )
    if not examples.ids:
        raise InputError(f"no row of {total} fits in {max_tokens} tokens; raise sft_model.max_tokens")
    return examples


def add(examples: Examples, ids: list[int], mask: list[bool], row: dict[str, str], max_tokens: int) -> None:
    """Add one row, or count why not. A mask that marks the turn's end alone trains on no answer."""
    end = max((place for place, trained in enumerate(mask) if trained), default=-1) + 1
    if sum(mask) < 2:
        examples.counts["untrained"] += 1
    elif end > max_tokens:
        examples.counts["too_long"] += 1
    else:
        examples.ids.append(ids[:end])
        examples.labels.append([number if trained else IGNORED for number, trained in zip(ids[:end], mask, strict=False)])
        examples.tasks.append(row["task"])
        examples.rows.append(row)
        examples.counts["used"] += 1
