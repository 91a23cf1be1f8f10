import random
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from llm_assets.core.progress import Recording
from llm_assets.core.recipe.post_training import SftModelConfig
from llm_assets.lm import finetune
from llm_assets.lm import model as models
from llm_assets.lm import tokenizer as tokenizers
from tests.support import tiny


def sampler(steps=10, batch=8, seed=1, groups=(range(40), range(40, 50)), shares=(3, 1), **more):
    lengths = [10 + (7 * row) % 90 for row in range(50)]
    return finetune.StepSampler(lengths, groups, shares, steps=steps, batch_size=batch, seed=seed, **more)


@given(st.integers(1, 30), st.integers(1, 9), st.integers(0, 5))
def test_the_order_has_every_row_in_turn_and_keeps_the_shares(steps, batch, seed):
    order = list(sampler(steps, batch, seed))
    assert len(order) == steps * batch == len(sampler(steps, batch, seed))
    small = [row for row in order if row >= 40]
    assert abs(len(small) - len(order) / 4) <= 1
    counts = Counter(order)
    for group in (range(40), range(40, 50)):
        own = [counts[row] for row in group]
        assert max(own) - min(own) <= 1  # a row comes again only when all of its group have come


def test_the_order_is_a_pure_function_of_the_seed():
    random.seed(1)
    first = list(sampler())
    random.seed(2)
    np.random.seed(3)
    assert list(sampler()) == first
    assert list(sampler(seed=2)) != first


def test_rows_of_a_batch_are_alike_in_length_and_batches_are_mixed():
    lengths = np.array([10 + (7 * row) % 90 for row in range(50)])
    order = np.array(list(sampler(steps=16, batch=8))).reshape(16, 8)
    spread = np.ptp(lengths[order], axis=1).mean()
    assert spread < np.ptp(lengths) / 4
    means = lengths[order].mean(1)
    assert list(means) != sorted(means) and list(means) != sorted(means, reverse=True)


def test_units_stay_together():
    units = [[3 * unit, 3 * unit + 1, 3 * unit + 2] for unit in range(50)]
    order = list(sampler(units=units))
    assert len(order) == 10 * 8 * 3
    assert all(order[at : at + 3] == units[order[at] // 3] for at in range(0, len(order), 3))


def test_steps_are_written_down_as_they_are_read(tmp_path):
    rows = [{"id": f"r{n}", "doc_id": f"d{n % 7}", "rejected_doc_id": None if n % 2 else f"d{n}"} for n in range(50)]
    order = sampler(steps=6, batch=8).order
    finetune.write_steps(tmp_path, order, rows, 6)
    table = pl.read_parquet(tmp_path / finetune.STEPS_FILE)
    assert table.rows() == [(at // 8 + 1, *rows[row].values()) for at, row in enumerate(order)]
    finetune.write_steps(tmp_path, order, [{"id": row["id"], "doc_id": row["doc_id"]} for row in rows], 6)
    assert pl.read_parquet(tmp_path / finetune.STEPS_FILE).columns == ["step", "id", "doc_id"]


def test_the_best_step_is_the_one_with_the_lowest_validation_loss():
    losses = [(5, None), (10, 2.0), (20, 1.5), (30, 1.7)]
    assert finetune.best_step([{"step": step, "validation_loss_nats": loss} for step, loss in losses]) == 20
    assert finetune.best_step([{"step": 5, "validation_loss_nats": None}]) == 0


def test_an_empty_group_is_refused():
    with pytest.raises(ValueError, match="at least one row"):
        sampler(groups=(range(3), ()))


def checkpoint(folder: Path, step: int) -> Path:
    """A folder with two files, marked whole."""
    path = folder / f"checkpoint-{step}"
    path.mkdir(parents=True)
    (path / "model.safetensors").write_bytes(bytes(range(200)))
    (path / "trainer_state.json").write_text("{}")
    arguments, state = SimpleNamespace(output_dir=str(folder)), SimpleNamespace(global_step=step)
    finetune.MarkWhole().on_save(arguments, state, None)
    return path


def test_the_newest_whole_checkpoint_is_taken(tmp_path):
    assert finetune.newest_checkpoint(tmp_path) is None
    checkpoint(tmp_path, 9)
    newest = checkpoint(tmp_path, 10)
    assert finetune.newest_checkpoint(tmp_path) == newest


@pytest.mark.parametrize("damage", ["truncated", "missing file", "no marker", "half marker"])
def test_a_checkpoint_that_a_kill_left_half_is_passed_over(tmp_path, damage):
    """Case B25."""
    older, newer = checkpoint(tmp_path, 5), checkpoint(tmp_path, 10)
    weights, marker = newer / "model.safetensors", tmp_path / "checkpoint-10.complete.json"
    if damage == "truncated":
        weights.write_bytes(weights.read_bytes()[:100])
    elif damage == "missing file":
        (newer / "trainer_state.json").unlink()
    elif damage == "no marker":
        marker.unlink()
    else:
        marker.write_text(marker.read_text()[:20])
    assert finetune.newest_checkpoint(tmp_path) == older


def test_libraries_leave_the_global_generators_as_they_were():
    def draws():
        return random.random(), float(np.random.random()), float(torch.rand(()))

    random.seed(4), np.random.seed(4), torch.manual_seed(4)
    expected = draws()
    random.seed(4), np.random.seed(4), torch.manual_seed(4)
    with finetune.contained(1):
        first = draws()
    assert draws() == expected
    with finetune.contained(1):
        assert draws() == first


def test_history_has_one_row_a_step():
    log = [
        {"step": 5, "loss": 2.0, "learning_rate": 1e-3, "grad_norm": 0.5, "num_tokens": 100, "epoch": 0.5},
        {"step": 10, "loss": 1.5, "learning_rate": 5e-4, "grad_norm": 0.4, "num_tokens": 200},
        {"step": 10, "eval_loss": 1.7, "eval_runtime": 1.0},
        {"step": 10, "train_runtime": 3.0},
    ]
    first, second = finetune.history(log)
    assert first["loss_nats"] == 2.0 and first["validation_loss_nats"] is None
    assert second == {**second, "step": 10, "tokens": 200, "loss_nats": 1.5, "validation_loss_nats": 1.7}


def test_reporting_passes_on_losses_only():
    progress = Recording()
    state = SimpleNamespace(global_step=3, max_steps=9)
    callback = finetune.Reporting(progress)
    callback.on_log(None, state, None, logs={"loss": 1.5, "learning_rate": 0.1, "epoch": 1})
    callback.on_log(None, state, None, logs={"train_runtime": 2.0})
    assert progress.updates == [(3, 9, "steps", {"loss": 1.5, "learning_rate": 0.1})]


def test_arguments_follow_the_config(tmp_path):
    found = finetune.common_arguments(SftModelConfig(dtype="float32", max_steps=7), tmp_path, torch.device("cpu"))
    assert (found["max_steps"], found["bf16"], found["use_cpu"], found["report_to"]) == (7, False, True, "none")


def test_faults_of_a_folder_are_named(tmp_path):
    tokenizer = tiny.byte_tokenizer(tmp_path / "tokenizer")
    folder = tiny.random_model(tmp_path / "model", tokenizer)
    assert any("not 3" in fault or "tokenizer" in fault for fault in finetune.folder_faults(folder, "causal"))

    model, known = models.load(folder), tokenizers.load(folder)
    finetune.end_turns(model, known)
    models.save(model, known, folder)
    assert finetune.folder_faults(folder, "causal") == []
    assert models.load(folder).generation_config.eos_token_id == [3, 0]

    with torch.no_grad():
        model.model.norm.weight[0] = float("nan")
    models.save(model, known, folder)
    assert "not finite" in finetune.folder_faults(folder, "causal")[0]
    (folder / "model.safetensors").write_bytes(b"\0" * 64)
    assert "while loading" in finetune.folder_faults(folder, "causal")[0]
