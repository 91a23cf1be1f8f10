"""Does a refresh help: the arms are what they say, the verdict is what the numbers say, a killed run goes on."""

import json
import math

import numpy as np
import polars as pl
import pytest
import torch

from llm_assets.core.artefact import Inputs, WorkDir
from llm_assets.core.progress import Recording
from llm_assets.core.recipe.evaluation import RefreshAblationConfig
from llm_assets.core.report import Report
from llm_assets.lm.data import MixDocuments
from llm_assets.stages.evals import ablation, ablation_arms
from tests.support import corpus

CONFIG = RefreshAblationConfig.model_validate(
    {
        "training": {
            "model": {"hidden_size": 32, "n_layers": 1, "n_heads": 1, "n_kv_heads": 1, "head_dim": 32, "ffn_size": 64},
            "train_tokens": 20 * 8 * 32,
            "sequence_length": 32,
            "batch_rows": 8,
            "evaluate_every_steps": 20,
            "threads": 1,
        },
        "seeds": [1, 2],
        "resamples": 200,
    }
)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return corpus.two_crawls(tmp_path_factory.mktemp("two"))


@pytest.fixture(scope="module")
def made(world, tmp_path_factory):
    threads = torch.get_num_threads()
    out, told = WorkDir.at(tmp_path_factory.mktemp("ablation")), Recording()
    report = ablation.run(world[0], out, CONFIG, told)
    torch.set_num_threads(threads)
    report.save(out.files)
    return out, told


def test_the_other_arm_is_the_mix_before_the_newest_crawl(world, tmp_path):
    """Its pages are out, and the page that it had replaced is back, on its side of the split."""
    inputs, old, new = world
    mix = inputs.one("training_mix")
    whole = pl.read_parquet(mix.file("documents.parquet"))
    other = ablation_arms.without(mix, inputs, "c2", tmp_path)
    found = pl.read_parquet(other.file("documents.parquet"))
    assert found.schema == whole.schema
    assert old not in whole["doc_id"].to_list() and new not in found["doc_id"].to_list()
    [back] = found.filter(pl.col("doc_id") == old).to_dicts()
    [front] = whole.filter(pl.col("doc_id") == new).to_dicts()
    assert (back["split"], back["epochs"]) == (front["split"], front["epochs"])
    crawl = {entry["crawl"]: entry["ref"] for entry in json.loads(mix.file("mix.json").read_text())["crawls"]}
    assert set(found["ref"]) == {crawl["c1"]}
    stays = whole.filter(pl.col("ref") == crawl["c1"])
    assert found.height == stays.height + 1
    documents = MixDocuments(other, inputs, back["split"])
    assert documents.ids(documents.rows[old]).size == back["length"]  # the tokens are where the table says


def test_run_and_gates(world, made):
    out, told = made
    report = Report.load(out.files)
    results = json.loads((out.files / ablation.RESULTS_FILE).read_text())
    assert results["verdict"] in (ablation.HELPS, ablation.HARMS, ablation.INCONCLUSIVE)
    assert (results["newest"], results["crawls"]) == ("c2", ["c1", "c2"])
    assert results["passes"]["without"] > results["passes"]["with"]  # equal budgets, fewer pages
    [gate] = ablation.gates(world[0], out.files, CONFIG, report)
    assert gate.passed and gate.name == "ablation_scored"
    scores = pl.read_parquet(out.files / ablation.SCORES_FILE)
    assert scores.height == 2 * 2 * report.counts["heldout_documents"]
    bits = scores.group_by("arm", "seed").agg((pl.col("nats").sum() / pl.col("n_bytes").sum() / math.log(2)).alias("bits"))
    found = {(arm, seed): value for arm, seed, value in bits.iter_rows()}
    assert results["bits_per_byte"]["with"] == pytest.approx([found["with", 1], found["with", 2]])
    assert results["difference_by_seed"][0] == pytest.approx(found["with", 1] - found["without", 1])
    assert (out.files / "plots/difference.png").stat().st_size > 1000
    assert told.updates[-1][:2] == (80, 80)


def test_a_gate_stops_models_that_learned_nothing(world, made, tmp_path):
    results = json.loads((made[0].files / ablation.RESULTS_FILE).read_text())
    results["bits_per_byte"]["with"][0] = results["chance_bits_per_byte"] + 0.1
    (tmp_path / ablation.RESULTS_FILE).write_text(json.dumps(results))
    [gate] = ablation.gates(world[0], tmp_path, CONFIG, Report())
    assert not gate.passed and gate.blocking


def test_a_killed_run_goes_on_with_the_models_that_are_missing(world, made, tmp_path):
    """The same to the bit, and what was trained is not trained again."""
    out = WorkDir.at(tmp_path)
    for path in made[0].private.glob("*-1.npy"):
        (out.private / path.name).write_bytes(path.read_bytes())
    threads = torch.get_num_threads()
    ablation.run(world[0], out, CONFIG, told := Recording())
    torch.set_num_threads(threads)
    assert (out.files / ablation.RESULTS_FILE).read_bytes() == (made[0].files / ablation.RESULTS_FILE).read_bytes()
    assert min(done for done, *_ in told.updates) > 40


def test_with_one_crawl_there_is_nothing_to_compare(world, tmp_path, monkeypatch):
    mix = tmp_path / "mix"
    mix.mkdir()
    (mix / "mix.json").write_text(json.dumps({"crawls": [{"crawl": "c1", "ref": "tokenized_dataset/c1/1"}]}))
    out = WorkDir.at(tmp_path / "work")
    report = ablation.run(Inputs.of({"training_mix": [mix]}), out, CONFIG, Recording())
    assert report.metrics == {"verdict": "nothing to compare", "newest_crawl": "c1"}
    [gate] = ablation.gates(Inputs(), out.files, CONFIG, report)
    assert gate.passed and gate.message == "one crawl, c1: nothing to compare"


def nats(shift, noise=0.0, seeds=3, documents=60):
    rng = np.random.default_rng(3)
    base = rng.uniform(100, 300, size=(1, documents))
    return base * (1 + shift) + rng.normal(0, 1, size=(seeds, documents)) * noise * base


SIZES = np.full(60, 200.0)


@pytest.mark.parametrize(("shift", "verdict"), [(-0.05, "helps"), (0.05, "harms"), (0.0, "inconclusive")])
def test_the_verdict_follows_the_sign(shift, verdict):
    found = ablation.compare(nats(shift, 0.01), nats(0.0), SIZES, resamples=500)
    assert found["verdict"] == verdict
    low, high = found["interval"]
    assert low <= found["difference_bits_per_byte"] <= high


def test_seeds_that_disagree_are_inconclusive_however_many_documents_there_are():
    """A thousand documents can't outvote the chance of a training."""
    base = np.full((3, 1000), 100.0)
    one = base * np.array([[0.9], [0.9], [1.02]])
    found = ablation.compare(one, base, np.full(1000, 100.0), resamples=500)
    assert found["verdict"] == "inconclusive"


def test_the_difference_is_in_bits_per_byte():
    found = ablation.compare(np.full((2, 4), 1.5), np.full((2, 4), 1.0), np.full(4, 2.0), resamples=100)
    assert found["difference_bits_per_byte"] == pytest.approx(0.25 / math.log(2))
    assert found["interval"] == pytest.approx([0.25 / math.log(2)] * 2)


def test_one_seed_is_refused():
    with pytest.raises(ValueError, match="seeds"):
        RefreshAblationConfig(seeds=[1])
