"""Ray and Slurm make the same bytes as this machine alone.

Ray: a real cluster of two nodes on the loopback. Slurm: its commands are stand-ins (``tests.support.slurm``); the script that they
run is datatrove's.
"""

import hashlib
import html
import os
from pathlib import Path

import pytest

from llm_assets.core import shard_clusters
from llm_assets.core.artefact import Inputs, WorkDir
from llm_assets.core.embedded import articles
from llm_assets.core.errors import ExecutorError, InputError, RecipeError
from llm_assets.core.jsonio import read_json, write_json
from llm_assets.core.progress import Recording, Silent
from llm_assets.core.recipe import load_recipe
from llm_assets.core.recipe.cleaning import CleanedCorpusConfig
from llm_assets.core.recipe.corpus import ExtractedPagesConfig
from llm_assets.core.recipe.executor import ExecutorConfig
from llm_assets.core.recipe.tokens import TokenizedDatasetConfig, TokenizerConfig
from llm_assets.core.shard_worker import StepsJob
from llm_assets.core.shardsteps import run_shard_steps
from llm_assets.stages.clean import run as clean
from llm_assets.stages.extract import run as extract
from llm_assets.stages.tokens import encode
from tests.support import corpus as corpora
from tests.support import slurm
from tests.support.crawled import Crawl, article

SMALL = {"memory_gb_per_cpu": 0.05, "tasks_per_job": 2}
STEP = "tests.core.test_shard_clusters:step"


def step(arguments, rank):
    """Says where it ran; one rank may fail until a file is there."""
    out = Path(arguments["out"])
    if rank == arguments.get("fails") and not (out / "mended").exists():
        raise InputError("shard is not mended; mend it")
    path = out / f"{rank}.txt"
    path.write_text(os.environ.get("RAN_ON", "here"))
    return [path]


def steps(folder, executor, tasks=3, **arguments):
    folder.mkdir(exist_ok=True)
    places = {"out": str(folder)}
    run_shard_steps(STEP, arguments, tasks, folder / "steps", Silent(), places=places, executor=executor)


def pipeline(raw: Path, folder: Path, executor: ExecutorConfig) -> dict[str, str]:
    """extracted_pages, cleaned_corpus and tokenized_dataset of a small crawl; the digest of every file."""
    pages = WorkDir.at(folder / "extracted_pages", "c1", "extracted_pages")
    extract.run(Inputs.of({"raw_crawl": [raw]}), pages, ExtractedPagesConfig(shard_documents=4, executor=executor), Recording())
    corpus = WorkDir.at(folder / "cleaned_corpus", "c1", "cleaned_corpus")
    cleaned = clean.run(Inputs.of({"extracted_pages": [pages.files]}), corpus, CleanedCorpusConfig(executor=executor), Silent())
    assert cleaned.counts["kept"] >= 9  # or the comparison would say little
    tokenizer = corpora.make_tokenizer(folder / "tokenizer", corpus.files, TokenizerConfig(vocab_size=288))
    tokens = WorkDir.at(folder / "tokenized_dataset", "c1", "tokenized_dataset")
    survivors = Inputs.of({"deduped_shards": [corpus.files], "tokenizer": [tokenizer]})
    encode.run(survivors, tokens, TokenizedDatasetConfig(executor=executor, shard_tokens=700), Silent())
    files = sorted(path for path in folder.glob("*/files/**/*") if path.is_file())
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    crawl = Crawl()
    texts = [found.text for found in articles() if found.lang == "en" and 400 < len(found.text) < 2_000][:12]
    for number, text in enumerate(texts):
        crawl.add(f"page{number}", article(html.escape(f"{text} Its keeper wrote to ann@example.org about it in the spring.")))
    return crawl.write(tmp_path_factory.mktemp("raw") / "c1")


@pytest.fixture(scope="module")
def local(raw, tmp_path_factory):
    return pipeline(raw, tmp_path_factory.mktemp("local"), ExecutorConfig())


@pytest.fixture(scope="module")
def cluster():
    """Address of a Ray cluster of two nodes with one core each, both on 127.0.0.1."""
    small = {"num_cpus": 1, "object_store_memory": 80 * 2**20, "memory": 2**30, "include_dashboard": False}
    # Ray replaces the loopback by the machine's address, which a firewall may close, unless it takes itself for a desktop's.
    variables = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    pytest.importorskip("ray", reason="ray (the extra [ray]) is not installed")
    from ray.cluster_utils import Cluster

    nodes = Cluster(initialize_head=True, head_node_args={**small, "node_ip_address": "127.0.0.1"})
    try:
        nodes.add_node(
            **{name: value for name, value in small.items() if name != "include_dashboard"}, node_ip_address="127.0.0.1"
        )
        yield nodes.address
    finally:
        nodes.shutdown()
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


def test_datatroves_local_executor_makes_the_bytes_of_threads(raw, local, tmp_path):
    assert pipeline(raw, tmp_path, ExecutorConfig(kind="local")) == local


def test_two_ray_nodes_make_the_bytes_of_one_machine(raw, local, cluster, tmp_path):
    on_ray = ExecutorConfig(kind="ray", ray_address=cluster, **SMALL)
    assert pipeline(raw, tmp_path, on_ray) == local
    assert sum(name.endswith(".parquet") for name in local) >= 2 * 3
    assert sum("tokenized_dataset" in name and name.endswith(".npy") for name in local) >= 2


def test_a_shard_that_fails_on_ray_is_told_and_runs_again_alone(cluster, tmp_path):
    """Case B18 on a cluster: the others are made meanwhile and are not made again."""
    on_ray = ExecutorConfig(kind="ray", ray_address=cluster, environment={"RAN_ON": "ray"}, **SMALL)
    with pytest.raises(InputError, match="not mended"):
        steps(tmp_path / "out", on_ray, fails=1)
    made = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("*.txt")}
    assert set(made) == {"0.txt", "2.txt"} and (tmp_path / "out/0.txt").read_text() == "ray"
    (tmp_path / "out/mended").touch()
    steps(tmp_path / "out", ExecutorConfig(), fails=1)  # and the executor may change in between
    assert {name: (tmp_path / "out" / name).stat().st_mtime_ns for name in made} == made
    assert (tmp_path / "out/1.txt").read_text() == "here"


@pytest.fixture
def on_slurm(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", slurm.on_path(slurm.install(tmp_path / "slurm")))
    return ExecutorConfig(
        kind="slurm", partition="cpu", qos="low", time_limit="0:10:00", sbatch={"account": "lab"}, tasks_per_job=2
    )


def test_slurms_scripts_make_the_bytes_of_one_machine(raw, local, on_slurm, tmp_path):
    assert pipeline(raw, tmp_path / "out", on_slurm) == local
    script = (tmp_path / "slurm/calls").read_text()
    for option in ("partition=cpu", "qos=low", "time=0:10:00", "account=lab", "cpus-per-task=1", "mem-per-cpu=2G", "array=0-1"):
        assert f"#SBATCH --{option}\n" in script


def test_a_shard_that_fails_on_slurm_is_told_and_runs_again_alone(on_slurm, tmp_path):
    with pytest.raises(InputError, match="not mended"):
        steps(tmp_path / "out", on_slurm, fails=1)
    (tmp_path / "out/mended").touch()
    steps(tmp_path / "out", on_slurm, fails=1)
    assert read_json(tmp_path / "out/steps/datatrove/ranks_to_run.json") == [1]


def test_a_slurm_job_of_a_killed_run_is_taken_up_or_cancelled(on_slurm, tmp_path, monkeypatch):
    job = StepsJob(tmp_path, STEP, {}, 1, "key", 0, on_slurm)
    asked = []
    monkeypatch.setattr(shard_clusters, "_queued", lambda number: True)
    monkeypatch.setattr(shard_clusters.subprocess, "run", lambda command, **_: asked.append(command))
    assert shard_clusters._earlier(job) is None
    write_json(tmp_path / "slurm.json", {"job": "17", "key": "key"})
    assert shard_clusters._earlier(job) == "17" and not asked
    write_json(tmp_path / "slurm.json", {"job": "17", "key": "another"})
    assert shard_clusters._earlier(job) is None and asked == [["scancel", "17"]]


def test_what_is_not_here_is_told_in_a_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr(shard_clusters, "find_spec", lambda name: None)
    with pytest.raises(ExecutorError, match=r"ray isn't installed here; run: pip install 'llm_assets\[ray\]'"):
        steps(tmp_path / "a", ExecutorConfig(kind="ray"))
    monkeypatch.setenv("PATH", str(slurm.install(tmp_path / "slurm", "sbatch", "scancel")))
    with pytest.raises(ExecutorError, match="sbatch, scancel can't be found on PATH; start the run on a login node"):
        steps(tmp_path / "b", ExecutorConfig(kind="slurm", partition="cpu"))


def test_the_recipe_chooses_once_for_all_stages_and_a_stage_may_differ():
    recipe = load_recipe(
        "demo", {"executor": {"kind": "ray", "cpus_per_task": 4}, "cleaned_corpus": {"executor": {"cpus_per_task": 1}}}
    )
    assert recipe.extracted_pages.executor == recipe.executor == ExecutorConfig(kind="ray", cpus_per_task=4)
    assert recipe.cleaned_corpus.executor == ExecutorConfig(kind="ray", cpus_per_task=1)
    assert load_recipe("demo", {"executor": "ray"}).extracted_pages.executor.kind == "ray"
    with pytest.raises(RecipeError, match="partition is empty; name the Slurm partition"):
        load_recipe("demo", {"executor": "slurm"})
    with pytest.raises(RecipeError, match=r"executor\.kind.*'rey'"):
        load_recipe("demo", {"executor": "rey"})
    assert ExecutorConfig(time_limit="1-02:03:04").seconds == 93_784


def test_a_ray_address_where_nobody_answers_is_told_at_once():
    with pytest.raises(
        ExecutorError, match=r"no Ray cluster answers at executor\.ray_address '127\.0\.0\.1:1'.*ray start --head"
    ):
        shard_clusters._reachable("127.0.0.1:1")
    shard_clusters._reachable("auto")
