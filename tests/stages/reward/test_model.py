import shutil
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
import torch
from safetensors.torch import load_file, save_file
from trl import RewardConfig, RewardTrainer

from llm_assets.core.artefact import Inputs, WorkDir
from llm_assets.core.errors import InputError
from llm_assets.core.progress import Recording, Silent
from llm_assets.core.recipe.post_training import RewardModelConfig
from llm_assets.core.report import Report
from llm_assets.lm import finetune
from llm_assets.lm import model as models
from llm_assets.stages import spec_of
from llm_assets.stages.reward import baselines, model_gates, trainer
from llm_assets.stages.reward import model as stage
from llm_assets.stages.reward.pairs import Pairs, encode

CONFIG = RewardModelConfig(
    max_steps=8,
    batch_size=8,
    learning_rate=2e-3,
    warmup_steps=2,
    evaluate_every=4,
    validation_rows=16,
    test_pairs=40,
    max_tokens=400,
    dtype="float32",
    threads=1,
    device="cpu",
    require_claims=False,
)
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def made(world, tmp_path_factory):
    work = WorkDir.at(tmp_path_factory.mktemp("made"))
    report = stage.run(world.inputs, work, CONFIG, Recording())
    return SimpleNamespace(files=work.files, report=report)


def judge(files, report, config=CONFIG):
    found = model_gates.gates(Inputs(), files, config, report)
    assert sorted(gate.name for gate in found) == sorted(spec_of("reward_model").gate_names)
    return {gate.name for gate in found if not gate.passed}, {gate.name for gate in found if gate.blocking}


def pairs(world, rows=16, split="train", **more):
    frame = pl.read_parquet(world.folders["preference_dataset"][0] / f"{split}.parquet").head(rows)
    return encode(world.tokenizer, frame, **({"max_tokens": 400} | more))


def test_a_run_leaves_a_model_that_scores_the_same_after_loading(world, made):
    """Case B31: the head is in the folder; the test scores come from what was saved."""
    assert "score.weight" in load_file(made.files / "model.safetensors")
    assert made.report.metrics["reload_difference"] <= 1e-5
    test = pairs(world, 40, "test")
    again = trainer.scores(models.load(made.files, kind="classifier"), [*test.chosen, *test.rejected])
    saved = pl.read_parquet(made.files / "test_scores.parquet")
    assert np.abs(np.array(again) - np.concatenate([saved["chosen_score"], saved["rejected_score"]])).max() <= 1e-5
    failed, blocking = judge(made.files, made.report)
    assert not failed & {"reward_pairs", "reward_reloads"} and blocking == {"reward_pairs", "reward_reloads"}
    assert {row["kind"] for row in made.report.tables["held-out accuracy"]} >= {"same_topic", "all"}
    for name in made.report.plots.values():
        assert (made.files / name).stat().st_size > 1000
    assert "No person was asked" in (made.files / "model_card.md").read_text()
    assert pl.read_parquet(made.files / "history.parquet")["accuracy"].drop_nulls().len() > 0


def test_a_folder_without_the_score_head_is_an_error(made, tmp_path):
    """Case B31: transformers would make one up and warn."""
    folder = tmp_path / "copy"
    shutil.copytree(made.files, folder)
    weights = load_file(folder / "model.safetensors")
    del weights["score.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(InputError, match=r"score\.weight"):
        models.load(folder, kind="classifier")
    assert "reward_reloads" in judge(folder, made.report)[0]


def test_the_classifier_starts_from_the_chat_model_with_a_score_of_zero(world, tmp_path):
    folder = world.folders["sft_model"][0]
    model = trainer.from_causal(folder, CPU)
    chat = models.load(folder)
    assert torch.equal(model.model.embed_tokens.weight, chat.model.embed_tokens.weight)
    assert float(model.score.weight.detach().abs().sum()) == 0

    damaged = tmp_path / "copy"
    shutil.copytree(folder, damaged)
    weights = load_file(damaged / "model.safetensors")
    weights.pop("model.norm.weight")
    save_file(weights, damaged / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(InputError, match=r"model\.norm\.weight"):
        trainer.from_causal(damaged, CPU)


@pytest.mark.parametrize("fast", [True, False])
def test_scoring_equal_rows_once_gives_the_loss_and_gradient_of_trl(world, tmp_path, monkeypatch, fast):
    monkeypatch.setattr(trainer.fused, "supports", lambda *args: fast)
    rows = pairs(world)
    assert len({tuple(ids) for ids in rows.chosen}) == 4  # four pairs a question
    dataset = trainer._dataset(rows)
    arguments = RewardConfig(**finetune.common_arguments(CONFIG, tmp_path, CPU), center_rewards_coefficient=0.01)
    found = {}
    for kind in (trainer.PairTrainer, RewardTrainer):
        model = trainer.from_causal(world.folders["sft_model"][0], CPU)
        with torch.no_grad():
            model.score.weight.copy_(torch.linspace(-1, 1, model.score.weight.numel()).view_as(model.score.weight))
        more = {"order": None} if kind is trainer.PairTrainer else {}
        with finetune.contained(1):
            ours = kind(
                model=model,
                args=arguments,
                train_dataset=dataset,
                eval_dataset=dataset,
                processing_class=world.tokenizer,
                **more,
            )
            loss = ours.compute_loss(model, ours.data_collator([dataset[row] for row in range(16)]))
        loss.backward()
        found[kind] = (float(loss.detach()), model.model.embed_tokens.weight.grad)
    (ours_loss, ours_grad), (theirs_loss, theirs_grad) = found.values()
    assert ours_loss == pytest.approx(theirs_loss, abs=1e-5)
    torch.testing.assert_close(ours_grad, theirs_grad, atol=1e-5, rtol=1e-4)


def test_a_killed_training_goes_on_bit_for_bit(world, made, tmp_path, monkeypatch):
    """Case B25."""

    class Kill(finetune.TrainerCallback):
        def on_step_end(self, args, state, control, **kwargs):
            if state.global_step == 6:
                raise KeyboardInterrupt

    work = WorkDir.at(tmp_path)
    usual = finetune.callbacks
    monkeypatch.setattr(finetune, "callbacks", lambda *args: [*usual(*args), Kill()])
    with pytest.raises(KeyboardInterrupt):
        stage.run(world.inputs, work, CONFIG, Silent())
    monkeypatch.setattr(finetune, "callbacks", usual)
    progress = Recording()
    stage.run(world.inputs, work, CONFIG, progress)
    assert progress.notes == ["going on from checkpoint-4"]
    for name in ("model.safetensors", "history.parquet", "test_scores.parquet"):
        assert (work.files / name).read_bytes() == (made.files / name).read_bytes()


def test_equal_and_long_pairs_are_left_out_and_counted(world):
    """Case B32."""
    row = {"id": "1", "doc_id": "d", "prompt": "Which?", "chosen": "yes it is", "rejected": "no", "kind": "shuffled"}
    rows = [row, row | {"rejected": " yes it is "}, row | {"prompt": "x" * 600}]
    found = encode(world.tokenizer, pl.DataFrame(rows), max_tokens=300)
    assert len(found) == 1 and found.counts == {"used": 1, "equal": 1, "too_long": 1}
    assert found.share("equal") == pytest.approx(1 / 3) and found.share("equal", "too_long") == pytest.approx(2 / 3)
    assert found.chosen[0][-1] == world.tokenizer.convert_tokens_to_ids("<|im_end|>") == found.answers[0][1][-1]
    with pytest.raises(InputError, match="none of 1 preference pairs is usable"):
        encode(world.tokenizer, pl.DataFrame(rows[1:2]), max_tokens=300)


def test_questions_that_lost_a_kind_are_not_drawn(world):
    whole = pairs(world, 8)
    assert trainer.questions(whole) == [[0, 1, 2, 3], [4, 5, 6, 7]]
    with pytest.raises(InputError, match="a pair of every kind"):
        trainer.questions(pairs(world, 3))


# baselines and figures


def answers(*both):
    return Pairs(answers=[(list(good), list(bad)) for good, bad in both], kinds=["truncated"] * len(both))


def test_length_prefers_what_was_right_in_training():
    train = answers(([1], [1, 2]), ([1], [2, 2, 2]), ([1, 1, 1], [2]))
    assert list(baselines.correct(baselines.length_margins(train, answers(([1], [1, 2]), ([1, 2], [1]), ([1], [2]))))) == [
        1,
        0,
        0.5,
    ]


def test_unigrams_find_a_telling_token():
    train = answers(*[([3, 4], [3, 5])] * 10, *[([6, 4], [6, 5, 5])] * 10)
    margins = baselines.unigram_margins(train, answers(([4, 9], [5, 9]), ([9, 5], [9, 4]), ([8], [7])), 10)
    assert list(baselines.correct(np.round(margins, 6))) == [1, 0, 0.5]


def test_judging_counts_kinds_apart():
    test = answers(*[([1, 2], [1])] * 20)
    test.kinds = ["truncated"] * 10 + ["same_topic"] * 10
    margins = np.array([1.0] * 10 + [-1.0] * 10)
    found = stage.judge(margins, test, test, 10, seed=1)
    assert found["accuracy"] == 0.5 and found["accuracy_truncated"] == 1 and found["accuracy_same_topic"] == 0
    assert found["accuracy_truncated_low"] > 0.5 and found["length_accuracy"] == 1
    assert [row["kind"] for row in found["table"]] == ["same_topic", "truncated", "all"]


def test_calibration_bins_hold_what_was_claimed():
    claimed, held = stage.calibration(np.array([4.0] * 8 + [-0.1] * 8))
    assert claimed[0] == pytest.approx(0.525, abs=1e-3) and held[0] == 0
    assert claimed[-1] == pytest.approx(0.982, abs=1e-3) and held[-1] == 1


# gates


@pytest.fixture
def good(made, tmp_path):
    """A copy whose held-out scores are those of a good model, and its report."""
    folder = tmp_path / "copy"
    shutil.copytree(made.files, folder)
    kinds = [kind for kind in ("other_topic", "same_topic", "truncated", "shuffled") for _ in range(50)]
    right = np.array([kind != "same_topic" or number % 2 == 0 for number, kind in enumerate(kinds)])
    chosen = np.where(right, 1.0, -1.0) + np.linspace(0, 0.1, 200)
    frame = pl.DataFrame({"id": map(str, range(200)), "kind": kinds, "chosen_score": chosen, "rejected_score": [0.0] * 200})
    frame.write_parquet(folder / "test_scores.parquet")
    metrics = {"accuracy": float(right.mean()), "gain_over_length_low": 0.1, "gain_over_unigram_low": 0.05}
    metrics |= {
        "length_accuracy": 0.6,
        "unigram_accuracy": 0.7,
        "equal_share": 0.0,
        "left_out_share": 0.0,
        "reload_difference": 1e-7,
    }
    return folder, Report(metrics=metrics)


CLAIMING = CONFIG.model_copy(update={"require_claims": True})


def test_a_good_model_passes_and_every_gate_blocks(good):
    failed, blocking = judge(*good, CLAIMING)
    assert failed == set() and blocking == set(spec_of("reward_model").gate_names)


@pytest.mark.parametrize(
    ("metric", "value", "gate"),
    [
        ("gain_over_length_low", -0.01, "reward_above_baselines"),
        ("gain_over_unigram_low", 0.0, "reward_above_baselines"),
        ("accuracy", 0.99, "reward_above_baselines"),
        ("equal_share", 0.01, "reward_pairs"),
        ("left_out_share", 0.5, "reward_pairs"),
        ("reload_difference", 1e-3, "reward_reloads"),
        ("reload_difference", float("nan"), "reward_reloads"),
    ],
)
def test_doctored_figures_are_refused(good, metric, value, gate):
    folder, report = good
    report.metrics[metric] = value
    assert judge(folder, report, CLAIMING)[0] == {gate}


@pytest.mark.parametrize("kind", ["other_topic", "truncated", "shuffled"])
def test_a_kind_near_chance_or_missing_is_refused(good, kind):
    folder, report = good
    path = folder / "test_scores.parquet"
    frame = pl.read_parquet(path)
    coin = pl.when((pl.col("kind") == kind) & (pl.int_range(pl.len()) % 2 == 0)).then(-1.0).otherwise(pl.col("chosen_score"))
    flipped = frame.with_columns(chosen_score=coin)
    flipped.write_parquet(path)
    report.metrics["accuracy"] = float((flipped["chosen_score"] > 0).mean())
    assert judge(folder, report, CLAIMING)[0] == {"reward_above_chance"}
    without = frame.filter(pl.col("kind") != kind)
    without.write_parquet(path)
    report.metrics["accuracy"] = float((without["chosen_score"] > 0).mean())
    assert judge(folder, report, CLAIMING)[0] == {"reward_above_chance"}


def test_scores_that_are_all_the_same_are_refused(good):
    folder, report = good
    path = folder / "test_scores.parquet"
    pl.read_parquet(path).with_columns(chosen_score=pl.lit(0.5)).write_parquet(path)
    assert "reward_reloads" in judge(folder, report, CLAIMING)[0]
