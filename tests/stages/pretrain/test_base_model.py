import json

import polars as pl
import pytest
import torch
from safetensors.torch import load_file, save_file

from llm_assets.core.artefact import Inputs, WorkDir
from llm_assets.core.errors import InputError
from llm_assets.core.progress import Recording
from llm_assets.core.recipe.pretraining import BaseModelConfig
from llm_assets.core.recipe.tokens import TrainingMixConfig
from llm_assets.core.report import Report
from llm_assets.lm import model as models
from llm_assets.stages.pretrain import SPECS, gates, model
from tests.support import corpus

CONFIG = BaseModelConfig.model_validate(
    {
        "model": {"hidden_size": 32, "n_layers": 1, "n_heads": 1, "n_kv_heads": 1, "head_dim": 32, "ffn_size": 64},
        "train_tokens": 40 * 8 * 32,
        "sequence_length": 32,
        "evaluate_every_steps": 20,
        "must_beat_bigram": False,
        "threads": 1,
    }
)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    root = tmp_path_factory.mktemp("corpus")
    survivors = corpus.shards(root / "d/c1", corpus.rows(120))
    tokenizer = corpus.make_tokenizer(root / "tokenizer", survivors)
    tokens = corpus.make_tokens(root / "t", survivors, tokenizer)
    config = TrainingMixConfig(languages={"en": 1.0}, validation_fraction=0.1)
    _, found = corpus.make_mix(root / "mix", [survivors], [tokens], config)
    return Inputs.of({**{name: [a.files for a in rows] for name, rows in found.artefacts.items()}, "tokenizer": [tokenizer]})


@pytest.fixture(scope="module")
def made(inputs, tmp_path_factory):
    threads = torch.get_num_threads()
    out, told = WorkDir.at(tmp_path_factory.mktemp("base")), Recording()
    report = model.run(inputs, out, CONFIG, told)
    torch.set_num_threads(threads)
    report.save(out.files)
    return out.files, told


def judged(inputs, files, config=CONFIG, report=None):
    return {gate.name: gate for gate in gates.gates(inputs, files, config, report or Report.load(files))}


def copied(files, tmp_path):
    for path in files.iterdir():
        if path.is_file():
            (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path


def test_a_run_leaves_a_model_that_learned_and_all_that_tells_of_it(inputs, made):
    files, told = made
    report = Report.load(files)
    found = judged(inputs, files)
    assert tuple(found) == SPECS[0].gate_names
    assert all(gate.passed for name, gate in found.items() if name != "base_beats_bigram"), found
    history = pl.read_parquet(files / "history.parquet")
    assert history["step"].to_list() == list(range(41))
    assert history.filter(pl.col("step") == 0)["loss_nats"].null_count() == 1
    assert report.metrics["tokens"] == report.counts["steps"] * 8 * 32 == 40 * 8 * 32
    assert report.metrics["heldout_source"] == "training_mix validation"
    assert all(0 < report.metrics[f"{name}_bits_per_byte"] < 8 for name in ("bigram", "trigram"))
    assert report.metrics["claims"][0]["applies"] is False
    assert all((files / path).stat().st_size < 200_000 for path in report.plots.values())
    assert told.updates[-1][:3] == (40, 40, "steps")
    card = (files / "model_card.md").read_text("utf-8")
    assert "Kneser-Ney trigrams" in card
    assert json.loads((files / "data_order.json").read_text())["steps"] == 40


def test_equal_inputs_make_equal_weights(inputs, made, tmp_path):
    model.run(inputs, WorkDir.at(tmp_path), CONFIG, Recording())
    assert (tmp_path / "files/model.safetensors").read_bytes() == (made[0] / "model.safetensors").read_bytes()


def test_a_loss_that_is_not_finite_is_refused(inputs, made, tmp_path):
    files = copied(made[0], tmp_path)
    history = pl.read_parquet(files / "history.parquet")
    spoilt = history.with_columns(
        pl.when(pl.col("step") == 7).then(float("nan")).otherwise(pl.col("loss_nats")).alias("loss_nats")
    )
    spoilt.write_parquet(files / "history.parquet")
    gate = judged(inputs, files)["base_loss_finite"]
    assert gate.blocking
    assert not gate.passed
    assert "1 of 40 steps" in gate.message


def test_a_model_that_knows_no_more_than_single_tokens_is_refused(inputs, made, tmp_path):
    report = Report.load(made[0])
    report.metrics["unigram_entropy_nats"] = 0.5
    gate = judged(inputs, made[0], report=report)["base_learned"]
    assert gate.blocking
    assert not gate.passed


@pytest.mark.parametrize("strict", [True, False])
def test_a_model_worse_than_bigrams_is_refused_where_the_recipe_says_so(inputs, made, strict):
    report = Report.load(made[0])
    report.metrics["bits_per_byte"] = report.metrics["bigram_bits_per_byte"] + 0.01
    gate = judged(inputs, made[0], CONFIG.model_copy(update={"must_beat_bigram": strict}), report)["base_beats_bigram"]
    assert not gate.passed
    assert gate.blocking is strict


@pytest.mark.parametrize("fault", ["changed", "missing", "gone"])
def test_weights_that_are_not_those_trained_are_refused(inputs, made, tmp_path, fault):
    """Case B38."""
    files = copied(made[0], tmp_path)
    path = files / "model.safetensors"
    tensors = load_file(path)
    if fault == "changed":
        tensors["model.norm.weight"] = tensors["model.norm.weight"] * 1.01
        save_file(tensors, path, metadata={"format": "pt"})
    elif fault == "missing":
        del tensors["model.norm.weight"]
        save_file(tensors, path, metadata={"format": "pt"})
    else:
        path.unlink()
    gate = judged(inputs, files)["base_reloads"]
    assert gate.blocking
    assert not gate.passed


def test_a_tokenizer_of_another_size_is_refused(inputs, tmp_path):
    tokenizer = inputs.one("tokenizer").files
    fresh = copied(tokenizer, tmp_path)
    engine = json.loads((fresh / "tokenizer.json").read_text("utf-8"))
    engine["added_tokens"].append({**engine["added_tokens"][-1], "id": 512, "content": "<|more|>"})
    (fresh / "tokenizer.json").write_text(json.dumps(engine), "utf-8")
    other = Inputs.of({**{name: [a.files for a in rows] for name, rows in inputs.artefacts.items()}, "tokenizer": [fresh]})
    with pytest.raises(InputError, match="512 ids, the tokenizer has 513"):
        model.run(other, WorkDir.at(tmp_path / "w"), CONFIG, Recording())


def test_an_odd_vocabulary_is_refused_before_training():
    """Case B42."""
    with pytest.raises(InputError, match="multiple of 32"):
        model._check_vocabulary(500, 500)


def test_the_models_shape_is_the_recipes(made):
    loaded = models.load(made[0])
    assert (loaded.config.hidden_size, loaded.config.vocab_size, loaded.config.tie_word_embeddings) == (32, 512, True)
