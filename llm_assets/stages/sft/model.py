"""``sft_model``: the base model, fine-tuned to answer.

``method: full`` trains all weights and, beside it, a small adapter for a few steps, so that merging is shown and verified in
every run; ``method: lora`` trains the adapter alone and the published model is the merged one.
"""

from pathlib import Path
from typing import Any

import polars as pl
import torch

from llm_assets.core import plots
from llm_assets.core.artefact import Inputs, WorkDir
from llm_assets.core.embedded import credit
from llm_assets.core.errors import InputError
from llm_assets.core.jsonio import write_atomic
from llm_assets.core.progress import Progress
from llm_assets.core.recipe.post_training import SftModelConfig
from llm_assets.core.report import Report
from llm_assets.lm import chat, device, generation, tokenizer
from llm_assets.lm import model as models
from llm_assets.lm.finetune import best_step, end_turns, history, model_card, write_steps
from llm_assets.stages.sft.examples import Examples, encode
from llm_assets.stages.sft.merging import save_and_verify
from llm_assets.stages.sft.trainer import order_of, train

LORA_FOLDER = "lora"
_SAMPLE_TOKENS = 40


def run(inputs: Inputs, out: WorkDir, config: SftModelConfig, progress: Progress) -> Report:
    """Train, save and read back. Raises ``InputError`` for unusable data and ``DeviceError`` for a device that is not there."""
    where = device.resolve(config.device)
    device.set_threads(config.threads)
    base = inputs.one("base_model").files
    known = tokenizer.load(inputs.one("tokenizer").files)
    training, validation = examples(inputs, known, config)
    before = losses(models.load(base, device=where), validation)
    small = config.lora.demo_steps > 0
    tables: dict[str, list[dict[str, Any]]] = {}
    metrics: dict[str, Any] = {
        "device": str(where),
        "trained_token_share": training.trained_share,
        "left_out_share": left_out_share(training),
        "method": config.method,
    }
    if config.method == "full":
        model = models.load(base, device=where)
        best, log = train(model, known, (training, validation), config, out.private / "full", where, progress)
        end_turns(best, known)
        models.save(best, known, out.files)
        if small:
            metrics |= _adapter(inputs, out, config, known, (training, validation), where, progress)
    else:
        log = []
        metrics |= _adapter(inputs, out, config, known, (training, validation), where, progress, log)
    rows = history(log)
    pl.DataFrame(rows, infer_schema_length=None).write_parquet(out.files / "history.parquet", compression="zstd")
    write_steps(out.files, order_of(training, config).order, training.rows, config.max_steps)
    trained = models.load(out.files, device=where)
    after = losses(trained, validation)
    tables["validation loss (nats a token)"] = [
        {"task": task, "base": round(before[task], 3), "fine-tuned": round(after[task], 3)} for task in before
    ]
    metrics |= {
        "validation_loss_nats": after["all"],
        "base_validation_loss_nats": before["all"],
        "steps": rows[-1]["step"],
        "best_step": best_step(rows),
        "tokens": int(max((row["tokens"] or 0 for row in rows), default=0)),
    }
    _plot(rows, before["all"], out.files)
    write_atomic(out.files / "model_card.md", _card(config, metrics, inputs).encode())
    return Report(
        counts={f"rows_{name}": count for name, count in sorted(training.counts.items())},
        metrics=metrics,
        tables=tables,
        plots={"Loss": "plots/loss.png"},
        samples=_samples(trained, known, validation),
    )


def examples(inputs: Inputs, known: Any, config: SftModelConfig) -> tuple[Examples, Examples]:
    """Training and validation rows, encoded; of each task only as many as the training can draw."""
    data = inputs.one("instruction_dataset")
    total = sum(config.task_shares.values())
    frame = pl.read_parquet(data.file("train.parquet"))
    drawn = [
        frame.filter(pl.col("task") == task).head(int(config.max_steps * config.batch_size * share / total) + 1)
        for task, share in config.task_shares.items()
        if share > 0
    ]
    held = pl.read_parquet(data.file("validation.parquet")).filter(pl.col("task").is_in(list(config.task_shares)))
    limits: dict[str, Any] = {"max_tokens": config.max_tokens, "max_untrained_share": config.max_untrained_share}
    if not frame.height or not held.height:
        raise InputError("instruction_dataset has no row of the tasks that sft_model.task_shares names")
    return encode(known, pl.concat(drawn), **limits), encode(known, held.head(config.validation_rows), **limits)


def left_out_share(rows: Examples) -> float:
    """Share of rows that were not used."""
    total = sum(rows.counts.values())
    return 1 - rows.counts["used"] / total if total else 1.0


@torch.inference_mode()
def losses(model: Any, rows: Examples) -> dict[str, float]:
    """Mean loss (nats a trained token) of each task and of all rows together; dropout off."""
    masks = [rows.mask(index) for index in range(len(rows))]
    sums = generation.sequence_logprobs(model, rows.ids, masks)
    found = {}
    for task in [*sorted(set(rows.tasks)), "all"]:
        own = [index for index, name in enumerate(rows.tasks) if task in ("all", name)]
        found[task] = -sum(sums[index] for index in own) / sum(sum(masks[index]) for index in own)
    return found


def _adapter(
    inputs: Inputs,
    out: WorkDir,
    config: SftModelConfig,
    known: Any,
    data: tuple[Examples, Examples],
    where: torch.device,
    progress: Progress,
    log: list[dict[str, Any]] | None = None,
) -> dict[str, Any]:
    """Train an adapter, merge and verify it. With ``log`` it is the main model: all steps, merged into the artefact's root."""
    lora, base = config.lora, inputs.one("base_model").files
    main = log is not None
    steps = config.max_steps if main else lora.demo_steps
    small = config.model_copy(
        update={
            "learning_rate": lora.learning_rate,
            "max_steps": steps,
            "evaluate_every": min(config.evaluate_every, steps) if main else steps,
            "warmup_steps": min(config.warmup_steps, steps // 4),
        }
    )
    model = models.load(base, device=where)
    best, own_log = train(model, known, data, small, out.private / "lora", where, progress, lora)
    if log is not None:
        log.extend(own_log)
    folder = out.files / LORA_FOLDER
    validation = data[1]
    rows = validation.ids[: lora.verify_rows]
    found = save_and_verify(best, base, known, rows, folder, out.files if main else folder / "merged")
    merged = models.load(out.files if main else folder / "merged", device=where)
    return {
        "lora_max_logit_difference": found["max_logit_difference"],
        "lora_token_agreement": found["token_agreement"],
        "lora_positions_compared": found["positions"],
        "lora_steps": steps,
        "lora_validation_loss_nats": losses(merged, validation)["all"],
    }


def _plot(rows: list[dict[str, Any]], base_loss: float, files: Path) -> None:
    (files / "plots").mkdir(exist_ok=True)
    curves = {}
    for name, column in (("training", "loss_nats"), ("validation", "validation_loss_nats")):
        points = [(row["step"], row[column]) for row in rows if row[column] is not None]
        curves[name] = ([step for step, _ in points], [loss for _, loss in points])
    curves["base model, validation"] = ([0, rows[-1]["step"]], [base_loss, base_loss])
    plots.line(files / "plots/loss.png", curves, title="Supervised fine-tuning", x="step", y="nats a trained token")


def _samples(model: Any, known: Any, rows: Examples, per_task: int = 2) -> dict[str, str]:
    """Greedy answers to the first validation prompts of each task, for a person to read."""
    chosen = [rows.rows[index] for task in sorted(set(rows.tasks)) for index in rows.of_task(task)[:per_task]]
    prompts = [
        chat.encode(known, [{"role": "user", "content": row["prompt"]}], add_generation_prompt=True).ids for row in chosen
    ]
    ends = model.generation_config.eos_token_id
    answers = generation.generate(model, prompts, max_new_tokens=_SAMPLE_TOKENS, eos_ids=ends)
    shown: dict[str, str] = {}
    for number, (row, answer) in enumerate(zip(chosen, answers, strict=True), 1):
        said = known.decode([token for token in answer if token not in ends], skip_special_tokens=False)
        shown[f"{row['task']} {number}"] = f"{row['prompt']}\n→ {said}\n(a person wrote: {row['answer']})"
    return shown


def _card(config: SftModelConfig, metrics: dict[str, Any], inputs: Inputs) -> str:
    after, before = metrics["validation_loss_nats"], metrics["base_validation_loss_nats"]
    facts = {
        "trained from": inputs.one("base_model").ref,
        "data": inputs.one("instruction_dataset").ref,
        "method": config.method,
        "steps (best)": f"{metrics['steps']} ({metrics['best_step']})",
        "validation loss": f"{after:.3f} nats a token (base: {before:.3f})",
        "credit": credit(),
    }
    text = (
        "Answers four kinds of question: describe a thing by name, summarise an extract in one line, name its topic, put an "
        "interface string into French. It is small: what it says about things it was given no text of is often wrong."
    )
    return model_card("sft_model", facts, text)
