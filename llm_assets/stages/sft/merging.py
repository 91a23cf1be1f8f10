"""A LoRA adapter merged into its base: in float32, cast once, and compared with the adapter kept apart (case B36).

Merging in bfloat16 rounds every weight after the update is added to it, which loses the update's small parts. The comparison
reads back what was written: base + adapter against the merged folder.
"""

from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from transformers import PreTrainedTokenizerBase

from llm_assets.core.jsonio import write_json
from llm_assets.lm import model as models
from llm_assets.lm.finetune import contained, end_turns
from llm_assets.lm.generation import right_pad

MERGE_FILE = "merge.json"


def merge(adapted: Any, dtype: torch.dtype) -> Any:
    """The base with the adapter's update added in float32, then cast once to ``dtype``."""
    return adapted.float().merge_and_unload(safe_merge=True).to(dtype)


def save_and_verify(
    adapted: Any,
    base: Path,
    tokenizer: PreTrainedTokenizerBase,
    rows: list[list[int]],
    folder: Path,
    merged_folder: Path,
    dtype: torch.dtype = torch.float32,
) -> dict[str, Any]:
    """Write the adapter to ``folder/adapter`` and the merged model to ``merged_folder``; compare them on ``rows`` of ids.

    Returns (and writes to ``merge.json``) the largest difference of two logits, the share of positions with the same greedy
    token, and the number of positions.
    """
    adapted.save_pretrained(folder / "adapter", safe_serialization=True)
    (folder / "adapter" / "README.md").unlink(missing_ok=True)  # a template full of blanks
    merged = merge(adapted, dtype)
    end_turns(merged, tokenizer)
    models.save(merged, tokenizer, merged_folder)
    with contained(0):
        apart = PeftModel.from_pretrained(models.load(base), folder / "adapter").eval()
    whole = models.load(merged_folder)
    found = compare(apart, whole, rows)
    write_json(folder / MERGE_FILE, found)
    return found


@torch.inference_mode()
def compare(one: Any, other: Any, rows: list[list[int]], batch_size: int = 16) -> dict[str, Any]:
    """Logits of two models at every position of ``rows``, padding left out."""
    largest, same, positions = 0.0, 0, 0
    for start in range(0, len(rows), batch_size):
        some = rows[start : start + batch_size]
        ids = right_pad(some)
        real = right_pad([[1] * len(row) for row in some]).bool()
        first, second = (model(input_ids=ids, use_cache=False).logits[real].float() for model in (one, other))
        largest = max(largest, float((first - second).abs().max()))
        same += int((first.argmax(-1) == second.argmax(-1)).sum())
        positions += int(real.sum())
    return {"max_logit_difference": largest, "token_agreement": same / positions, "positions": positions}
