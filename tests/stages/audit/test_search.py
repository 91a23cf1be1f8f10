"""The search finds a text in whatever form a store can hold it, and only there; what is scrubbed is found no more."""

import gzip
import json
import sqlite3
import zlib

import numpy as np
import polars as pl
import pytest
from backports import zstd
from tokenizers import Tokenizer

from llm_assets.core.errors import InputError
from llm_assets.stages.audit.needles import Needles, words
from llm_assets.stages.audit.scrub import scrub
from llm_assets.stages.audit.search import search, tokenizers
from tests.support.tiny import byte_tokenizer

TEXT = "The mason's “third” bridge — built of grey stone in 1734 — still carries the old road over the river Wharfe; naïve tourists pay."
OTHER = "Another bridge of wood was built by other people, who had never seen the river and did not pay for anything at all."


@pytest.fixture(scope="module")
def needles():
    return Needles([TEXT])


@pytest.fixture
def root(tmp_path):
    byte_tokenizer(tmp_path / "tokenizer" / "all" / "0")
    return tmp_path


def ids(root):
    return Tokenizer.from_file(str(root / "tokenizer/all/0/tokenizer.json")).encode(f"{OTHER} {TEXT} {OTHER}").ids


def sqlite(path):
    base = sqlite3.connect(path)
    base.execute("pragma journal_mode = wal")
    base.execute("create table event_logs (id integer primary key, event text, body blob)")
    event = {"metadata": {"sample": {"text": TEXT}, "two": OTHER}, "n": 1}
    base.execute("insert into event_logs values (1, ?, ?)", (json.dumps({"event": json.dumps(event)}), zlib.compress(b"x")))
    base.execute("insert into event_logs values (2, ?, null)", (json.dumps({"other": OTHER}),))
    base.commit()
    base.close()


def warc(text):
    page = f"HTTP/1.1 200 OK\r\n\r\n<p>{text.replace(' stone', ' <b>stone</b>').replace('“', '&ldquo;')}</p>"
    return b"".join(gzip.compress(f"WARC/1.1\r\nWARC-Type: response\r\n\r\n{body}\r\n\r\n".encode()) for body in (OTHER, page))


def nested(path):
    pl.DataFrame({"id": [1, 2], "rows": [[{"said": OTHER}], [{"said": TEXT[:90]}]]}).write_parquet(path)


PLANTS = {
    "warc.gz": lambda path, root: path.write_bytes(warc(TEXT)),
    "clipped.gz": lambda path, root: path.write_bytes(warc(TEXT)[:-12]),
    "json.zst": lambda path, root: path.write_bytes(zstd.compress(json.dumps([TEXT]).encode()) + zstd.compress(b"more")),
    "table.parquet": lambda path, root: pl.DataFrame({"a": [OTHER, TEXT.upper()], "b": [1, 2]}).write_parquet(path),
    "nested.parquet": lambda path, root: nested(path),
    "bytes.parquet": lambda path, root: pl.DataFrame({"a": [TEXT.encode()]}).write_parquet(path),
    "ids.parquet": lambda path, root: pl.DataFrame({"ids": [[1, 2], ids(root)]}).write_parquet(path),
    "tokens.npy": lambda path, root: np.save(path, np.array(ids(root), np.uint16)),
    "escaped.json": lambda path, root: path.write_text(json.dumps({"samples": {"one": json.dumps(TEXT)}})),
    "ids.json": lambda path, root: path.write_text(json.dumps({"probe": {"ids": ids(root)}})),
    "lines.jsonl": lambda path, root: path.write_text(json.dumps({"a": 1}) + "\n" + json.dumps({"text": TEXT}) + "\n"),
    "ids.jsonl": lambda path, root: path.write_text("{}\n" + json.dumps({"ids": ids(root)}) + "\n"),
    "page.html": lambda path, root: path.write_text(f"<article><p>{TEXT.replace('river', '<i>river</i>')}</p></article>"),
    "console.log": lambda path, root: path.write_text(f"{OTHER}\n2026-11-01 INFO sample: {TEXT[20:110]}\n{OTHER}\n"),
    "wrapped.md": lambda path, root: path.write_text("\n".join(TEXT.replace(" ", "\n", 8).split("\n"))),
    "utf16.txt": lambda path, root: path.write_bytes(TEXT.encode("utf-16-le") * 40),
    "event.db": lambda path, root: sqlite(path),
    "weights.gguf": lambda path, root: path.write_bytes(b"GGUF" + bytes(100_000) + TEXT.encode() + bytes(1000)),
}


@pytest.mark.parametrize("name", sorted(PLANTS))
def test_what_is_planted_is_found(root, needles, name):
    path = root / "asset" / name
    path.parent.mkdir()
    assert list(search(root, needles)) == []
    PLANTS[name](path, root)
    assert [hit.path for hit in search(root, needles)] == [path]
    assert list(search(root, Needles([OTHER[::-1]]))) == []
    assert list(search(root, needles, leave_out=[root / "asset"])) == []


@pytest.mark.parametrize(
    "name",
    sorted(set(PLANTS) - {"warc.gz", "clipped.gz", "json.zst", "tokens.npy", "utf16.txt", "weights.gguf", "bytes.parquet"}),
)
def test_what_is_scrubbed_is_found_no_more_and_all_else_stays(root, needles, name):
    path = root / name
    PLANTS[name](path, root)
    said_other = any(True for _ in search(root, Needles([OTHER])))
    scrub(path, needles, "[gone]", tokenizers(root))
    assert list(search(root, needles)) == []
    if said_other and not name.startswith("ids"):
        assert [hit.path for hit in search(root, Needles([OTHER]))] == [path]


def test_events_are_changed_in_place(root, needles):
    sqlite(root / "event.db")
    scrub(root / "event.db", needles, "[gone]", [])
    base = sqlite3.connect(root / "event.db")
    first, second = (row[0] for row in base.execute("select event from event_logs order by id"))
    base.close()
    assert json.loads(json.loads(first)["event"]) == {"metadata": {"sample": {"text": "[gone]"}, "two": OTHER}, "n": 1}
    assert json.loads(second) == {"other": OTHER}


def test_what_can_not_be_changed_is_said(root, needles):
    PLANTS["weights.gguf"](root / "weights.gguf", root)
    before = (root / "weights.gguf").stat().st_size
    (root / "archive.gz").write_bytes(warc(TEXT))
    with pytest.raises(InputError, match=r"archive\.gz still holds what is taken down"):
        scrub(root / "archive.gz", needles, "[gone]", [])
    assert (root / "weights.gguf").stat().st_size == before


def test_a_picture_in_a_history_is_known_by_a_piece_of_it():
    piece = "QmFzZTY0" * 15
    needles = Needles([], [piece])
    assert needles.found_in(f"![sheet](data:image/png;base64,AAAA{piece}BBBB)") and not needles.found_in(piece[1:] + "xx")


def test_short_texts_are_known_as_a_whole_and_shorter_ones_not_at_all():
    assert Needles(["American author, born in Maine"]).found_in("(a person wrote: American author born in Maine)")
    assert not Needles(["American author, born in Maine"]).found_in("an American author born in Ohio, Maine")
    assert not Needles(["American author (1947)"])


def test_words_are_the_same_however_a_string_is_written():
    assert words('caf\\u00e9 \\"x\\" \\n&eacute;t\\ud83d\\ude00') == ["café", "x", "ét"]
