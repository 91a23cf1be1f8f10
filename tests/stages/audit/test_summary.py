"""The public summary of training content: figures of the marts, what is not stated, and nothing that a crawled word can do."""

import html
import re

import polars as pl
import pytest
from markdown_it import MarkdownIt

from llm_assets.commands.content_summary import run_content_summary
from llm_assets.core.errors import InputError, LlmAssetsError
from llm_assets.core.produce import produce
from llm_assets.core.recipe import load_recipe
from llm_assets.core.recipe.audit import TrainingContentSummaryConfig
from llm_assets.stages.audit import SUMMARY, summary
from llm_assets.stages.audit import summary_facts as facts_of
from llm_assets.stages.audit.project import specs
from llm_assets.stages.audit.summary_page import Heading, Pairs, Table, Text, markdown, page, plain
from tests.support.audited import FIRST, SECOND, STEPS, Audited


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    house = Audited(tmp_path_factory.mktemp("store"))
    house.instructions()
    base = house.store.current("base_model")
    inputs = [base, *house.of("instruction_dataset")]
    house.publish("sft_model", "all", lambda files: None, inputs, identity="new", metrics={"tokens": 50}, weights=True)
    house.publish("quantized_export", "all", lambda files: None, house.of("sft_model"), identity="new")
    recipe = load_recipe("demo")
    for spec in specs():
        produce(house.store, spec, recipe.section(spec.name))
    return house


@pytest.fixture(scope="module")
def marts(house):
    return summary.read({name: house.store.current(name).file(f"{name}.parquet") for name in summary.MARTS})


def test_the_figures_are_the_marts(marts):
    found = facts_of.facts(marts, "sft_model", False)
    assert found.tokens == STEPS * 4 * 2 + 50
    assert found.tokens_a_pass == 33 and found.text_range == "less than 1 billion tokens"
    assert [(row["trained_by"], row["data"]) for row in found.trainings] == [
        ("base_model", "training_mix"),
        ("sft_model", "instruction_dataset"),
    ]
    assert [row["crawl"] for row in found.crawls] == [FIRST, SECOND]
    assert [(row["name"], round(row["share"], 2)) for row in found.languages] == [("en", 1.0)]
    assert found.domains_in_all == 1 and found.domains[0]["domain"] == "site.example"
    assert found.generated_tokens == 0


@pytest.mark.parametrize(
    ("domains", "small", "listed"),
    [
        (0, False, 0),
        (1, False, 1),
        (10, False, 1),
        (11, False, 2),
        (30_000, False, 3_000),
        (100, True, 5),
        (40_000, True, 1_000),
    ],
)
def test_how_many_domains_the_template_wants(domains, small, listed):
    """10 % of the domains; for small and medium enterprises 5 % or 1,000, whichever is fewer."""
    assert facts_of.listed(domains, small) == listed


def test_the_largest_registered_domains_come_first(marts):
    mine = marts["model_contribution"].filter(pl.col("model") == "base_model").head(1)
    hosts = ["a.news.example.com", "b.example.com", "example.org", "small.example.net"]
    rows = pl.concat([mine] * 4).with_columns(
        domain=pl.Series(hosts), tokens_a_pass=pl.Series([5, 6, 9, 1]), documents=pl.Series([1, 2, 3, 4])
    )
    found = facts_of._domains(rows)
    assert [(row["domain"], row["tokens"], row["documents"]) for row in found] == [
        ("example.com", 11, 3),
        ("example.org", 9, 3),
        ("example.net", 1, 4),
    ]


def test_the_document_has_the_templates_sections_and_says_what_is_not_stated(marts):
    text = markdown(summary.summary(facts_of.facts(marts, "sft_model", False), TrainingContentSummaryConfig()))
    for number in ("1.1", "1.2", "1.3", "2.1", "2.2", "2.3", "2.4", "2.5", "2.6", "3.1", "3.2", "3.3"):
        assert f"### {number} " in text
    assert "- Provider: not stated" in text and "- Code of practice: not stated" in text
    assert "auditor/1" in text and f"| {FIRST} | local site | 2026-11-01 | 6 | 1 |" in text
    assert "11/2026 to 12/2026" in text  # the period of collection
    assert "| robots.txt for the crawler | yes | 2 |" in text and "| site.example | 33 |" in text


def test_what_the_provider_states_is_in_it(marts):
    config = TrainingContentSummaryConfig(
        provider="Models & Co",
        contact="mail@models.example",
        model_names={"sft_model": "Small 1.0"},
        placed_on_market={"sft_model": "2026-12-01"},
        public_datasets={"Old books": "https://books.example"},
        code_of_practice="signed",
    )
    blocks = summary.summary(facts_of.facts(marts, "sft_model", False), config)
    assert "Models \\& Co" in markdown(blocks) and "Small 1.0" in markdown(blocks) and "signed" in markdown(blocks)
    assert "<dd>Models &amp; Co</dd>" in page("t", blocks) and "<td>Old books</td>" in page("t", blocks)


def test_an_unknown_model_names_those_there_are(marts):
    with pytest.raises(InputError, match="there are: base_model, quantized_export, sft_model"):
        facts_of.facts(marts, "gpt", False)


def test_the_asset_writes_a_page_for_every_model_and_warns_of_what_is_missing(house):
    outcome = produce(house.store, SUMMARY, TrainingContentSummaryConfig())
    assert not outcome.failed
    names = {path.name for path in outcome.artefact.files.glob("*.html")}
    assert names == {"base_model.html", "sft_model.html", "quantized_export.html"}
    fates = {gate.name: gate for gate in outcome.gates}
    assert fates["every_model_is_described"].passed
    assert not fates["provider_is_stated"].passed and not fates["provider_is_stated"].blocking
    assert "set training_content_summary.provider in the recipe" in fates["provider_is_stated"].message
    stated = produce(house.store, SUMMARY, TrainingContentSummaryConfig(provider="P", contact="C"))
    assert all(gate.passed for gate in stated.gates)


def test_the_command_writes_markdown_or_a_page_for_any_model(house, monkeypatch, tmp_path):
    monkeypatch.setenv("LLM_ASSETS_STORE", str(house.store.root))
    monkeypatch.setenv("LLM_ASSETS_RECIPE", "demo")
    assert run_content_summary("base_model", False).startswith("# Public summary of training content: base_model")
    assert run_content_summary("sft_model", True).startswith("<!doctype html>")
    monkeypatch.setenv("LLM_ASSETS_STORE", str(tmp_path / "empty"))
    with pytest.raises(LlmAssetsError, match="the mart model_genealogy was not built yet"):
        run_content_summary("sft_model", False)


EVIL = [
    "<script>alert(1)</script>",
    "![x](http://evil.example/a.png)",
    "[click](javascript:x)",
    "a | b | c",
    "`code` **bold** _it_",
    "www.evil.example",
    "http://evil.example",
    "&lt;b&gt;",
    "two\nlines\n# heading",
    "1. list",
    "- list",
    "= line",
]


@pytest.mark.parametrize("text", EVIL)
def test_a_crawled_word_stays_a_word(text):
    blocks = [Heading(1, text), Text(text), Pairs([(text, text)]), Table((text,), [[text]], frozenset({text}))]
    made = page(text, blocks)
    assert "<script" not in made and "<b>" not in made.replace("<body>", "") and "<img" not in made
    written = markdown(blocks)
    assert "http:/" not in written and "www.e" not in written  # GitHub makes links of these unasked
    read = MarkdownIt("commonmark").enable("table").render(written)
    assert [tag for tag in re.findall(r"<(\w+)", read) if tag not in ("h1", "p", "ul", "li")] == [
        *("table", "thead", "tr", "th", "tbody", "tr", "td")
    ]
    assert read.count("<li>") == 1 and read.count(html.escape(" ".join(text.split()))) == 6  # as it was, wherever it stands


def test_names_stay_readable():
    assert plain("stg_model rlhf-model 2026-11 CC-BY-SA-4.0 (3 %)") == "stg_model rlhf-model 2026-11 CC-BY-SA-4.0 (3 %)"
