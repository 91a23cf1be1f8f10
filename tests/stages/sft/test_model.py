import shutil
from types import SimpleNamespace

import polars as pl
import pytest
import torch
from datasets import Dataset
from transformers import TrainerCallback
from trl import SFTConfig, SFTTrainer

from llm_assets.core.artefact import Inputs, WorkDir
from llm_assets.core.errors import InputError
from llm_assets.core.jsonio import read_json, write_json
from llm_assets.core.progress import Recording, Silent
from llm_assets.core.recipe.post_training import LoraConfig, SftModelConfig
from llm_assets.core.report import Report
from llm_assets.lm import chat, finetune, generation
from llm_assets.lm import model as models
from llm_assets.lm import tokenizer as tokenizers
from llm_assets.stages import spec_of
from llm_assets.stages.sft import merging, model_gates, trainer
from llm_assets.stages.sft import model as stage
from llm_assets.stages.sft.examples import IGNORED, encode
from tests.support import tiny

CONFIG = SftModelConfig(
    max_steps=12,
    batch_size=8,
    learning_rate=3e-3,
    warmup_steps=2,
    evaluate_every=4,
    validation_rows=16,
    max_tokens=400,
    dtype="float32",
    threads=1,
    device="cpu",
    task_shares={"describe": 0.5, "topic": 0.5},
    lora=LoraConfig(demo_steps=3, rank=2, verify_rows=8),
)
CPU = torch.device("cpu")


class Killed(Exception):
    """Stands in for a kill."""


class KillAt(TrainerCallback):
    def __init__(self, step):
        self.step = step

    def on_step_end(self, args, state, control, **kwargs):
        if state.global_step == self.step:
            raise Killed


@pytest.fixture(scope="module")
def made(world, tmp_path_factory):
    """One full run."""
    work = WorkDir.at(tmp_path_factory.mktemp("made"))
    progress = Recording()
    report = stage.run(world.inputs, work, CONFIG, progress)
    return SimpleNamespace(files=work.files, private=work.private, report=report, progress=progress)


def gates(files, config=CONFIG, report=None, world=None):
    found = model_gates.gates(Inputs(), files, config, report)
    assert sorted(gate.name for gate in found) == sorted(spec_of("sft_model").gate_names)
    assert all(gate.blocking for gate in found)
    return {gate.name for gate in found if not gate.passed}


def test_a_run_learns_and_leaves_a_model_that_loads(made):
    assert gates(made.files, report=made.report) == set()
    metrics = made.report.metrics
    assert metrics["validation_loss_nats"] < metrics["base_validation_loss_nats"] - 0.5
    history = pl.read_parquet(made.files / "history.parquet")
    assert history["step"].max() == 12 and history["validation_loss_nats"].drop_nulls().len() == 3
    assert (made.files / "plots/loss.png").stat().st_size > 1000
    assert "Answers four kinds" in (made.files / "model_card.md").read_text()
    assert made.report.samples and {row["task"] for row in made.report.tables["validation loss (nats a token)"]} == {
        "describe",
        "topic",
        "all",
    }
    assert any("validation_loss" in metrics for *_, metrics in made.progress.updates)
    assert not list(made.files.rglob("*.bin")) + list(made.files.rglob("*.pt"))


def test_the_config_of_the_saved_model_ends_turns(made):
    known = tokenizers.load(made.files)
    model = models.load(made.files)
    assert known.eos_token == "<|im_end|>" and model.config.eos_token_id == known.eos_token_id
    assert known.chat_template


def test_two_runs_are_the_same_bit_for_bit(world, made, tmp_path):
    work = WorkDir.at(tmp_path)
    small = CONFIG.model_copy(update={"lora": CONFIG.lora.model_copy(update={"demo_steps": 0})})
    report = stage.run(world.inputs, work, small, Silent())
    assert (work.files / "model.safetensors").read_bytes() == (made.files / "model.safetensors").read_bytes()
    assert gates(work.files, small, report) == set()  # no adapter was asked for


@pytest.mark.parametrize("step", [3, 6])
def test_a_killed_training_goes_on_bit_for_bit(world, made, tmp_path, monkeypatch, step):
    """Cases B24 and B25: killed before the first checkpoint (step 3) or after it (step 6)."""
    work = WorkDir.at(tmp_path)
    usual = finetune.callbacks
    monkeypatch.setattr(finetune, "callbacks", lambda *args: [*usual(*args), KillAt(step)])
    with pytest.raises(Killed):
        stage.run(world.inputs, work, CONFIG, Silent())
    monkeypatch.setattr(finetune, "callbacks", usual)
    progress = Recording()
    stage.run(world.inputs, work, CONFIG, progress)
    assert ("going on from checkpoint-4" in progress.notes) == (step == 6)
    for name in ("model.safetensors", "history.parquet"):
        assert (work.files / name).read_bytes() == (made.files / name).read_bytes()


def test_training_stops_when_patience_ends(world, tmp_path):
    config = CONFIG.model_copy(
        update={"learning_rate": 1e-9, "max_steps": 40, "evaluate_every": 2, "patience": 2, "warmup_steps": 0}
    )
    config = config.model_copy(update={"lora": config.lora.model_copy(update={"demo_steps": 0})})
    work = WorkDir.at(tmp_path)
    report = stage.run(world.inputs, work, config.model_copy(update={"learning_rate": 1.0}), Silent())
    assert report.metrics["steps"] < 40
    assert report.metrics["best_step"] <= report.metrics["steps"] - 4


def data(world, rows=12):
    known = tokenizers.load(world.folders["tokenizer"][0])
    frame = pl.read_parquet(world.folders["instruction_dataset"][0] / "train.parquet").filter(pl.col("task") == "describe")
    return known, encode(known, frame.head(rows), max_tokens=400, max_untrained_share=0)


def batch(examples, rows, pad):
    ids = generation.right_pad([examples.ids[row] for row in rows], pad)
    labels = generation.right_pad([examples.labels[row] for row in rows], IGNORED)
    return ids, labels


@pytest.mark.parametrize("fast", [True, False])
def test_the_loss_is_that_of_trl_on_every_column(world, tmp_path, monkeypatch, fast):
    monkeypatch.setattr(trainer.fused, "supports", lambda *args: fast)
    known, examples = data(world)
    model = models.load(world.folders["base_model"][0])
    ids, labels = batch(examples, range(12), known.pad_token_id)
    loss, trained = trainer.answer_loss(model, ids, labels)
    dataset = Dataset.from_dict({"input_ids": examples.ids, "labels": examples.labels})
    arguments = finetune.common_arguments(CONFIG, tmp_path, CPU)
    with finetune.contained(1):
        theirs = SFTTrainer(
            model=model,
            args=SFTConfig(**arguments, dataset_kwargs={"skip_prepare_dataset": True}),
            train_dataset=dataset,
            eval_dataset=dataset,
            processing_class=known,
        )
        inputs = theirs.data_collator([dataset[row] for row in range(12)])
        expected = theirs.compute_loss(model, inputs)
    assert int(trained) == int((labels != IGNORED).sum())
    assert float((loss / trained).detach()) == pytest.approx(float(expected.detach()), abs=1e-5)


def test_rows_do_not_see_each_other_or_padding(world):
    """Case B23: nothing is packed; another row's content and the padding beside it change nothing."""
    known, examples = data(world)
    model = models.load(world.folders["base_model"][0])
    shortest = min(range(12), key=lambda row: len(examples.ids[row]))
    longest = max(range(12), key=lambda row: len(examples.ids[row]))
    with torch.no_grad():
        alone, both, other = (
            trainer.answer_loss(model, *batch(examples, rows, known.pad_token_id))[0]
            for rows in ([shortest], [shortest, longest], [longest])
        )
    assert float(both - other) == pytest.approx(float(alone), abs=1e-3)


def test_an_overfitted_answer_ends_by_itself(world, tmp_path):
    """Case B27."""
    known, examples = data(world, 1)
    model = models.load(world.folders["base_model"][0])
    config = CONFIG.model_copy(
        update={"max_steps": 60, "batch_size": 4, "evaluate_every": 60, "task_shares": {"describe": 1.0}}
    )
    best, _ = trainer.train(model, known, (examples, examples), config, tmp_path, CPU, Silent())
    prompt = chat.encode(known, [{"role": "user", "content": examples.rows[0]["prompt"]}], add_generation_prompt=True).ids
    (answer,) = generation.generate(best, [prompt], max_new_tokens=80, eos_ids=[known.convert_tokens_to_ids("<|im_end|>")])
    assert answer == [label for label in examples.labels[0] if label != IGNORED]


def test_method_lora_publishes_the_merged_model(world, tmp_path):
    config = CONFIG.model_copy(update={"method": "lora", "max_steps": 6, "evaluate_every": 3})
    work = WorkDir.at(tmp_path)
    report = stage.run(world.inputs, work, config, Silent())
    assert gates(work.files, config, report) == set()
    assert (work.files / "lora/adapter/adapter_model.safetensors").is_file() and not (work.files / "lora/merged").exists()
    merged, base = (models.load(folder).state_dict() for folder in (work.files, world.folders["base_model"][0]))
    changed = [name for name in base if not torch.equal(merged[name], base[name])]
    assert any("q_proj" in name for name in changed) and not any("embed" in name for name in changed)


def test_merging_in_float32_and_casting_once_beats_merging_in_bfloat16(world, tmp_path):
    """Case B36."""
    from peft import LoraConfig as Adapter
    from peft import get_peft_model

    def adapted(dtype):
        with finetune.contained(0):
            found = get_peft_model(
                models.load(world.folders["base_model"][0], dtype=dtype),
                Adapter(r=8, lora_alpha=32, target_modules="all-linear", init_lora_weights=False),
            )
        return found.eval()

    _, examples = data(world, 6)
    exact = adapted(torch.float32)
    reference = merging.merge(adapted(torch.float32), torch.float32)
    assert merging.compare(exact, reference, examples.ids)["max_logit_difference"] < 1e-3
    half = adapted(torch.bfloat16)
    careless = half.merge_and_unload().float()
    careful = merging.merge(adapted(torch.bfloat16), torch.bfloat16)
    assert careful.model.layers[0].self_attn.q_proj.weight.dtype == torch.bfloat16

    def error(model):
        return sum(
            float((weight.float() - reference.state_dict()[name]).abs().sum()) for name, weight in model.state_dict().items()
        )

    assert error(careful.float()) <= error(careless)


def test_data_without_the_asked_tasks_is_said(world, tmp_path):
    config = CONFIG.model_copy(update={"task_shares": {"riddle": 1.0}})
    with pytest.raises(InputError, match="task_shares"):
        stage.run(world.inputs, WorkDir.at(tmp_path), config, Silent())


# gates


@pytest.fixture
def copy(made, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(made.files, folder)
    report = Report(metrics=dict(made.report.metrics))
    return folder, report


@pytest.mark.parametrize(
    ("metric", "value"), [("trained_token_share", 1.0), ("trained_token_share", 0.0), ("left_out_share", 0.2)]
)
def test_training_on_everything_or_nothing_is_refused(copy, metric, value):
    """Case B29."""
    folder, report = copy
    report.metrics[metric] = value
    assert gates(folder, report=report) == {"sft_trained_tokens"}


def test_a_model_that_did_not_learn_is_refused(copy):
    folder, report = copy
    report.metrics["validation_loss_nats"] = report.metrics["base_validation_loss_nats"]
    assert gates(folder, report=report) == {"sft_learned"}


def test_a_loss_that_is_not_finite_is_refused(copy):
    folder, report = copy
    history = pl.read_parquet(folder / "history.parquet").with_columns(loss_nats=pl.lit(float("nan")))
    history.write_parquet(folder / "history.parquet")
    assert gates(folder, report=report) == {"sft_learned"}


@pytest.mark.parametrize("change", [{"max_logit_difference": 0.5}, {"token_agreement": 0.9}, None])
def test_a_merge_that_moved_the_model_is_refused(copy, change):
    """Case B36."""
    folder, report = copy
    path = folder / "lora/merge.json"
    if change is None:
        path.unlink()
    else:
        write_json(path, read_json(path) | change)
    assert gates(folder, report=report) == {"sft_lora_merge"}


def test_a_folder_that_does_not_load_is_refused(copy, world):
    folder, report = copy
    config = read_json(folder / "config.json")
    write_json(folder / "config.json", config | {"num_hidden_layers": 3})
    assert gates(folder, report=report) == {"sft_loads"}


def test_a_base_eos_is_refused(copy):
    folder, report = copy
    config = read_json(folder / "config.json")
    write_json(folder / "config.json", config | {"eos_token_id": 0})
    assert gates(folder, report=report) == {"sft_loads"}


def test_the_tiny_base_is_not_a_chat_model(world):
    assert finetune.folder_faults(tiny.random_model(world.root / "again", world.folders["tokenizer"][0]), "causal")
