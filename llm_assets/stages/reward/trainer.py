"""TRL's RewardTrainer on our ids: the Bradley–Terry loss on the fine-tuned model with one score on top.

Two things are added. Rows that occur more than once in a batch (the true answer stands against four wrong ones) go through
the model once: the loss and its gradient are the same, at 5/8 of the cost. And no padding mask is passed: rows are padded on
the right, attention is causal and the score is read at the last token that is not padding. Where ``lm.fused`` knows the model,
its hand-written passes are used.
"""

from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from transformers import AutoModelForSequenceClassification, PreTrainedModel, PreTrainedTokenizerBase
from transformers.modeling_outputs import SequenceClassifierOutput
from trl import RewardConfig, RewardTrainer

from llm_assets.core.errors import InputError
from llm_assets.core.progress import Progress
from llm_assets.core.recipe.post_training import RewardModelConfig
from llm_assets.lm import fused
from llm_assets.lm.finetune import WIDTH_MULTIPLE, Ordered, StepSampler, common_arguments, contained, fit
from llm_assets.lm.generation import right_pad
from llm_assets.stages.reward.pairs import Pairs
from llm_assets.stages.reward.preferences import KINDS

HEAD = "score.weight"


class PairTrainer(Ordered, RewardTrainer):  # type: ignore[misc]
    """RewardTrainer with a given data order, which scores equal rows once."""

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """TRL's loss over scores that were computed once a distinct row."""

        def scored(input_ids: torch.Tensor, **_: Any) -> SequenceClassifierOutput:
            rows, places = torch.unique(input_ids, dim=0, return_inverse=True)
            return SequenceClassifierOutput(logits=row_scores(model, rows, self._dtype)[places])

        return super().compute_loss(scored, inputs, return_outputs, num_items_in_batch)


def row_scores(model: Any, rows: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """Scores (rows, 1) of right-padded ids, differentiable; ``dtype`` is that of the fast path's matrix products."""
    if not fused.supports(model, rows.device):
        logits: torch.Tensor = model(input_ids=rows, use_cache=False).logits
        return logits
    last = (rows != model.config.pad_token_id).sum(1) - 1
    hidden = fused.residual(model, rows, dtype).view(*rows.shape, -1)[torch.arange(len(rows)), last]
    scored: torch.Tensor = model.score(model.model.norm(hidden))
    return scored


def from_causal(folder: Path, device: torch.device) -> PreTrainedModel:
    """A classifier with one label from a causal model's folder: every weight is loaded but the score, which starts at zero.

    Raises ``InputError`` when anything else is missing (case B31).
    """
    with contained(0):  # which also hides the library's report on the missing score
        model, info = AutoModelForSequenceClassification.from_pretrained(
            folder, num_labels=1, dtype=torch.float32, output_loading_info=True, local_files_only=True
        )
    missing = set(info["missing_keys"]) - {HEAD}
    unexpected = set(info["unexpected_keys"]) - {"lm_head.weight"}  # an untied output head has no place in a classifier
    if missing or unexpected or info["mismatched_keys"]:
        raise InputError(
            f"{folder}: not the weights of this architecture; missing {sorted(missing)}, left {sorted(unexpected)}"
        )
    with torch.no_grad():
        model.score.weight.zero_()
    model.config.problem_type = "regression"
    return model.to(device)


def order_of(training: Pairs, config: RewardModelConfig) -> StepSampler:
    """Which pairs each step reads: whole questions, as many as ``batch_size`` has room for."""
    units = questions(training)
    return StepSampler(
        [len(training.chosen[unit[0]]) for unit in units],
        [range(len(units))],
        [1.0],
        steps=config.max_steps,
        batch_size=max(1, config.batch_size // len(KINDS)),
        seed=config.seed,
        units=units,
    )


def train(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    data: tuple[Pairs, Pairs],
    config: RewardModelConfig,
    folder: Path,
    device: torch.device,
    progress: Progress,
) -> tuple[Any, list[dict[str, Any]]]:
    """Train on ``data`` = (training, validation); returns the best model by validation loss, and the log.

    Checkpoints are in ``folder``; a training that was killed goes on from the newest whole one.
    """
    training, validation = data
    arguments = RewardConfig(
        **common_arguments(config, folder, device), center_rewards_coefficient=config.center_coefficient, disable_dropout=False
    )
    return fit(
        PairTrainer,
        config,
        folder,
        progress,
        model=model,
        args=arguments,
        train_dataset=_dataset(training),
        eval_dataset=_dataset(validation),
        processing_class=tokenizer,
        order=order_of(training, config),
    )


def questions(pairs: Pairs) -> list[list[int]]:
    """Pairs of one question, which are neighbours in the data; questions that lost a kind are left out.

    Raises ``InputError`` where no question has all kinds.
    """
    found: dict[str, list[int]] = {}
    for index, row in enumerate(pairs.rows):
        found.setdefault(row["doc_id"], []).append(index)
    whole = [unit for unit in found.values() if len(unit) == len(KINDS)]
    if not whole:
        raise InputError("no question of preference_dataset has a pair of every kind left; raise reward_model.max_tokens")
    return whole


def _dataset(pairs: Pairs) -> Dataset:
    return Dataset.from_dict({"chosen_ids": pairs.chosen, "rejected_ids": pairs.rejected})


@torch.inference_mode()
def scores(model: Any, rows: list[list[int]], batch_size: int = 64) -> list[float]:
    """The score of each row of ids, in order; equal rows are scored once."""
    distinct = sorted({tuple(row) for row in rows}, key=lambda row: (len(row), row))
    found: dict[tuple[int, ...], float] = {}
    for start in range(0, len(distinct), batch_size):
        some = distinct[start : start + batch_size]
        ids = right_pad(some, fill=model.config.pad_token_id, multiple=WIDTH_MULTIPLE).to(model.device)
        logits = model(input_ids=ids, use_cache=False).logits[:, 0]
        found.update(zip(some, logits.float().tolist(), strict=True))
    return [found[tuple(row)] for row in rows]
