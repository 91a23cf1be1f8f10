"""What fine-tunings that run in TRL share: data order, callbacks, checkpoints that survive a kill, and quiet trainers.

TRL's trainers are used as they are for the loop, optimiser, scheduler and resume. Added here: batches of similar length in an
order that is a pure function of (seed, step); markers that tell whole checkpoints from half ones (case B25); and no telemetry
(TRL counts its users over the network by default) and no model cards in private checkpoints.
"""

import hashlib
import json
import random
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from safetensors import SafetensorError
from torch.utils.data import Sampler
from transformers import EarlyStoppingCallback, GenerationConfig, PrinterCallback, TrainerCallback
from transformers.utils import logging

from llm_assets.core.jsonio import read_json, write_json
from llm_assets.core.progress import Progress
from llm_assets.core.recipe.post_training import FinetuneConfig
from llm_assets.lm import model as models
from llm_assets.lm import tokenizer as tokenizers
from llm_assets.lm.device import DTYPES
from llm_assets.lm.tokenizer import END_OF_TEXT, TURN_END

# Batches are cut from this many at a time, sorted by length: enough to make rows of a batch alike, few enough to mix the tasks.
_BATCHES_SORTED_TOGETHER = 16
_MARKER = ".complete.json"
STEPS_FILE = "steps.parquet"
# Batches are padded to a multiple of this many tokens. Few shapes matter more than little padding: on a CPU every new shape
# costs the compilation of its kernels and some 20 MB to keep them.
WIDTH_MULTIPLE = 32


class StepSampler(Sampler[int]):
    """Row indices of a whole training, ``steps`` × ``batch_size`` of them, as one "epoch".

    ``groups``: for each group (a task) its rows; ``shares`` says how much of the draw each gets. A group goes through its
    rows in a new order each time round. Rows of a batch are of similar length, and batches come in mixed order. A pure
    function of its arguments, so a resumed training goes on where it was.

    With ``units`` (rows that stay together) lengths, groups and batch size are about units, and each gives way to its rows.
    """

    def __init__(
        self,
        lengths: Sequence[int],
        groups: Sequence[Sequence[int]],
        shares: Sequence[float],
        *,
        steps: int,
        batch_size: int,
        seed: int,
        units: Sequence[Sequence[int]] = (),
    ) -> None:
        if not groups or any(not group for group in groups):
            raise ValueError("every group needs at least one row")
        rng = np.random.default_rng(seed)
        total = steps * batch_size
        drawn = np.concatenate(
            [_rounds(np.asarray(group), count, rng) for group, count in zip(groups, _counts(shares, total), strict=True)]
        )
        order = _batched(rng.permutation(drawn), np.asarray(lengths), batch_size, rng)
        self.order = [row for unit in order for row in units[unit]] if units else order

    def __len__(self) -> int:
        return len(self.order)

    def __iter__(self) -> Iterator[int]:
        return iter(self.order)


def write_steps(files: Path, order: Sequence[int], rows: Sequence[Mapping[str, Any]], steps: int) -> None:
    """Write ``steps.parquet``: which rows each step learns from, ``step`` (counted from 1), ``id``, ``doc_id``.

    ``order``: positions in ``rows``, an equal number for each of ``steps``. Pairs also have ``rejected_doc_id``, of the page
    that the wrong answer was taken from.
    """
    size = len(order) // steps
    names = [name for name in ("id", "doc_id", "rejected_doc_id") if rows and name in rows[0]]
    table = [(place // size + 1, *(rows[row][name] for name in names)) for place, row in enumerate(order)]
    schema = {"step": pl.Int32, **dict.fromkeys(names, pl.String)}
    pl.DataFrame(table, schema=schema, orient="row").write_parquet(files / STEPS_FILE, compression="zstd")


def best_step(rows: Sequence[Mapping[str, Any]]) -> int:
    """The step with the lowest validation loss, whose weights are kept; 0 where none was judged."""
    judged = [(row["validation_loss_nats"], row["step"]) for row in rows if row["validation_loss_nats"] is not None]
    return int(min(judged)[1]) if judged else 0


def _counts(shares: Sequence[float], total: int) -> list[int]:
    """Whole counts in proportion to the shares that add up to ``total`` (largest remainders)."""
    exact = [share / sum(shares) * total for share in shares]
    counts = [int(value) for value in exact]
    for index in sorted(range(len(exact)), key=lambda i: counts[i] - exact[i])[: total - sum(counts)]:
        counts[index] += 1
    return counts


def _rounds(rows: Any, count: int, rng: np.random.Generator) -> Any:
    rounds = -(-count // len(rows))
    return np.concatenate([rng.permutation(rows) for _ in range(rounds)] or [rows[:0]])[:count]


def _batched(rows: Any, lengths: Any, batch_size: int, rng: np.random.Generator) -> list[int]:
    order: list[int] = []
    window = batch_size * _BATCHES_SORTED_TOGETHER
    for start in range(0, len(rows), window):
        some = rows[start : start + window]
        some = some[np.argsort(lengths[some], kind="stable")]
        batches = [some[at : at + batch_size] for at in range(0, len(some), batch_size)]
        for number in rng.permutation(len(batches)):
            order.extend(batches[number].tolist())
    return order


class Reporting(TrainerCallback):  # type: ignore[misc]
    """Passes losses on to a ``Progress``."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **kwargs: Any) -> None:
        """Loss and learning rate, or the validation loss."""
        names = {"loss": "loss", "learning_rate": "learning_rate", "eval_loss": "validation_loss", "eval_accuracy": "accuracy"}
        metrics = {name: float(logs[key]) for key, name in names.items() if logs and key in logs}
        if metrics:
            self._progress.update(state.global_step, state.max_steps, "steps", **metrics)


class MarkWhole(TrainerCallback):  # type: ignore[misc]
    """Writes, after a checkpoint is complete, a marker beside it with the size and SHA-256 of each of its files."""

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Mark the checkpoint of this step."""
        folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        write_json(folder.with_name(folder.name + _MARKER), _fingerprint(folder))


def _fingerprint(folder: Path) -> dict[str, list[Any]]:
    found = {}
    for path in sorted(folder.iterdir()):
        data = path.read_bytes()
        found[path.name] = [len(data), hashlib.sha256(data).hexdigest()]
    return found


def newest_checkpoint(folder: Path) -> Path | None:
    """The newest whole checkpoint, or None. Half ones are passed over."""
    found = (path for path in folder.glob("checkpoint-*") if path.is_dir())
    for path in sorted(found, key=lambda path: int(path.name.rpartition("-")[2]), reverse=True):
        marker = path.with_name(path.name + _MARKER)
        try:
            if marker.is_file() and read_json(marker) == _fingerprint(path):
                return path
        except json.JSONDecodeError:
            continue
    return None


class Quiet:
    """Mixed into a TRL trainer: nothing is printed or sent over the network, and private checkpoints get no model card."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.remove_callback(PrinterCallback)  # type: ignore[attr-defined]

    def _send_telemetry(self) -> None:
        return

    def _inner_training_loop(self, *args: Any, **kwargs: Any) -> Any:
        checkpoint = kwargs.get("resume_from_checkpoint")
        if checkpoint:  # TRL counts tokens from zero again
            log = read_json(Path(checkpoint) / "trainer_state.json")["log_history"]
            self._total_train_tokens = max((int(entry.get("num_tokens", 0)) for entry in log), default=0)
        return super()._inner_training_loop(*args, **kwargs)  # type: ignore[misc]

    def create_model_card(self, *args: Any, **kwargs: Any) -> None:
        """Nothing is written."""


def common_arguments(config: FinetuneConfig, folder: Path, device: torch.device) -> dict[str, Any]:
    """Training arguments that SFT and reward training share."""
    return {
        "output_dir": str(folder),
        "max_steps": config.max_steps,
        "per_device_train_batch_size": config.batch_size,
        "per_device_eval_batch_size": 2 * config.batch_size,
        "learning_rate": config.learning_rate,
        "lr_scheduler_type": "cosine",
        "warmup_steps": config.warmup_steps,
        "weight_decay": config.weight_decay,
        "adam_beta2": config.adam_beta2,
        "max_grad_norm": config.gradient_clip,
        "optim": "adamw_torch_fused",
        "bf16": config.dtype == "bfloat16",
        "use_cpu": device.type == "cpu",
        "seed": config.seed,
        "data_seed": config.seed,
        "eval_strategy": "steps",
        "eval_steps": config.evaluate_every,
        "save_strategy": "steps",
        "save_steps": config.evaluate_every,
        "save_total_limit": 2,
        "load_best_model_at_end": True,
        "restore_callback_states_from_checkpoint": True,  # or early stopping would forget its patience
        "metric_for_best_model": "eval_loss",
        "greater_is_better": False,
        "logging_steps": _log_every(config.evaluate_every),
        "logging_nan_inf_filter": False,
        "prediction_loss_only": True,
        "report_to": "none",
        "pad_to_multiple_of": WIDTH_MULTIPLE,
        "disable_tqdm": True,
        "dataloader_pin_memory": device.type == "cuda",
        "activation_checkpointing": False,
        "max_length": None,
    }


def _log_every(evaluate_every: int) -> int:
    """The largest divisor up to 5: a checkpoint then never falls between two logs, whose mean loss a resume could not know."""
    return max(steps for steps in range(1, 6) if evaluate_every % steps == 0)


def callbacks(config: FinetuneConfig, progress: Progress) -> list[TrainerCallback]:
    """Progress, early stopping with patience, and checkpoint markers."""
    return [Reporting(progress), EarlyStoppingCallback(early_stopping_patience=config.patience), MarkWhole()]


class Ordered(Quiet):
    """A quiet trainer that takes rows in a given order and computes its matrix products in ``dtype``."""

    def __init__(self, *args: Any, order: StepSampler, dtype: str = "float32", **kwargs: Any) -> None:
        self._order, self._dtype = order, DTYPES[dtype]
        super().__init__(*args, **kwargs)

    def _get_train_sampler(self, train_dataset: Any = None) -> StepSampler:
        return self._order


def fit(
    kind: type[Any], config: FinetuneConfig, folder: Path, progress: Progress, **options: Any
) -> tuple[Any, list[dict[str, Any]]]:
    """Build an ``Ordered`` trainer with ``options``, train it, and return the best model by validation loss, and the log.

    Checkpoints are in ``folder``; a training that was killed goes on from the newest whole one.
    """
    with contained(config.seed):
        trainer = kind(callbacks=callbacks(config, progress), dtype=config.dtype, **options)
        checkpoint = newest_checkpoint(folder)
        if checkpoint is not None:
            progress.note(f"going on from {checkpoint.name}")
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    best = trainer.accelerator.unwrap_model(trainer.model, keep_fp32_wrapper=False)
    return best.eval(), list(trainer.state.log_history)


def history(log_history: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """One row a logged step: ``step``, ``tokens``, ``loss_nats``, ``learning_rate``; validation figures are null between."""
    rows: dict[int, dict[str, Any]] = {}
    names = {
        "num_tokens": "tokens",
        "loss": "loss_nats",
        "learning_rate": "learning_rate",
        "grad_norm": "gradient_norm",
        "accuracy": "accuracy",
        "eval_loss": "validation_loss_nats",
        "eval_accuracy": "validation_accuracy",
    }
    for entry in log_history:
        row = rows.setdefault(int(entry["step"]), {"step": int(entry["step"])})
        row.update({name: float(entry[key]) for key, name in names.items() if key in entry})
    columns = ["step", *names.values()]
    return [{column: rows[step].get(column) for column in columns} for step in sorted(rows)]


@contextmanager
def contained(seed: int) -> Iterator[None]:
    """For libraries with global state: seeds Python's, numpy's and torch's generators and puts them back after; hides
    transformers' chatter and its warnings on names that TRL and peft still use.
    """
    python, array = random.getstate(), np.random.get_state()
    verbosity = logging.get_verbosity()
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        random.seed(seed)
        np.random.seed(seed % 2**32)
        torch.manual_seed(seed)
        try:
            logging.set_verbosity_error()
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", category=FutureWarning, module=r"transformers\.|trl\.|peft\.|torch\.")
                yield
        finally:
            logging.set_verbosity(verbosity)
            random.setstate(python)
            np.random.set_state(array)


def end_turns(model: Any, tokenizer: Any) -> None:
    """Make the end of a turn the model's eos, in config, generation config and tokenizer, so that every runtime stops there.

    Generation stops at the document separator too.
    """
    turn, document = (int(tokenizer.convert_tokens_to_ids(token)) for token in (TURN_END, END_OF_TEXT))
    model.config.eos_token_id = turn
    tokenizer.eos_token = TURN_END
    if getattr(model, "generation_config", None) is not None:
        model.generation_config = GenerationConfig(eos_token_id=[turn, document], pad_token_id=model.config.pad_token_id)


def model_card(title: str, facts: dict[str, str], text: str) -> str:
    """A short Markdown card: front matter for the Hub, what it is, and a table of facts."""
    rows = "\n".join(f"| {name} | {value} |" for name, value in facts.items())
    return (
        f"---\nlibrary_name: transformers\nlicense: cc-by-sa-4.0\n---\n\n# {title}\n\n{text}\n\n| | |\n| --- | --- |\n{rows}\n"
    )


def folder_faults(folder: Path, kind: str) -> list[str]:
    """What is wrong with a chat model's folder: it does not load, weights are not finite, or the eos is not the turn's end."""
    try:
        model = models.load(folder, kind=kind)
        known = tokenizers.load(folder)
    except (ValueError, OSError, RuntimeError, SafetensorError) as error:
        return [f"{type(error).__name__} while loading: {' '.join(str(error).split())[:300]}"]
    faults = []
    broken = [name for name, weight in model.named_parameters() if not bool(torch.isfinite(weight).all())]
    if broken:
        faults.append(f"weights that are not finite: {', '.join(broken[:4])}")
    end = known.convert_tokens_to_ids(TURN_END)
    if known.eos_token_id != end or model.config.eos_token_id != end:
        faults.append(
            f"the eos is {model.config.eos_token_id} in the model and {known.eos_token_id} in the tokenizer, not {end}"
        )
    if known.pad_token_id is None or known.pad_token_id == known.eos_token_id:
        faults.append("the padding token is missing, or is the eos")
    return faults
