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


def load(
    dataset: Artefact, split: str, tokenizer: Any, *, max_prompt_tokens: int, max_answer_tokens: int, tasks: Sequence[str] = ()
) -> tuple[list[Example], int]:
    """Examples of one split (of all tasks if none are named), and how many were left out as too long."""
    frame = pl.read_parquet(dataset.file(f"{split}.parquet"), columns=["id", "doc_id", "task", "prompt", "answer"]).sort("id")
    if tasks:
        frame = frame.filter(pl.col("task").is_in(list(tasks)))
    examples, too_long = [], 0
    for row in frame.iter_rows(named=True):
        question = [{"role": "user", "content": row["prompt"]}]
        prompt_ids = chat.encode(tokenizer, question, add_generation_prompt=True).ids
        whole = chat.encode(tokenizer, [*question, {"role": "assistant", "content": row["answer"]}])
        answer_ids = [token for token, trained in zip(whole.ids, whole.mask, strict=True) if trained]
        if len(prompt_ids) > max_prompt_tokens or len(answer_ids) > max_answer_tokens:
            too_long += 1
            continue
        examples.append(Example(row["id"], row["doc_id"], row["task"], row["prompt"], row["answer"], prompt_ids, answer_ids))
    return examples, too_long


def require(examples: Sequence[Example], split: str, tasks: Sequence[str]) -> None:
    """``InputError`` if a split has no prompt to work with."""
    if not examples:
        raise InputError(
            f"instruction_dataset has no {split} prompt of the tasks {list(tasks)} within rlhf_model's max_prompt_tokens and "
            "max_answer_tokens; raise these limits or materialise instruction_dataset with more articles"
        )


def draw(examples: Sequence[Example], count: int, *, seed: int) -> list[Example]:
    """``count`` examples without repetition (all if there are fewer), the same for the same seed."""
    order = np.random.default_rng(seed).permutation(len(examples))[:count]
    return [examples[index] for index in order]


def round_examples(examples: Sequence[Example], count: int, iteration: int, *, seed: int) -> list[Example]:
    """The ``count`` examples of one round, a pure function of (seed, iteration): rounds walk through a permutation of all
    examples, and a fresh permutation begins where one ends.
    """
    found: list[Example] = []
    position = (iteration - 1) * count
    while len(found) < count:
        turn, offset = divmod(position, len(examples))
        order = np.random.default_rng([seed, turn]).permutation(len(examples))[offset : offset + count - len(found)]
        found += [examples[index] for index in order]
        position += len(order)
    return found
