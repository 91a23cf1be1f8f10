"""PPO end to end on the toy world: it learns, resumes to the bit, exports plain weights, and says so when it gained nothing."""

from pathlib import Path
from types import SimpleNamespace

import polars as pl
import pytest
import torch
from safetensors.torch import load_file

from llm_assets.core.artefact import Inputs, WorkDir
from llm_assets.core.errors import InputError
from llm_assets.core.progress import Recording, Silent
from llm_assets.lm import model
from llm_assets.stages.rl.gates import gates
from llm_assets.stages.rl.training import run


class Killed(Exception):
    """The process went away."""


class KillsAfter(Silent):
    """Goes away once so many rounds are done."""

    def __init__(self, rounds: int) -> None:
        self.rounds = rounds

    def update(self, done: int, total: int | None, unit: str, **metrics: float) -> None:
        if done == self.rounds:
            raise Killed


@pytest.fixture(scope="module")
def unbroken(world: SimpleNamespace, tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    out = WorkDir.at(tmp_path_factory.mktemp("unbroken"))
    progress = Recording()
    report = run(world.inputs, out, world.config, progress)
    return SimpleNamespace(out=out, report=report, progress=progress, weights=load_file(out.files / "model.safetensors"))


def test_learns_and_passes_its_gates(world: SimpleNamespace, unbroken: SimpleNamespace) -> None:
    figures = unbroken.report.metrics
    assert figures["reward_gain_low_sd"] > 0
    assert figures["kept_round"] > 0
    assert 0 < figures["mean_kl_nats"] < world.config.kl_ceiling_nats
    results = gates(world.inputs, unbroken.out.files, world.config, unbroken.report)
    assert [gate.name for gate in results if not gate.passed] == []
    assert len(unbroken.progress.updates) == world.config.iterations


def test_the_kl_is_exactly_zero_before_the_first_update(unbroken: SimpleNamespace) -> None:
    """Case B34: equal weights, equal distributions, to the last bit."""
    assert unbroken.report.metrics["kl_at_start_nats"] == 0.0
    first = pl.read_parquet(unbroken.out.files / "history.parquet").row(0, named=True)
    assert first["kl_nats"] == 0.0
    assert first["kl_sampled_nats"] == 0.0


@pytest.mark.parametrize("rounds", [1, 3, 4])
def test_a_killed_run_goes_on_as_if_nothing_had_happened(
    world: SimpleNamespace, unbroken: SimpleNamespace, tmp_path: Path, rounds: int
) -> None:
    """Case B35: critic, optimiser, KL coefficient and random numbers are those of the unbroken run, bit for bit."""
    out = WorkDir.at(tmp_path)
    with pytest.raises(Killed):
        run(world.inputs, out, world.config, KillsAfter(rounds))
    progress = Recording()
    report = run(world.inputs, out, world.config, progress)
    assert len(progress.updates) == world.config.iterations - rounds
    assert progress.notes
    assert report == unbroken.report
    found = load_file(out.files / "model.safetensors")
    assert found.keys() == unbroken.weights.keys()
    assert all(torch.equal(found[name], unbroken.weights[name]) for name in found)
    history = pl.read_parquet(out.files / "history.parquet")
    assert history.equals(pl.read_parquet(unbroken.out.files / "history.parquet"))


def test_the_export_is_a_plain_model(unbroken: SimpleNamespace, world: SimpleNamespace) -> None:
    """Case B35: no critic, no wrapper in the names; the fine-tuned model's names exactly."""
    assert unbroken.weights.keys() == load_file(world.folders["sft_model"] / "model.safetensors").keys()
    assert model.load(unbroken.out.files).config.vocab_size == 288
    card = (unbroken.out.files / "model_card.md").read_text("utf-8")
    assert "48 held-out prompts" in card
    assert f"Round {unbroken.report.metrics['kept_round']} of 4" in card


def test_every_round_names_its_documents(world: SimpleNamespace, unbroken: SimpleNamespace) -> None:
    steps = pl.read_parquet(unbroken.out.files / "steps.parquet")
    counts = dict(steps.group_by("use").len().iter_rows())
    assert counts == {"rollout": 4 * 16, "imitation": 4 * 4 * 4}
    known = set(pl.read_parquet(world.folders["instruction_dataset"] / "train.parquet")["id"])
    assert set(steps["id"]) <= known
    rollouts = steps.filter(pl.col("use") == "rollout")
    tasks = pl.read_parquet(world.folders["instruction_dataset"] / "train.parquet").select("id", "task")
    assert set(rollouts.join(tasks, on="id")["task"]) == {"summarise"}


def test_without_a_gain_the_fine_tuned_model_is_kept_and_said_so(world: SimpleNamespace, tmp_path: Path) -> None:
    out = WorkDir.at(tmp_path)
    config = world.config.model_copy(update={"iterations": 1, "kl_ceiling_nats": 1e-12})
    report = run(world.inputs, out, config, Silent())
    assert report.metrics["kept_round"] == 0
    assert report.metrics["reward_gain_sd"] == 0.0
    assert report.metrics["mean_kl_nats"] == 0.0
    found = load_file(out.files / "model.safetensors")
    assert all(torch.equal(found[k], v) for k, v in load_file(world.folders["sft_model"] / "model.safetensors").items())
    assert "No round raised the reward" in (out.files / "model_card.md").read_text("utf-8")
    failed = {gate.name for gate in gates(world.inputs, out.files, config, report) if not gate.passed}
    assert failed == {"reward_gain"}
    relaxed = config.model_copy(update={"require_gain": False})
    assert all(gate.passed for gate in gates(world.inputs, out.files, relaxed, report))


def test_no_prompt_of_the_task_is_a_sentence(world: SimpleNamespace, tmp_path: Path) -> None:
    config = world.config.model_copy(update={"tasks": ["sing"]})
    with pytest.raises(InputError, match=r"no train prompt of the tasks \['sing'\]"):
        run(world.inputs, WorkDir.at(tmp_path), config, Silent())


def test_a_reward_model_that_likes_all_alike_is_refused(world: SimpleNamespace, tmp_path: Path) -> None:
    reward = model.load(world.folders["reward_model"], kind="classifier")
    with torch.no_grad():
        reward.score.weight.zero_()
    model.save(reward, world.tokenizer, tmp_path / "reward/all")
    inputs = Inputs.of({name: [folder] for name, folder in (world.folders | {"reward_model": tmp_path / "reward/all"}).items()})
    with pytest.raises(InputError, match="same score"):
        run(inputs, WorkDir.at(tmp_path / "work"), world.config, Silent())
