"""Every SQL model as an asset: built through the store, judged by its tests, refused when doctored."""

import shutil
from pathlib import Path

import polars as pl
import pytest

from llm_assets.core.artefact import Inputs, WorkDir
from llm_assets.core.errors import LlmAssetsError
from llm_assets.core.ledger import LEDGER_FILE
from llm_assets.core.plots import MAX_BYTES
from llm_assets.core.produce import produce
from llm_assets.core.progress import Silent
from llm_assets.core.recipe import load_recipe
from llm_assets.core.recipe.base import Section
from llm_assets.core.report import COLUMNS, Report
from llm_assets.stages import all_specs
from llm_assets.stages.audit import SPECS, model
from llm_assets.stages.audit.project import VARIABLE, description, project, specs
from tests.support.audited import FIRST, Audited, url

ROOT = Path(__file__).parents[3]
RECIPE = load_recipe("demo")
MODELS = specs()
# nobody has asked Dagster, nothing is served, and no pairs are made
EMPTY = {"stg_runs", "stg_events", "stg_check_results", "check_history", "stg_deployment"}


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    return Audited(tmp_path_factory.mktemp("house"))


@pytest.fixture(scope="module")
def outcomes(house):
    return {spec.name: produce(house.store, spec, RECIPE.section(spec.name)) for spec in MODELS}


def test_every_model_is_an_asset_that_comes_after_what_it_reads():
    assert [spec.name for spec in MODELS] == list(project().models)
    assert {spec.name for spec in MODELS} < {spec.name for spec in SPECS}
    seen: set[str] = set()
    for spec in MODELS:
        assert {rule.asset for rule in spec.inputs if rule.asset in project().models} <= seen
        seen.add(spec.name)
        assert spec.gate_names and len(set(spec.gate_names)) == len(spec.gate_names)
        assert description(spec.name).strip()


def test_sources_are_optional_and_take_all_crawls():
    spec = next(spec for spec in SPECS if spec.name == "stg_ledger")
    rules = {rule.asset: rule for rule in spec.inputs}
    assert rules["training_mix"].which == "one" and not rules["stg_crawl_ledger"].optional
    spec = next(spec for spec in SPECS if spec.name == "stg_crawl_ledger")
    rules = {rule.asset: rule for rule in spec.inputs}
    assert all(rule.optional for rule in rules.values())
    assert rules["deduped_shards"].which == "all" and "training_mix" not in rules


def test_sources_yml_knows_which_assets_have_crawls_and_lists_every_manifest():
    others = {name: spec for name, spec in all_specs().items() if spec.room != "audit"}
    declared = set(project().source("*", "manifest.json").assets)
    assert set(others) <= declared
    assert {name for name, spec in others.items() if spec.partitioned} <= set(project().partitioned) <= declared


def test_all_are_accepted_with_a_table_and_its_description(outcomes, house):
    assert {name for name, outcome in outcomes.items() if outcome.failed} == set()
    for name, outcome in outcomes.items():
        files = outcome.artefact.files
        assert house.store.current(name) == outcome.artefact
        assert pl.read_parquet(files / f"{name}.parquet").height == outcome.report.counts["rows"]
        assert (outcome.report.counts["rows"] > 0) == (name not in EMPTY), name
        columns = outcome.report.metrics[COLUMNS]
        assert {column: told["description"] for column, told in columns.items()} == project().model(name).columns
        assert all((files / path).stat().st_size <= MAX_BYTES for path in outcome.report.plots.values())
    assert "Documents kept by stage" in outcomes["funnel"].report.plots


def test_what_did_not_change_is_reused(outcomes, house):
    again = {spec.name: produce(house.store, spec, RECIPE.section(spec.name)) for spec in MODELS}
    assert all(outcome.reused for outcome in again.values())


def test_a_new_identity_with_the_same_content_reaches_the_tables_that_read_manifests(tmp_path):
    house = Audited(tmp_path)
    by_name = {spec.name: spec for spec in SPECS}
    names = ("stg_manifests", "stg_mix")
    before = {name: produce(house.store, by_name[name], Section()) for name in names}
    old = house.store.current("training_mix")
    house.publish(
        "training_mix", "all", lambda files: shutil.copytree(old.files, files, dirs_exist_ok=True), identity="rebuilt"
    )
    content = old.manifest().digest
    renewed = house.store.current("training_mix").manifest().model_copy(update={"digest": content})
    renewed.save(house.store.current("training_mix").files)
    after = {name: produce(house.store, by_name[name], Section()) for name in before}
    assert after["stg_mix"].reused and not after["stg_manifests"].reused
    table = pl.read_parquet(after["stg_manifests"].artefact.files / "stg_manifests.parquet")
    assert table.filter(pl.col("asset") == "training_mix")["identity"].to_list() == ["rebuilt"]


def test_a_doctored_ledger_is_refused_and_current_stays(tmp_path):
    """A stage that the ledger names and nobody knows: the blocking test of schema.yml stops the table."""
    house = Audited(tmp_path)
    spec = next(spec for spec in SPECS if spec.name == "stg_ledger")
    crawl_ledger = next(spec for spec in SPECS if spec.name == "stg_crawl_ledger")
    produce(house.store, crawl_ledger, Section())
    good = produce(house.store, spec, Section())
    source = house.store.current("cleaned_corpus", FIRST)
    frame = pl.read_parquet(source.files / LEDGER_FILE)
    doctored = frame.with_columns(stage=pl.when(pl.col("url") == url("kept")).then(pl.lit("nobody")).otherwise("stage"))

    def write(files):
        shutil.copytree(source.files, files, dirs_exist_ok=True)
        doctored.write_parquet(files / LEDGER_FILE)

    house.publish("cleaned_corpus", FIRST, write, identity="doctored")
    produce(house.store, crawl_ledger, Section())
    bad = produce(house.store, spec, Section())
    assert set(bad.failed) == {"stage_accepted_values", "stage_order_not_null"}
    message = next(gate.message for gate in bad.gates if gate.name == "stage_accepted_values")
    assert message.endswith("1 breaks it, such as `nobody, 1`")
    assert house.store.current("stg_ledger") == good.artefact


def test_a_doctored_table_is_refused_by_its_gates(outcomes, house, tmp_path):
    spec = next(spec for spec in SPECS if spec.name == "funnel")
    outcome = outcomes["funnel"]
    shutil.copytree(outcome.artefact.files, tmp_path / "files")
    table = pl.read_parquet(tmp_path / "files/funnel.parquet")
    pl.concat([table.with_columns(kept=pl.col("kept") + 1), table.head(1)]).write_parquet(tmp_path / "files/funnel.parquet")
    gates = model.gates(house.inputs(), tmp_path / "files", Section(), outcome.report)
    assert sorted(gate.name for gate in gates) == sorted(spec.gate_names)
    assert {gate.name for gate in gates if not gate.passed and gate.blocking} == {"counts_add_up", "crawl_stage_unique"}


def test_a_model_that_reads_a_table_that_is_not_there(tmp_path):
    with pytest.raises(LlmAssetsError, match="exactly one stg_ledger is needed"):
        model.run(Inputs(), WorkDir.at(tmp_path, asset="funnel"), Section(), Silent())


def test_a_killed_run_can_be_called_again(house, tmp_path):
    work = WorkDir.at(tmp_path, asset="stg_crawl_ledger")
    (work.files / "stg_crawl_ledger.parquet").write_bytes(b"half a file")
    report = model.run(house.inputs(), work, Section(), Silent())
    assert (
        isinstance(report, Report) and pl.read_parquet(work.files / "stg_crawl_ledger.parquet").height == report.counts["rows"]
    )


def test_another_folder_by_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv(VARIABLE, str(tmp_path / "nowhere"))
    with pytest.raises(LlmAssetsError, match=r"LLM_ASSETS_SQL names .*nowhere"):
        specs()
    folder = tmp_path / "mine/staging"
    folder.mkdir(parents=True)
    (folder / "answer.sql").write_text("select 42 as answer")
    (folder / "schema.yml").write_text(
        "models: [{name: answer, description: The answer, tests: [not_empty], columns: [{name: answer, description: It}]}]"
    )
    monkeypatch.setenv(VARIABLE, str(tmp_path / "mine"))
    assert [spec.name for spec in specs()] == ["answer"]


def test_the_code_version_follows_sql_and_tests_but_not_descriptions(tmp_path, monkeypatch):
    def version(edit=lambda path: None):
        target = tmp_path / f"copy{len(list(tmp_path.iterdir()))}"
        shutil.copytree(ROOT / "dbt_like_sql", target)
        edit(target)
        monkeypatch.setenv(VARIABLE, str(target))
        return next(spec.code_version for spec in specs() if spec.name == "funnel")

    def replace(name, old, new):
        def edit(folder):
            text = (folder / name).read_text()
            assert old in text
            (folder / name).write_text(text.replace(old, new))

        return edit

    plain = version()
    assert plain == next(spec.code_version for spec in SPECS if spec.name == "funnel")
    assert version(replace("marts/schema.yml", "Documents that went on", "Documents that stayed")) == plain
    assert version(replace("marts/funnel.sql", ", 6)", ", 5)")) != plain
    assert version(replace("marts/schema.yml", "documents_in <> kept + dropped", "documents_in < kept + dropped")) != plain


def test_what_a_model_was_made_of_is_told_after_the_mix_went_on(tmp_path):
    """A refresh makes another mix; the model's domains are still those of the mix that it read."""
    house = Audited(tmp_path)

    def contributions():
        for spec in MODELS:
            outcome = produce(house.store, spec, RECIPE.section(spec.name))
            assert not outcome.failed, spec.name
        table = pl.read_parquet(house.store.current("model_contribution").file("model_contribution.parquet"))
        return table.filter(pl.col("model") == "base_model")

    before = contributions()
    old = house.store.current("training_mix")

    def smaller(files):
        shutil.copytree(old.files, files, dirs_exist_ok=True)
        pl.read_parquet(old.files / "documents.parquet").head(1).write_parquet(files / "documents.parquet")

    house.publish("training_mix", "all", smaller, identity="later")
    after = contributions()
    assert after.equals(before) and before["tokens_seen"].sum() > 0
    mix = pl.read_parquet(house.store.current("stg_mix").file("stg_mix.parquet"))
    assert mix.height == 1  # what readers see is the new one


def test_a_crawl_more_takes_the_others_over(tmp_path):
    house = Audited(tmp_path)
    spec = next(spec for spec in MODELS if spec.name == "stg_documents")
    first = produce(house.store, spec, Section())
    assert (first.report.metrics["crawls_made"], first.report.metrics["crawls_taken_over"]) == (2, 0)
    house.ledger("cleaned_corpus", "wiki-2027-01", {"late": 31}, {}, "raw_crawl", shards=True)
    house.ledger("deduped_shards", "wiki-2027-01", {"late": 31}, {}, "raw_crawl", shards=True)
    later = produce(house.store, spec, Section())
    assert (later.report.metrics["crawls_made"], later.report.metrics["crawls_taken_over"]) == (1, 2)
    table = pl.read_parquet(later.artefact.files / "stg_documents.parquet")
    before = pl.read_parquet(first.artefact.files / "stg_documents.parquet")
    assert table.height == before.height + 1 and table.filter(pl.col("crawl") != "wiki-2027-01").equals(before)
    shutil.rmtree(house.store.root / "stg_documents")
    full = produce(house.store, spec, Section())
    assert full.report.metrics["crawls_made"] == 3
    assert full.manifest.digest == later.manifest.digest and full.artefact.identity == later.artefact.identity
