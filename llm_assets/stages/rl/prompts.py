"""The prompts that answers are sampled for, and their reference answers: from the instruction dataset, as chat ids."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from llm_assets.core.artefact import Artefact
from llm_assets.core.errors import InputError
from llm_assets.lm import chat


@dataclass(frozen=True, slots=True)
class Example:
    """One instruction: ``prompt_ids`` end where the answer begins; ``answer_ids`` end with the id that ends the turn."""

    id: str
    doc_id: str
    task: str
    prompt: str
    reference: str
    prompt_ids: list[int]
    answer_ids: list[int]


@dataclass(frozen=True)
class Limits:
    """What fits."""

    prompt_tokens: int
    answer_tokens: int


def load(
    dataset: Artefact, split: str, tokenizer: Any, limits: Limits, *, count: int, seed: int, tasks: Sequence[str] = ()
) -> tuple[list[Example], int]:
    """``count`` examples of one split in an order that ``seed`` fixes (fewer where there are no more), and how many too long
    ones were passed over on the way. Of all tasks if none are named. Only what is returned or passed over is tokenised.
    """
    frame = pl.read_parquet(dataset.file(f"{split}.parquet"), columns=["id", "doc_id", "task", "prompt", "answer"]).sort("id")
    if tasks:
        frame = frame.filter(pl.col("task").is_in(list(tasks)))
    examples: list[Example] = []
    too_long = 0
    for index in np.random.default_rng(seed).permutation(frame.height):
        if len(examples) == count:
            break
        example = _encode(frame.row(int(index), named=True), tokenizer)
        if len(example.prompt_ids) > limits.prompt_tokens or len(example.answer_ids) > limits.answer_tokens:
            too_long += 1
        else:
            examples.append(example)
    return examples, too_long


def _encode(row: dict[str, Any], tokenizer: Any) -> Example:
    question = [{"role": "user", "content": row["prompt"]}]
    prompt_ids = chat.encode(tokenizer, question, add_generation_prompt=True).ids
    whole = chat.encode(tokenizer, [*question, {"role": "assistant", "content": row["answer"]}])
    answer_ids = [token for token, trained in zip(whole.ids, whole.mask, strict=True) if trained]
    return Example(row["id"], row["doc_id"], row["task"], row["prompt"], row["answer"], prompt_ids, answer_ids)


def require(examples: Sequence[Example], split: str, tasks: Sequence[str]) -> None:
    """``InputError`` if a split has no prompt to work with."""
    if not examples:
        raise InputError(
            f"instruction_dataset has no {split} prompt of the tasks {list(tasks)} within rlhf_model's max_prompt_tokens and "
            "max_answer_tokens; raise these limits or materialise instruction_dataset with more articles"
        )


def round_examples(examples: Sequence[Example], count: int, iteration: int) -> list[Example]:
    """The ``count`` examples of one round (from 1): rounds walk through the list, which is in random order, again and again."""
    start = (iteration - 1) * count
    return [examples[(start + offset) % len(examples)] for offset in range(count)]
