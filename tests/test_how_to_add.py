"""``docs/how-to-add.md`` is true: its code runs where it says it belongs, and every name it mentions exists."""

import re
import shutil
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType

import polars as pl
import pytest

from llm_assets.core import prompts
from llm_assets.core.produce import produce
from llm_assets.core.recipe import cleaning
from llm_assets.core.recipe.base import Section
from llm_assets.core.recipe.cleaning import CleanedCorpusConfig
from llm_assets.core.recipe.sources import LocalFiles
from llm_assets.stages.audit.project import VARIABLE, project, specs
from llm_assets.stages.clean.filters.base import verdict_of
from llm_assets.stages.crawl.local.files import SUFFIXES
from tests.support.audited import FIRST, Audited, doc

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "how-to-add.md").read_text("utf-8")
BLOCKS = re.findall(r"^```(\w+)(?: ([^\n]+))?\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
FILES = {label.removeprefix("file="): text for _, label, text in BLOCKS if label.startswith("file=")}


def module(monkeypatch, file):
    """The block as the module that its path says."""
    name = file.removesuffix(".py").replace("/", ".").removesuffix(".__init__")
    made = ModuleType(name)
    if file.endswith("__init__.py"):
        made.__path__ = []
    monkeypatch.setitem(sys.modules, name, made)
    exec(compile(FILES[file], file, "exec"), vars(made))
    return made


def added_to(monkeypatch, target, file, name):
    """Run a block in the namespace of the module that it is added to, and return what it defines."""
    namespace = dict(vars(target))
    exec(compile(FILES[file], file, "exec"), namespace)
    monkeypatch.setattr(target, name, namespace[name], raising=False)
    return namespace[name]


def test_every_name_on_the_page_exists():
    names = re.findall(r"`(llm_assets[\w.]*):(\w+)`", PAGE)
    assert len(names) > 12
    missing = [f"{place}:{name}" for place, name in names if not hasattr(import_module(place), name)]
    assert missing == []


def test_every_file_on_the_page_exists_or_is_new():
    named = {file for file in FILES if (ROOT / file).exists()}
    new = set(FILES) - named
    assert all((ROOT / file).parent.exists() or (ROOT / file).parents[1].exists() for file in new)
    assert {
        file for file in re.findall(r"`((?:tests|docs|dbt_like_sql)/[\w/.-]+\.\w+)`", PAGE) if not (ROOT / file).exists()
    } == set()


def test_the_filter(monkeypatch):
    section = added_to(monkeypatch, cleaning, "llm_assets/core/recipe/cleaning.py", "Capitals")
    written = module(monkeypatch, "llm_assets/stages/clean/filters/capitals.py")
    (example,) = (text for _, label, text in BLOCKS if label == "test")
    exec(example, {"verdict_of": verdict_of, "rules": written.rules, "Capitals": section})
    assert "capitals" not in CleanedCorpusConfig.model_fields  # else the page describes what is already there


def test_the_source(monkeypatch, tmp_path):
    read = module(monkeypatch, "llm_assets/stages/crawl/local/subtitles.py").subtitles
    (tmp_path / "film.srt").write_text(
        "1\r\n00:00:01,000 --> 00:00:02,500\r\nGood\r\nday.\r\n\r\n2\r\n00:00:03,000 --> 00:00:04,000\r\n7 men\r\n"
    )
    (document,) = read(tmp_path / "film.srt", LocalFiles())
    assert (document.body, document.title) == (b"Good day. 7 men", "film")
    (tmp_path / "notes.srt").write_text("no captions")
    (reject,) = read(tmp_path / "notes.srt", LocalFiles())
    assert reject.rule == "file_broken"
    assert ".srt" not in SUFFIXES  # else the page describes what is already there


def test_the_sql_model(monkeypatch, tmp_path):
    folder = tmp_path / "sql"
    shutil.copytree(ROOT / "dbt_like_sql", folder)
    (folder / "marts/licences.sql").write_text(FILES["dbt_like_sql/marts/licences.sql"])
    with open(folder / "marts/schema.yml", "a") as handle:
        handle.write(FILES["dbt_like_sql/marts/schema.yml"])
    monkeypatch.setenv(VARIABLE, str(folder))
    house = Audited(tmp_path / "store")
    by_name = {spec.name: spec for spec in specs()}
    produce(house.store, by_name["stg_documents"], Section())
    outcome = produce(house.store, by_name["licences"], Section())
    assert not outcome.failed and "no_more_survivors_than_documents" in {gate.name for gate in outcome.gates}
    table = pl.read_parquet(outcome.artefact.files / "licences.parquet")
    assert table.rows() == [(FIRST, "none named", 5, 4), ("wiki-2026-12", "none named", 2, 2)]
    assert "Documents by licence" in outcome.report.plots
    assert "licences" in project().models


def test_the_stage(monkeypatch, tmp_path):
    (spec,) = module(monkeypatch, "llm_assets/stages/lengths/__init__.py").SPECS
    written = module(monkeypatch, "llm_assets/stages/lengths/run.py")
    house = Audited(tmp_path)
    outcome = produce(house.store, spec, Section(), partition=FIRST)
    assert not outcome.failed and house.store.current("text_lengths", FIRST) == outcome.artefact
    assert outcome.report.counts == {"documents": 4}
    table = outcome.artefact.files / written.TABLE
    pl.concat([pl.read_parquet(table), pl.read_parquet(table).head(1)]).write_parquet(table)
    (gate,) = written.gates(house.inputs(), outcome.artefact.files, Section(), outcome.report)
    assert not gate.passed and doc(1) in gate.message


def test_the_skin_is_of_the_stage(monkeypatch):
    pytest.importorskip("dagster")
    (spec,) = module(monkeypatch, "llm_assets/stages/lengths/__init__.py").SPECS
    (skin,) = module(monkeypatch, "llm_assets/defs/lengths.py").SKINS
    assert skin.asset == spec.name


def test_the_evaluation_task(monkeypatch):
    from llm_assets.core.embedded import Article
    from llm_assets.stages.evals import suite

    added_to(monkeypatch, prompts, "llm_assets/core/prompts.py", "language_prompt")
    items_of = added_to(monkeypatch, suite, "llm_assets/stages/evals/suite.py", "language_items")
    articles = [Article(f"T{n}", f"t{n}", f"text {n}", "", "Arts", lang) for n, lang in enumerate(["en", "fr", "es"])]
    items = items_of(articles, 2, "key")
    assert len(items) == 2 and items == items_of(articles[::-1], 2, "key")
    assert all(item["reference"] in item["choices"] == ["English", "French", "Spanish"] for item in items)
    assert items[0]["prompt"].startswith("Name the language of this text:\ntext ")
