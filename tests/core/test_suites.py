"""The suites: a good table passes every expectation, and for each expectation there is a doctored table that it refuses."""

import polars as pl
import pytest

from llm_assets.core import data_docs, pages, suites
from llm_assets.core.documents import CLEANED
from llm_assets.core.recipe.corpus import CleanedCorpusConfig, DedupedShardsConfig
from llm_assets.core.recipe.post_training import InstructionDatasetConfig, PreferenceDatasetConfig
from llm_assets.core.recipe.tokens import TokenizedDatasetConfig
from llm_assets.stages import all_specs
from llm_assets.stages.reward.preferences import KINDS, PREFERENCES
from llm_assets.stages.sft.instructions import INSTRUCTIONS, TASKS
from llm_assets.stages.tokens.encode import DOCUMENTS
from tests.support import corpus

CONFIGS = {
    "cleaned_corpus": CleanedCorpusConfig(),
    "deduped_shards": DedupedShardsConfig(),
    "tokenized_dataset": TokenizedDatasetConfig(),
    "instruction_dataset": InstructionDatasetConfig(),
    "preference_dataset": PreferenceDatasetConfig(),
}
SCHEMAS = {
    "cleaned_corpus": CLEANED,
    "deduped_shards": CLEANED,
    "tokenized_dataset": DOCUMENTS,
    "instruction_dataset": INSTRUCTIONS,
    "preference_dataset": PREFERENCES,
}
HOSTILE = "<script>alert(1)</script>${x} $y ![i](http://evil.example/p.png)"


def stored(asset):
    """A good table with the asset's schema."""
    if asset in ("cleaned_corpus", "deduped_shards"):
        return pl.DataFrame([*corpus.rows(9), *corpus.rows(3, "fr")], schema=CLEANED, orient="row")
    ids = [f"{n:032x}" for n in range(1, 13)]
    urls = [f"http://a.test/{n}" for n in range(12)]
    numbers = list(range(12))
    if asset == "tokenized_dataset":
        data = {"doc_id": ids, "url": urls, "canonical_url": urls, "lang": ["en"] * 9 + ["fr"] * 3, "source_kind": ["web"] * 12}
        data |= {"shard": [0] * 12, "start": [n * 60 for n in numbers], "length": [60] * 12, "n_bytes": [200] * 12}
    else:
        data = {"id": [f"r-{n}" for n in numbers], "doc_id": ids, "url": urls, "article": urls}
        data |= {"prompt": [f"What is said about page {n} in the text?" for n in numbers]}
        if asset == "instruction_dataset":
            data |= {"task": [TASKS[n % 4] for n in numbers], "answer": [f"answer {n}" for n in numbers]}
        else:
            data |= {"chosen": ["a good answer"] * 12, "rejected": ["a bad answer"] * 12}
            data |= {"kind": [KINDS[n % 4] for n in numbers], "rejected_doc_id": ids}
    return pl.DataFrame(data, schema_overrides=SCHEMAS[asset]).select(SCHEMAS[asset].names())


def judge(asset, folder, change=lambda frame: frame, stored_change=lambda frame: frame):
    """The gates of a suite by name: ``change`` doctors the measured rows, ``stored_change`` the file whose schema is read."""
    frame = stored(asset)
    path = folder / "table.parquet"
    stored_change(frame).write_parquet(path)
    if asset in ("instruction_dataset", "preference_dataset"):
        frame = suites.measured(frame.with_columns(lang=pl.lit("en")), pl.col("prompt").str.len_chars())
    elif asset == "tokenized_dataset":
        frame = suites.measured(frame, pl.col("length"))
    else:
        frame = suites.measured(frame, pl.col("n_words"))
    gates = suites.check(asset, folder, change(frame), CONFIGS[asset], SCHEMAS[asset], [path])
    assert tuple(gate.name for gate in gates) == suites.names(asset)
    return {gate.name: gate for gate in gates}


def first(column, value):
    """The table with another value in the first row of a column."""

    def change(frame):
        rest = frame[column][1:]
        return frame.with_columns(pl.concat([pl.Series(column, [value], dtype=rest.dtype), rest]))

    return change


def all_of(column, value):
    return lambda frame: frame.with_columns(pl.lit(value).cast(frame.schema[column]).alias(column))


def second_is_first(*columns):
    """The values of the first row stand in the second too."""

    def change(frame):
        twice = [pl.concat([frame[name][:1], frame[name][:1], frame[name][2:]]) for name in columns]
        return frame.with_columns(twice)

    return change


DOCTORED = {
    "gx_unique_doc_id": second_is_first("doc_id"),
    "gx_doc_id_format": first("doc_id", "not hex"),
    "gx_text_not_null": first("text_bytes", None),
    "gx_bytes_match_text": first("text_bytes", 7),
    "gx_lang_score_range": first("lang_score", 1.5),
    "gx_lang_allowed": first("lang", "xx"),
    "gx_words_range": first("n_words", -1),
    "gx_bytes_range": first("n_bytes", -1),
    "gx_language_share": all_of("lang", "fr"),
    "gx_length_quantiles": all_of("length", 3),
    "gx_few_copies": all_of("text_hash", 1),
    "gx_start_range": first("start", -1),
    "gx_length_range": first("length", 0),
    "gx_no_overlap": second_is_first("start"),
    "gx_unique_id": second_is_first("id"),
    "gx_task_allowed": first("task", "sing"),
    "gx_kind_allowed": first("kind", "worse"),
    "gx_own_page_share": all_of("rejected_doc_id", "f" * 32),
    "gx_rows": lambda frame: frame.clear(),
}
COPIES = {
    "deduped_shards": second_is_first("text_hash"),
    "instruction_dataset": second_is_first("task", "prompt"),
    "preference_dataset": second_is_first("prompt", "chosen", "rejected"),
}
CASES = [(asset, name) for asset in suites.SUITES for name in suites.names(asset) if name != "gx_schema"]


def doctored(asset, name):
    if name == "gx_no_copies":
        return COPIES[asset]
    if name.endswith("_not_null") and name not in DOCTORED:
        return first(name.removeprefix("gx_").removesuffix("_not_null"), None)
    if name.endswith("_not_empty"):
        return first(name.removeprefix("gx_").removesuffix("_not_empty"), "")
    return DOCTORED[name]


@pytest.mark.parametrize("asset", suites.SUITES)
def test_a_good_table_passes_every_expectation(asset, tmp_path):
    failed = {name: gate.message for name, gate in judge(asset, tmp_path).items() if not gate.passed}
    assert not failed


@pytest.mark.parametrize(("asset", "name"), CASES)
def test_each_expectation_refuses_a_doctored_table(asset, name, tmp_path):
    gate = judge(asset, tmp_path, doctored(asset, name))[name]
    assert not gate.passed and gate.message
    assert gate.metadata["rule"].startswith("expect_")
    assert gate.blocking == (name not in ("gx_language_share", "gx_length_quantiles", "gx_few_copies"))


@pytest.mark.parametrize("asset", suites.SUITES)
@pytest.mark.parametrize(
    "change",
    [
        lambda frame: frame.drop("url"),
        lambda frame: frame.with_columns(extra=pl.lit(1)),
        lambda frame: frame.with_columns(pl.col("doc_id").cast(pl.Categorical)),
    ],
)
def test_the_stored_columns_and_their_types_are_those_of_the_contract(asset, change, tmp_path):
    gates = judge(asset, tmp_path, stored_change=change)
    assert [name for name, gate in gates.items() if not gate.passed] == ["gx_schema"]


@pytest.mark.parametrize("asset", suites.SUITES)
def test_each_expectation_is_a_check_that_is_known_before_the_run(asset):
    assert set(suites.names(asset)) <= set(all_specs()[asset].checks)


@pytest.mark.parametrize("asset", ["cleaned_corpus", "deduped_shards", "tokenized_dataset"])
def test_a_crawl_without_documents_is_no_fault_of_the_table(asset, tmp_path):
    assert all(gate.passed for gate in judge(asset, tmp_path, lambda frame: frame.clear()).values())


def test_a_missing_column_fails_what_asks_for_it_alone(tmp_path):
    gates = judge("cleaned_corpus", tmp_path, lambda frame: frame.drop("lang_score"))
    assert [name for name, gate in gates.items() if not gate.passed] == ["gx_lang_score_range"]


def test_the_page_tells_each_check_and_runs_and_loads_nothing(tmp_path):
    """A crawled value must not become part of the page, and the page must not need the network."""
    gates = judge("cleaned_corpus", tmp_path, first("doc_id", HOSTILE))
    page = (tmp_path / "account" / pages.EXPECTATIONS).read_text()
    assert all(name in page for name in gates)
    assert "values must be unique" in page  # great_expectations' own words
    assert "&lt;script&gt;alert(1)" in page
    assert "<script" not in page and "<img" not in page and "<link" not in page
    assert "http://" not in page.replace("http:&#8203;//", "").replace("![i](http://evil.example/p.png)", "")
    assert "https://" not in page and 'href="/' not in page
    assert "default-src 'none'" in page


def test_the_index_lists_the_artefacts_with_their_fate(tmp_path):
    from llm_assets.core.jsonio import write_json

    for identity, passed in (("aaa", True), ("bbb", False)):
        files = tmp_path / "cleaned_corpus" / "c-1" / identity
        judge_into = files / "account"
        judge_into.mkdir(parents=True)
        (judge_into / pages.EXPECTATIONS).write_text("page")
        write_json(files / "manifest.json", {"started_at": f"2026-11-0{1 + passed}"})
        write_json(files / "gates.json", [{"name": "gx_schema", "passed": passed}, {"name": "other", "passed": False}])
    (tmp_path / "cleaned_corpus/c-1/CURRENT.demo").write_text("aaa\n")
    page = data_docs.index_page(tmp_path)
    assert page.index("aaa") < page.index("bbb")
    link = '<a href="../cleaned_corpus/c-1/aaa/account/expectations.html">Data Docs</a>'
    assert f"<td>aaa</td><td>demo</td><td></td><td>{link}</td><td>1 hold</td>" in page
    assert '<span class="no">gx_schema</span>' in page


def test_loading_leaves_nothing_to_compile_for_the_first_suite(monkeypatch):
    from jinja2 import Environment

    suites.load()
    monkeypatch.setattr(Environment, "compile", None)
    data_docs.render("documents", [])
