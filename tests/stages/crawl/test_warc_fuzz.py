"""Fuzz: a WARC of several kinds of records, cut and flipped in 200 places each: in = kept + rejected, and it always ends.

Whatever is read as whole must be, byte for byte, a record that was written: nothing half, nothing invented.
"""

import gzip
import json
import random
from datetime import UTC, datetime
from pathlib import Path

import pytest
from backports import zstd

from llm_assets.core.artefact import Inputs, WorkDir
from llm_assets.core.documents import doc_id, payload_digest
from llm_assets.core.errors import InputError
from llm_assets.core.ledger import counts_add_up
from llm_assets.core.progress import Silent
from llm_assets.stages.crawl.run import run, warc_info
from llm_assets.stages.crawl.warc import Original, WarcWriter
from llm_assets.stages.crawl.warc_reader import read_records
from tests.support.loopback import config
from tests.support.warcs import record

LIMIT = 1_000_000
PLACES = 200
WHEN = datetime(2026, 10, 1, tzinfo=UTC)


def written(folder: Path) -> list[bytes]:
    """The records of a real crawl file: warcinfo, a request, seven pages of some kilobytes, a revisit."""
    writer = WarcWriter(folder, 10**9, warc_info("fuzz"), WHEN)
    for path in sorted(Path(json.__file__).parent.glob("*.py")) * 2:
        page = b"<html><body><pre>" + path.read_bytes()[:6_000] + b"</pre>" + b"%d" % writer.parts
        url = f"http://a.example/{writer.parts}/{path.name}"
        name = doc_id(url, WHEN, payload_digest(page))
        writer.response(name, url, WHEN, b"HTTP/1.1 200 OK\r\nContent-Type: text/html", page)
    original = Original(name, url, WHEN)
    writer.revisit(name, url, WHEN, b"HTTP/1.1 304 Not Modified", original, payload_digest(page), modified=False)
    writer.close()
    data = (folder / "warc/part-00000.warc.gz").read_bytes()
    found = [part for part in gzip.decompress(data).split(b"WARC/1.1\r\n") if part]
    return [b"WARC/1.1\r\n" + part for part in found] + [record(b"GET / HTTP/1.1\r\n\r\n", "request")]


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    found = written(tmp_path_factory.mktemp("fuzz"))
    assert len(found) >= 10
    return found


def packed(form: str, records: list[bytes]) -> list[bytes]:
    """The file in pieces, one a record."""
    if form == "zstd":
        options = {zstd.CompressionParameter.checksum_flag: 1}
        return [zstd.compress(part, options=options) for part in records]
    return [gzip.compress(part, mtime=0) for part in records] if form == "gzip" else records


def read(path: Path, data: bytes) -> list:
    path.write_bytes(data)
    return list(read_records(path, LIMIT))


def blocks(parts: list[bytes]) -> list[bytes]:
    return [part.partition(b"\r\n\r\n")[2].removesuffix(b"\r\n\r\n") for part in parts]


@pytest.mark.parametrize("form", ["gzip", "zstd", "plain"])
def test_cut_anywhere_the_whole_ones_are_kept_and_the_rest_is_one_reject(tmp_path, records, form):
    """B01: 200 cut points; each record before the cut is kept, the one it goes through is rejected, nothing else is met."""
    pieces = packed(form, records)
    data, ends = b"".join(pieces), [0]
    for piece in pieces:
        ends.append(ends[-1] + len(piece))
    rng = random.Random(1)
    for cut in sorted(rng.sample(range(64, len(data)), PLACES)):
        found = read(tmp_path / "x.warc", data[:cut])
        whole = [item.block for item in found if not item.problem]
        before = sum(end <= cut for end in ends[1:])
        # a plain record is whole without the empty lines after it
        assert before <= len(whole) <= before + (form == "plain"), cut
        assert whole == blocks(records)[: len(whole)]
        rejected = len(found) - len(whole)
        assert rejected == 0 if cut in ends or len(whole) > before else rejected == 1, cut


@pytest.mark.parametrize("form", ["gzip", "zstd", "plain"])
def test_flipped_bytes_cost_the_records_they_hit(tmp_path, records, form):
    """200 flipped bytes: what is read as whole was written so, and no more than the record hit and its neighbour are lost."""
    pieces = packed(form, records)
    data, known = b"".join(pieces), set(blocks(records))
    rng = random.Random(2)
    for place in rng.sample(range(64, len(data)), PLACES):
        damaged = bytearray(data)
        damaged[place] ^= 1 << rng.randrange(8)
        found = read(tmp_path / "x.warc", bytes(damaged))
        whole = [item.block for item in found if not item.problem]
        rejected = len(found) - len(whole)
        assert set(whole) <= known or form == "plain", place  # a request without a digest, uncompressed, can't be checked
        assert len(whole) >= len(records) - 2, place
        assert len(whole) + rejected >= len(records) - (form == "plain"), place


def test_the_import_accounts_for_every_record(tmp_path, records):
    """Cut and flipped files through the whole import: records read = kept + dropped + of other types."""
    data = b"".join(packed("gzip", records))
    rng = random.Random(3)
    outcomes = set()
    for number in range(PLACES // 4):
        damaged = bytearray(data[: rng.randrange(600, len(data))] if number % 2 else data)
        damaged[rng.randrange(len(damaged))] ^= 0xFF
        folder = tmp_path / "inbox" / f"c{number}"
        folder.mkdir(parents=True)
        (folder / "x.warc.gz").write_bytes(damaged)
        out = WorkDir.at(tmp_path / "work" / f"c{number}", f"c{number}", "raw_crawl")
        try:
            report = run(Inputs({}, store=tmp_path / "store"), out, config(), Silent())
        except InputError as error:
            assert "no usable capture" in str(error)
            outcomes.add("nothing")
            continue
        counts = report.counts
        assert counts_add_up(counts)
        dropped = sum(n for key, n in counts.items() if key.startswith("dropped:"))
        assert counts["records_read"] == counts["kept"] + dropped + counts["records_of_other_types"]
        outcomes.add("kept")
    assert "kept" in outcomes
