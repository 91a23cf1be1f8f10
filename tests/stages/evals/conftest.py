"""A small suite, three random models and their instruction data. Read only: tests copy what they damage."""

from pathlib import Path
from types import SimpleNamespace

import polars as pl
import pytest

from llm_assets.core import embedded, prompts
from llm_assets.core.artefact import Inputs, WorkDir
from llm_assets.core.progress import Silent
from llm_assets.core.recipe.evaluation import EvalReportConfig, EvalSuiteConfig
from llm_assets.stages.evals import report, suite
from llm_assets.stages.evals.results import MODELS
from tests.support import tiny

SMALL = EvalSuiteConfig(topic_items=6, describe_items=5, translate_items=4, perplexity_items=3)
CONFIG = EvalReportConfig(
    few_shot=1, max_new_tokens=6, max_new_tokens_translate=6, samples_per_task=2, require_claims=False, resamples=100, threads=1
)


@pytest.fixture(scope="session")
def small_suite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    work = WorkDir.at(tmp_path_factory.mktemp("suite"))
    suite.run(Inputs(), work, SMALL, Silent())
    return work.files


def _instructions(folder: Path, held_out: Path) -> Path:
    known = {item["text"] for item in suite.read_items(held_out, "topic")}
    articles = [a for a in embedded.articles() if a.lang == "en" and a.description and a.text not in known][:300:2]
    rows = []
    for number, article in enumerate(articles):
        rows.append((f"t{number}", "topic", prompts.topic_prompt(article.text), article.topic))
        rows.append((f"s{number}", "summarise", prompts.summarise_prompt(article.text), article.description))
    for number, (english, french) in enumerate(embedded.interface_strings()[:100]):
        rows.append((f"x{number}", "translate", prompts.translate_prompt(english), french))
    folder.mkdir(parents=True)
    pl.DataFrame(rows, schema=["id", "task", "prompt", "answer"], orient="row").write_parquet(folder / "train.parquet")
    return folder


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory, small_suite: Path) -> SimpleNamespace:
    """Inputs of a report, and the report made of them."""
    root = tmp_path_factory.mktemp("report")
    tokenizer = tiny.byte_tokenizer(root / "tokenizer")
    folders = {"eval_suite": [small_suite], "tokenizer": [tokenizer]}
    folders["instruction_dataset"] = [_instructions(root / "instructions", small_suite)]
    for seed, name in enumerate(MODELS):
        folders[name] = [tiny.random_model(root / name, tokenizer, seed=seed, context=1024)]
    folders["reward_model"] = [tiny.random_model(root / "reward", tokenizer, seed=9, context=1024, kind="classifier")]
    inputs = Inputs.of(folders)
    work = WorkDir.at(root / "made")
    made = report.run(inputs, work, CONFIG, Silent())
    return SimpleNamespace(root=root, folders=folders, inputs=inputs, files=work.files, report=made)
