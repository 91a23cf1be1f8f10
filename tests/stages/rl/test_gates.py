"""Each gate of ``rlhf_model`` refuses the artefact that it is there for."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import polars as pl
import pytest
from safetensors.torch import load_file, save_file

from llm_assets.core.artefact import WorkDir
from llm_assets.core.progress import Silent
from llm_assets.core.report import Gate, Report
from llm_assets.stages import spec_of
from llm_assets.stages.rl.gates import gates
from llm_assets.stages.rl.training import run


@pytest.fixture(scope="module")
def made(world: SimpleNamespace, tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    out = WorkDir.at(tmp_path_factory.mktemp("gates"))
    config = world.config.model_copy(update={"iterations": 2})
    report = run(world.inputs, out, config, Silent())
    return SimpleNamespace(files=out.files, config=config, report=report)


@pytest.fixture
def files(made: SimpleNamespace, tmp_path: Path) -> Path:
    """A copy to damage."""
    return Path(shutil.copytree(made.files, tmp_path / "files"))


def failed(world: SimpleNamespace, made: SimpleNamespace, files: Path, **figures: object) -> list[Gate]:
    report = Report(counts=made.report.counts, metrics=made.report.metrics | figures)
    return [gate for gate in gates(world.inputs, files, made.config, report) if not gate.passed]


def test_sound_files_pass_under_the_names_of_the_spec(world: SimpleNamespace, made: SimpleNamespace) -> None:
    found = gates(world.inputs, made.files, made.config, made.report)
    assert [gate.name for gate in found] == list(spec_of("rlhf_model").gate_names)
    assert all(gate.passed and gate.blocking and gate.message for gate in found)


@pytest.mark.parametrize(
    ("figures", "gate", "says"),
    [
        ({"reward_gain_low_sd": -0.01}, "reward_gain", "above 0"),
        ({"mean_kl_nats": 20.5}, "kl_ceiling", "at most 20"),
        ({"rouge_l": 0.1, "rouge_l_sft_low": 0.11}, "gold_metric", "gamed"),
        ({"kl_at_start_nats": 1e-6}, "no_collapse", "equal weights"),
    ],
)
def test_figures_that_block(
    world: SimpleNamespace, made: SimpleNamespace, figures: dict[str, object], gate: str, says: str
) -> None:
    (found,) = failed(world, made, made.files, **figures)
    assert found.name == gate
    assert found.blocking
    assert says in found.message


def test_a_collapse_for_some_rounds_blocks_and_a_single_dip_does_not(
    world: SimpleNamespace, made: SimpleNamespace, files: Path
) -> None:
    """Case B34: mean KL below −0.1 for N rounds fails the asset."""
    history = pl.read_parquet(files / "history.parquet")
    history.with_columns(pl.Series("kl_sampled_nats", [-0.2, 0.1])).write_parquet(files / "history.parquet")
    assert failed(world, made, files) == []
    history.with_columns(pl.Series("kl_sampled_nats", [-0.2, -0.3])).write_parquet(files / "history.parquet")
    (found,) = failed(world, made, files)
    assert found.name == "no_collapse"
    assert "-0.300" in found.message


def test_a_critic_among_the_weights_blocks(world: SimpleNamespace, made: SimpleNamespace, files: Path) -> None:
    """Case B35: an exported policy has no v_head or pretrained_model keys."""
    weights = load_file(files / "model.safetensors")
    save_file(
        weights | {"v_head.summary.weight": weights["model.norm.weight"].clone()}, files / "model.safetensors", {"format": "pt"}
    )
    (found,) = failed(world, made, files)
    assert found.name == "loads_cleanly"
    assert "v_head" in found.message


@pytest.mark.parametrize("damage", ["renamed", "missing", "gone"])
def test_weights_that_do_not_load_block(world: SimpleNamespace, made: SimpleNamespace, files: Path, damage: str) -> None:
    weights = load_file(files / "model.safetensors")
    if damage == "renamed":
        weights = {f"pretrained_model.{name}": weight for name, weight in weights.items()}
    elif damage == "missing":
        del weights["model.norm.weight"]
    save_file(weights, files / "model.safetensors", {"format": "pt"})
    if damage == "gone":
        (files / "model.safetensors").unlink()
    (found,) = failed(world, made, files)
    assert found.name == "loads_cleanly"
