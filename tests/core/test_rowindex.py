"""The row index gives what a scan gives, also for colliding keys and where there is none."""

import shutil
import zlib

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_assets.core import rowindex

IDS = [f"{n * 0x9E3779B97F4A7C15F39CC0605CEDC835 % 2**128:032x}" for n in range(200)]
URLS = [f"https://www.Site.example/Page-{n}/" for n in range(200)]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """The same tables with an index and without one."""
    files = tmp_path_factory.mktemp("with")
    ledger = pl.DataFrame({"doc_id": [*IDS[:150], *[None] * 50], "url": URLS, "n": range(200)})
    ledger.write_parquet(files / "ledger.parquet", row_group_size=16)
    index = pl.DataFrame({"doc_id": IDS[:150], "canonical_url": [url.lower() for url in URLS[:150]]})
    index.write_parquet(files / "index.parquet")
    rowindex.write(files)
    bare = tmp_path_factory.mktemp("without")
    for name in ("ledger.parquet", "index.parquet"):
        shutil.copy(files / name, bare / name)
    return files, bare


def test_documents_are_found_with_and_without_an_index(folders):
    for files in folders:
        assert rowindex.of_documents(files, "ledger.parquet", [IDS[7], IDS[3], "no such"])["n"].to_list() == [3, 7]
        assert rowindex.of_documents(files, "ledger.parquet", IDS)["n"].to_list() == list(range(150))
        assert rowindex.of_documents(files, "ledger.parquet", []).height == 0
        assert rowindex.of_documents(files, "ledger.parquet", [IDS[1]], ["url"]).to_dicts() == [{"url": URLS[1]}]


def test_the_first_digits_of_an_id_are_enough(folders):
    for files in folders:
        assert rowindex.beginning_with(files, "ledger.parquet", IDS[42][:12]) == [IDS[42]]
        assert rowindex.beginning_with(files, "ledger.parquet", IDS[42][:20]) == [IDS[42]]
        expected = sorted(doc for doc in IDS[:150] if doc.startswith("3"))
        assert sorted(rowindex.beginning_with(files, "ledger.parquet", "3")) == expected


@pytest.mark.parametrize(
    "spelling", ["http://site.example/page-170", "HTTPS://www.site.example/Page-170/#top", "site.example/page-170/index.html"]
)
def test_other_spellings_of_an_address_are_found(folders, spelling):
    for files in folders:
        assert rowindex.of_address(files, "ledger.parquet", "url", spelling)["n"].to_list() == [170]
        assert rowindex.of_address(files, "ledger.parquet", "url", spelling.replace("170", "1700")).height == 0


def test_addresses_whose_keys_collide_are_told_apart(tmp_path):
    """Two short names with one CRC-32: the rows themselves are compared."""
    one, other = "plumless", "buckeroo"
    assert zlib.crc32(one.encode()) == zlib.crc32(other.encode())
    frame = pl.DataFrame({"doc_id": IDS[:2], "canonical_url": [one, other]})
    frame.write_parquet(tmp_path / "index.parquet")
    rowindex.write(tmp_path)
    assert rowindex.of_address(tmp_path, "index.parquet", "canonical_url", other)["doc_id"].to_list() == [IDS[1]]


def test_only_what_has_an_index_is_said_to_have_one(folders):
    files, without = folders
    assert rowindex.indexed(files, "ledger.parquet", "url")
    assert not rowindex.indexed(without, "ledger.parquet", "url")
    assert not rowindex.indexed(files, "index.parquet", "url")


@given(st.lists(st.text(max_size=40), max_size=5, unique=True))
def test_whatever_an_address_holds_it_is_found_again(tmp_path_factory, texts):
    files = tmp_path_factory.mktemp("any")
    frame = pl.DataFrame(
        {"doc_id": IDS[: len(texts)], "canonical_url": texts}, schema={"doc_id": pl.String, "canonical_url": pl.String}
    )
    frame.write_parquet(files / "index.parquet")
    rowindex.write(files)
    for doc, text in zip(IDS, texts, strict=False):
        assert doc in rowindex.of_address(files, "index.parquet", "canonical_url", text)["doc_id"].to_list()
