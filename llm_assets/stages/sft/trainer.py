"""TRL's SFTTrainer on answers: how the fine-tuned model, or an adapter, is trained.

The loss is computed differently: TRL 1.16 on a CPU projects every position to the vocabulary and passes a padding mask that
keeps attention from its fast path. Here only answers are projected and there is no mask: rows are padded on the right and
attention is causal, so no trained position can see padding. Where ``lm.fused`` knows the model, its hand-written passes are
used (``benchmarks/finetuning.py`` has the ratios).
"""

from pathlib import Path
from typing import Any

import torch
from accelerate.utils import is_peft_model
from datasets import Dataset
from peft import LoraConfig as PeftLoraConfig
from torch.nn.functional import cross_entropy
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from trl import SFTConfig, SFTTrainer

from llm_assets.core.progress import Progress
from llm_assets.core.recipe.post_training import LoraConfig, SftModelConfig
from llm_assets.lm import fused
from llm_assets.lm.finetune import Ordered, StepSampler, common_arguments, fit
from llm_assets.stages.sft.examples import IGNORED, Examples


class AnswerTrainer(Ordered, SFTTrainer):  # type: ignore[misc]
    """SFTTrainer with a given data order and logits for answers only."""

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> torch.Tensor:
        """Mean cross-entropy (nats) over the batch's trained tokens (over all of them, when gradients are accumulated)."""
        if return_outputs:
            raise ValueError("this trainer keeps no outputs; ask for prediction_loss_only")
        loss, trained = answer_loss(model, inputs["input_ids"], inputs["labels"], self._dtype)
        if self.model.training:
            self._total_train_tokens += int(inputs["attention_mask"].sum())
            self._metrics["train"]["num_tokens"] = [self._total_train_tokens]
        scale: torch.Tensor = trained if num_items_in_batch is None else torch.as_tensor(num_items_in_batch, device=loss.device)
        return loss / scale


def answer_loss(
    model: Any, ids: torch.Tensor, labels: torch.Tensor, dtype: torch.dtype = torch.float32
) -> tuple[torch.Tensor, torch.Tensor]:
    """Summed cross-entropy (nats) over the labels that are not -100, and how many they are. (rows, length), padded right.

    ``dtype`` is that of the fast path's matrix products; transformers' modules follow the autocast that is on.
    """
    if not is_peft_model(model) and fused.supports(model, ids.device):
        loss = fused.loss(model, ids[:, :-1].contiguous(), labels[:, 1:].contiguous(), 1.0, dtype)
        return loss, (labels[:, 1:] != IGNORED).sum()
    answered = (labels != IGNORED).any(0).nonzero().flatten()
    first, last = int(answered[0]), int(answered[-1])
    columns = torch.arange(first - 1, last, device=ids.device)  # a column predicts the next one
    logits = model(input_ids=ids, use_cache=False, logits_to_keep=columns).logits
    wanted = labels[:, first : last + 1]
    loss = cross_entropy(logits.flatten(0, 1).float(), wanted.flatten(), ignore_index=IGNORED, reduction="sum")
    return loss, (wanted != IGNORED).sum()


def order_of(training: Examples, config: SftModelConfig) -> StepSampler:
    """Which rows each step reads: ``batch_size`` of ``max_steps`` each."""
    shares = {task: share for task, share in config.task_shares.items() if share > 0 and training.of_task(task)}
    return StepSampler(
        [len(ids) for ids in training.ids],
        [training.of_task(task) for task in shares],
        list(shares.values()),
        steps=config.max_steps,
        batch_size=config.batch_size,
        seed=config.seed,
    )


def train(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    data: tuple[Examples, Examples],
    config: SftModelConfig,
    folder: Path,
    device: torch.device,
    progress: Progress,
    lora: LoraConfig | None = None,
) -> tuple[Any, list[dict[str, Any]]]:
    """Train on ``data`` = (training, validation) and return the best model by validation loss, and the log.

    Checkpoints are in ``folder``; a training that was killed goes on from the newest whole one. With ``lora`` the result is a
    PEFT model whose adapter alone was trained.
    """
    training, validation = data
    arguments = SFTConfig(
        **common_arguments(config, folder, device),
        dataset_kwargs={"skip_prepare_dataset": True},
        packing=False,
    )
    adapter = None
    if lora is not None:
        adapter = PeftLoraConfig(
            r=lora.rank, lora_alpha=lora.alpha, lora_dropout=lora.dropout, target_modules="all-linear", task_type="CAUSAL_LM"
        )
    return fit(
        AnswerTrainer,
        config,
        folder,
        progress,
        model=model,
        args=arguments,
        train_dataset=_dataset(training),
        eval_dataset=_dataset(validation),
        processing_class=tokenizer,
        peft_config=adapter,
        order=order_of(training, config),
    )


def _dataset(examples: Examples) -> Dataset:
    return Dataset.from_dict({"input_ids": examples.ids, "labels": examples.labels})
