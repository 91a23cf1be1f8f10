"""Tombstones: read, checked, matched."""

import polars as pl
import pytest

from llm_assets.core.artefact import Inputs, WorkDir
from llm_assets.core.errors import InputError
from llm_assets.core.progress import Silent
from llm_assets.core.recipe.crawl import TombstonesConfig
from llm_assets.core.tombstones import TOMBSTONES_FILE, Tombstones
from llm_assets.stages.crawl.tombstones import gates, run

HEX32, HEX64 = "ab" * 16, "cd" * 32
JSONL = f"""{{"kind": "url", "value": "HTTP://A.example:80/x?utm_source=1#y", "reason": "owner"}}

{{"kind": "host", "value": "B.example.", "reason": "court"}}
{{"kind": "doc_id", "value": "{HEX32}"}}
{{"kind": "sha256", "value": "sha256:{HEX64.upper()}"}}
{{"kind": "host", "value": "b.example", "reason": "court"}}
"""


def make(tmp_path, name: str = "", text: str = ""):
    out = WorkDir.at(tmp_path / "work")
    path = ""
    if name:
        (tmp_path / name).write_text(text)
        path = str(tmp_path / name)
    config = TombstonesConfig(path=path)
    report = run(Inputs(), out, config, Silent())
    return out.files, config, report


def test_none_named_is_none(tmp_path):
    files, config, report = make(tmp_path)
    assert report.counts["tombstones"] == 0
    assert all(gate.passed for gate in gates(Inputs(), files, config, report))
    assert not Tombstones.given(Inputs.of({"tombstones": [files]}))
    assert Tombstones.given(Inputs()).match(url="http://a.example/") is None


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("t.jsonl", JSONL),
        ("t.csv", f"kind,value,reason\nurl,http://a.example/x,owner\nhost,b.example,court\ndoc_id,{HEX32},\nsha256,{HEX64},\n"),
    ],
)
def test_rows_are_normalised_and_match(tmp_path, name, text):
    files, config, report = make(tmp_path, name, text)
    assert report.counts == {"tombstones": 4, "kind_doc_id": 1, "kind_url": 1, "kind_host": 1, "kind_sha256": 1}
    assert all(gate.passed for gate in gates(Inputs(), files, config, report))
    found = Tombstones.given(Inputs.of({"tombstones": [files]}))
    assert found.match(url="http://a.example/x#z") == "url: http://a.example/x"
    assert found.match(url="http://a.example/xy") is None
    assert found.match(url="https://deep.sub.b.example/any") == "host: b.example"
    assert found.match(url="https://notb.example/any") is None
    assert found.match(doc_id=HEX32) == f"doc_id: {HEX32}"
    assert found.match(doc_id="0" * 32, sha256=f"sha256:{HEX64}") == f"sha256: {HEX64}"
    assert found.match(doc_id="0" * 32, sha256="0" * 64, url="http://c.example/") is None


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("t.jsonl", '{"kind": "url", "value": "http://a.example/"}\n{"kind": "page", "value": "x"}', "line 2: kind 'page'"),
        ("t.jsonl", '{"kind": "url", "value": "no address"}', "names nothing"),
        ("t.jsonl", '{"kind": "sha256", "value": "abc"}', "64 hex digits"),
        ("t.jsonl", '{"kind": "host", "value": "http://a.example"}', "names nothing"),
        ("t.jsonl", "not json", "line 1: not a JSON object"),
        ("t.jsonl", "[1]", "not a JSON object"),
        ("t.csv", "kind,value\nhost,\n", "line 2"),
    ],
)
def test_a_line_that_names_nothing_is_refused(tmp_path, name, text, words):
    with pytest.raises(InputError, match=words):
        make(tmp_path, name, text)


def test_a_missing_file_is_one_sentence(tmp_path):
    with pytest.raises(InputError, match=r"tombstones\.path: there is no file"):
        run(Inputs(), WorkDir.at(tmp_path), TombstonesConfig(path=str(tmp_path / "none.jsonl")), Silent())


def test_the_gate_refuses_doctored_rows(tmp_path):
    files, config, report = make(tmp_path, "t.jsonl", JSONL)
    frame = pl.read_parquet(files / TOMBSTONES_FILE)
    for doctored in (
        frame.with_columns(value=pl.lit("HTTP://A")),
        frame.with_columns(kind=pl.lit("page")),
        frame.with_columns(value=pl.lit(None, pl.String)),
        frame[1:],
    ):
        doctored.write_parquet(files / TOMBSTONES_FILE)
        assert [gate.passed for gate in gates(Inputs(), files, config, report)] == [False]
