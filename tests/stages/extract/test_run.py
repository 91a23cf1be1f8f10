"""A whole crawl: every page response has a fate, resumed runs have the totals of clean ones, gates refuse doctored artefacts."""

import shutil

import polars as pl
import pytest

from llm_assets.core.artefact import Inputs, WorkDir
from llm_assets.core.documents import EXTRACTED
from llm_assets.core.errors import InputError
from llm_assets.core.ledger import counts_add_up
from llm_assets.core.progress import Recording, Silent
from llm_assets.core.recipe.corpus import ExtractedPagesConfig
from llm_assets.core.recipe.executor import ExecutorConfig
from llm_assets.stages.extract import run as stage
from llm_assets.stages.extract.gates import gates
from llm_assets.stages.extract.supervisor import COMMAND, Supervisor
from tests.support.crawled import Crawl, article, html
from tests.support.parsers import __name__ as misbehaving

CONFIG = ExtractedPagesConfig(shard_documents=3, workers=1)
# How each page of the crawl below should end.
FATES = {
    "one": "kept",
    "two": "kept",
    "listing": "extract_no_text",
    "reserved": "optout_noai",
    "ai": "optout_robots_ai",
    "cut": "truncated",
    "error": "http_status",
    "three": "kept",
}


def crawl():
    made = Crawl()
    head = '<meta name="description" content="First"><meta name="date" content="2026-05-03">'
    head += '<link rel="canonical" href="/one"><link rel="license" href="https://creativecommons.org/licenses/by/4.0/">'
    made.add("one", article(head=head))
    made.add("two", article("La cathédrale est en pierre et elle domine la ville depuis des siècles. " * 4))
    made.add("listing", html("<ul>" + '<li><a href="/x">An entry</a>' * 30 + "</ul>"))
    made.add("reserved", article(), optout_noai=True)
    made.add("ai", article(), optout_robots_ai=True, optout_tdm=True)
    made.add("cut", article(), truncated=True)
    made.add("error", article(), status=404)
    made.add("again", article(), record_type="revisit", revisit_of="0" * 32)
    made.add("picture", b"\x89PNG", kind="image", content_type="image/png")
    made.add("three", article("A third page tells of the mill by the river and of the miller who kept it. " * 5))
    return made


def made(folder, config=CONFIG, name="work"):
    raw = folder / "wiki-test"
    if not raw.exists():
        crawl().write(raw)
    inputs = Inputs.of({"raw_crawl": [raw]})
    out = WorkDir.at(folder / name, "wiki-test", "extracted_pages")
    return inputs, out, stage.run(inputs, out, config, Silent())


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    return made(tmp_path_factory.mktemp("finished"))


@pytest.fixture
def done(finished, tmp_path):
    """A copy that a test may doctor."""
    inputs, out, report = finished
    copy = shutil.copytree(out.files, tmp_path / "files")
    return inputs, WorkDir(copy, out.private, out.partition, out.asset), report


def texts(out):
    return pl.concat([pl.read_parquet(path) for path in sorted((out.files / "shards").glob("*.parquet"))])


def test_every_page_response_has_a_fate(done):
    inputs, out, report = done
    ledger = pl.read_parquet(out.files / "ledger.parquet")
    fates = dict(zip((url.rsplit("/", 1)[1] for url in ledger["url"]), ledger["rule"], strict=True))
    assert fates == FATES
    assert counts_add_up(report.counts)
    assert report.counts["kept"] == 3
    assert ledger.filter(pl.col("rule") == "http_status")["value"].item() == 404
    assert all(gate.passed for gate in gates(inputs, out.files, CONFIG, report))


def test_shards_have_the_schema_and_what_the_page_said(done):
    _, out, report = done
    found = texts(out)
    assert found.schema == EXTRACTED
    assert found["host"].unique().to_list() == ["site.example"]
    first = found.row(0, named=True)
    assert (first["title"], first["description"], first["html_lang"], first["section"]) == ("T", "First", "en", "")
    assert (first["published"], first["license_id"]) == ("2026-05-03", "CC-BY-4.0")
    assert first["rel_canonical"] == "http://site.example/one"
    assert found["published"].to_list()[1:] == ["", ""]
    assert first["text"].startswith("The bridge was built")
    captures = pl.read_parquet(out.files / "captures.parquet")
    assert captures["doc_id"].to_list() == found["doc_id"].to_list()
    assert captures["payload_digest"].str.starts_with("sha256:").all()
    assert report.metrics["shards"] == 3
    assert all((out.files / name).stat().st_size <= 200_000 for name in report.plots.values())


@pytest.mark.parametrize("kind", ["auto", "local"])
def test_workers_and_a_second_start_change_nothing(tmp_path, kind):
    """Case B18: a shard that is made again in a second launch leaves the totals of a clean run, to the row."""
    _, clean, report = made(tmp_path)
    inputs, out, _ = made(tmp_path, CONFIG.model_copy(update={"workers": 2, "executor": ExecutorConfig(kind=kind)}), "other")
    completed = out.private / "steps/datatrove/completions/00001"
    assert completed.exists() == (kind == "local")
    completed.unlink(missing_ok=True)
    (out.files / "shards/00001.parquet").unlink()
    (out.private / "ledger/00001.parquet").unlink()
    progress = Recording()
    again = stage.run(inputs, out, CONFIG, progress)
    assert again.counts == report.counts
    assert again.metrics == report.metrics
    assert progress.updates[-1][:3] == (3, 3, "shards")
    names = ["ledger.parquet", "captures.parquet", *(f"shards/{n:05d}.parquet" for n in range(3))]
    assert all((clean.files / name).read_bytes() == (out.files / name).read_bytes() for name in names)


def test_a_crawl_without_pages_gives_an_empty_artefact(tmp_path):
    empty = Crawl()
    empty.add("picture", b"\x89PNG", kind="image")
    empty.write(tmp_path / "wiki-test")
    inputs, out, report = made(tmp_path)
    assert report.counts == {"documents_in": 0, "kept": 0}
    assert {gate.name: gate.passed for gate in gates(inputs, out.files, CONFIG, report)}["ledger_matches_shards"]


def test_trafilatura_by_the_recipe(tmp_path):
    """In the same parser process under the same limits, with the same metadata."""
    pytest.importorskip("trafilatura")
    _, ours, report = made(tmp_path)
    _, out, found = made(tmp_path, CONFIG.model_copy(update={"extractor": "trafilatura", "max_cpu_seconds": 20.0}), "other")
    told = texts(out)
    assert counts_add_up(found.counts)
    assert set(told["doc_id"]) >= set(texts(ours)["doc_id"])  # it finds text in lists of links, too
    assert told.filter(pl.col("url").str.contains("/(?:one|two|three)$"))["text"].str.contains("bridge|cathédrale|mill").all()
    assert told.filter(pl.col("url").str.ends_with("/one"))["published"].item() == "2026-05-03"
    assert found.counts["dropped:truncated"] == report.counts["dropped:truncated"] == 1


def test_trafilatura_that_is_not_installed_stops_before_any_page(tmp_path, monkeypatch):
    monkeypatch.setattr("llm_assets.stages.extract.html.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"llm_assets\[trafilatura\]"):
        made(tmp_path, CONFIG.model_copy(update={"extractor": "trafilatura"}))


def test_opt_outs_are_honoured_as_the_recipe_says(tmp_path):
    config = CONFIG.model_copy(update={"honour_optouts": ["tdm"]})
    inputs, out, report = made(tmp_path, config)
    assert report.counts["kept"] == 4
    assert report.counts["dropped:optout_tdm"] == 1
    results = {gate.name: gate.passed for gate in gates(inputs, out.files, CONFIG, report)}
    assert not results["optouts_honoured"]  # a recipe that honours noai refuses what this one made


def test_lone_surrogates_are_replaced_and_counted(tmp_path, monkeypatch):
    """Case B14: only that code point, and every other row is written."""

    class Odd(Supervisor):
        def __init__(self, limits, stall_seconds, log):
            super().__init__(limits, stall_seconds, log, (COMMAND[0], "-m", misbehaving, "surrogate"))

    monkeypatch.setattr(stage, "kept_supervisor", Odd)
    pages = crawl()
    pages.write(tmp_path / "raw")
    index = pages.index().filter(pl.col("url").str.ends_with("one"))
    found, captures, _ = stage.extract(index, tmp_path / "raw", "c", CONFIG, tmp_path / "log")
    assert found["text"].to_list() == ["half \ufffd pair"]
    assert captures["surrogates"].to_list() == [1]


def doctored(out, name, frame):
    frame.write_parquet(out.files / name)


@pytest.mark.parametrize(
    ("gate", "doctor"),
    [
        ("ledger_matches_shards", lambda out: doctored(out, "shards/00000.parquet", texts(out).head(1))),
        ("ledger_matches_shards", lambda out: doctored(out, "ledger.parquet", ledger(out).head(6))),
        ("counts_add_up", lambda out: doctored(out, "shards/00000.parquet", texts(out).head(1))),
        ("pages_table", lambda out: doctored(out, "shards/00001.parquet", texts(out))),
        ("pages_table", lambda out: doctored(out, "shards/00000.parquet", texts(out).with_columns(text=pl.lit("")))),
        ("pages_gave_text", lambda out: doctored(out, "ledger.parquet", dropped(out, "extract_no_text"))),
        ("parser_survives", lambda out: doctored(out, "ledger.parquet", dropped(out, "extract_crash"))),
        ("charsets_known", lambda out: doctored(out, "ledger.parquet", dropped(out, "extract_undecodable"))),
        ("optouts_honoured", lambda out: doctored(out, "shards/00000.parquet", reserved(out))),
    ],
)
def test_gates_refuse_doctored_artefacts(done, gate, doctor):
    inputs, out, report = done
    doctor(out)
    results = {found.name: found for found in gates(inputs, out.files, CONFIG, report)}
    assert not results[gate].passed
    assert results[gate].blocking
    assert results[gate].message


def ledger(out):
    return pl.read_parquet(out.files / "ledger.parquet")


def dropped(out, rule):
    return ledger(out).with_columns(kept=pl.lit(False), rule=pl.lit(rule))


def reserved(out):
    """The texts, one of them under the id of a page that opted out."""
    index = pl.read_parquet(out.private.parents[1] / "wiki-test/index.parquet")
    return texts(out).with_columns(doc_id=pl.lit(index.filter("optout_noai")["doc_id"].item()))
