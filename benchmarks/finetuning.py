"""Supervised fine-tuning: TRL's trainer as it comes against ours, which is the same trainer with another data order and loss.

    python benchmarks/finetuning.py [--steps 20] [--batch 32]

Both see the same rows on a model of the demo's shape with random weights, in bfloat16 autocast, AdamW, without saving. Three
variants: TRL as it is; TRL with batches of similar length (ours) and its own loss; ours. Prints trained rows/s and ratios;
the order of variants is turned round for a second measurement, and the better of the two counts.
"""

import argparse
import random
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from trl import SFTConfig, SFTTrainer

from llm_assets.core.recipe.post_training import SftModelConfig
from llm_assets.core.recipe.pretraining import ModelShape
from llm_assets.lm import device, model, tokenizer
from llm_assets.lm.finetune import Quiet, StepSampler, common_arguments, contained
from llm_assets.stages.sft.trainer import AnswerTrainer
from llm_assets.stages.tokens.train import write_folder

VOCABULARY = 4096


class Grouped(Quiet, SFTTrainer):  # type: ignore[misc]
    """TRL's own loss, our data order."""

    order: Any = None

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        return self.order


class Stock(Quiet, SFTTrainer):  # type: ignore[misc]
    """TRL as it is, but for the telemetry."""


def plain_tokenizer(folder: Path) -> Any:
    from tokenizers import AddedToken, Tokenizer, models

    tokens = [*tokenizer.CONTROL_TOKENS, *(f"t{number}" for number in range(4, VOCABULARY))]
    engine = Tokenizer(models.BPE(vocab={token: number for number, token in enumerate(tokens)}, merges=[]))
    engine.add_special_tokens([AddedToken(token, special=True) for token in tokenizer.CONTROL_TOKENS])
    write_folder(folder, engine)
    return tokenizer.load(folder)


def rows(count: int) -> Dataset:
    """Ids in the lengths that the demo's instructions have: a quarter short questions, the others on an extract."""
    draw = random.Random(1)
    ids, labels = [], []
    for number in range(count):
        prompt = draw.randint(25, 45) if number % 4 == 0 else draw.randint(70, 150)
        answer = draw.randint(5, 20)
        ids.append([draw.randrange(4, VOCABULARY) for _ in range(prompt + answer)])
        labels.append([-100] * prompt + ids[-1][prompt:])
    return Dataset.from_dict({"input_ids": ids, "labels": labels})


def measure(kind: str, data: Dataset, known: Any, config: SftModelConfig, folder: Path) -> float:
    built = model.build(ModelShape(), VOCABULARY, seed=1, eos_id=3, pad_id=1)
    arguments = common_arguments(config, folder / kind, torch.device("cpu"))
    arguments |= {"eval_strategy": "no", "save_strategy": "no", "load_best_model_at_end": False}
    lengths = [len(row) for row in data["input_ids"]]
    order = StepSampler(lengths, [range(len(data))], [1.0], steps=config.max_steps, batch_size=config.batch_size, seed=1)
    with contained(1):
        options: dict[str, Any] = {
            "model": built,
            "args": SFTConfig(**arguments, dataset_kwargs={"skip_prepare_dataset": True}),
            "train_dataset": data,
            "processing_class": known,
        }
        if kind == "ours":
            trainer: Any = AnswerTrainer(**options, order=order, dtype=config.dtype)
        elif kind == "grouped":
            trainer = Grouped(**options)
            trainer.order = order
        else:
            trainer = Stock(**options)
        started = time.perf_counter()
        trainer.train()
    return config.max_steps * config.batch_size / (time.perf_counter() - started)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--batch", type=int, default=32)
    asked = parser.parse_args()
    threads = device.set_threads()
    config = SftModelConfig(max_steps=asked.steps, batch_size=asked.batch)
    kinds = {"trl": "TRL as it is", "grouped": "TRL, batches of similar length", "ours": "and our loss"}
    best = dict.fromkeys(kinds, 0.0)
    with tempfile.TemporaryDirectory() as folder:
        known = plain_tokenizer(Path(folder) / "tokenizer")
        data = rows(asked.steps * asked.batch)
        measure("ours", data, known, config.model_copy(update={"max_steps": 2}), Path(folder))  # warm-up
        for order in (list(kinds), list(reversed(kinds))):
            for kind in order:
                print(f"measuring: {kinds[kind]}", flush=True)
                best[kind] = max(best[kind], measure(kind, data, known, config, Path(folder)))
    print(f"{asked.steps} steps of {asked.batch} rows, {threads} threads")
    for kind, name in kinds.items():
        print(f"{name:34} {best[kind]:8.1f} rows/s   {best[kind] / best['trl']:.2f}× TRL")


if __name__ == "__main__":
    main()
