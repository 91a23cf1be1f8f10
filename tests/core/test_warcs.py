"""Single records by offset and length: whole or refused, and the same whoever takes them apart."""

import gzip
import importlib.util
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_assets.core import warcs
from llm_assets.core.errors import InputError
from llm_assets.core.warcs import WarcFiles, http_payload
from tests.support.crawled import Crawl, article, http
from tests.support.crawled import record as member
from tests.support.warcs import record, response


def read_member(path, offset, length):
    """One record by itself: nothing was read before it."""
    with WarcFiles() as files:
        return files.record(str(path), offset, length)


def read_payloads(folder, rows):
    with WarcFiles() as files:
        for row in rows:
            yield row, *http_payload(files.record(f"{folder}/{row['warc_file']}", row["offset"], row["length"]))


BODY = b"<p>" + b"A body of some length, with a blank line\r\n\r\nin it. " * 20


def raw(block):
    return gzip.decompress(member("http://a.example/", block))


def both(data):
    """By our own reading, which may pass, and by fastwarc's."""
    return warcs._plain_payload(data), warcs._any_payload(data)


@pytest.mark.parametrize("kind", ["text/html; charset=utf-8", "", "text/plain"])
@pytest.mark.parametrize("gap", [b"", b"\r\n"])
def test_a_plain_response_reads_as_by_fastwarc(kind, gap):
    """Case B02 among them: the extra line is no part of the body, and no byte is lost at the end."""
    data = raw(http(BODY, kind, gap=gap))
    ours, theirs = both(data)
    assert ours == theirs
    assert ours[1] == gap + BODY
    assert http_payload(data) == (ours[0], BODY)


@settings(max_examples=150, deadline=None)
@given(
    names=st.lists(st.sampled_from(["Content-Type", "ETag", "X-A", "x-a", "Server", "Link"]), max_size=5),
    values=st.lists(st.text("ab: ;=\t/-0", max_size=12), min_size=5, max_size=5),
    body=st.binary(max_size=60),
)
def test_whatever_the_headers_both_ways_agree_or_ours_passes(names, values, body):
    lines = "".join(f"{name}: {value}\r\n" for name, value in zip(names, values, strict=False))
    ours, theirs = both(raw(f"HTTP/1.1 200 OK\r\n{lines}\r\n".encode() + body))
    assert ours is None or ours == theirs


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX: é\r\n\r\n".encode(),
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: a\nY: b\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n",
        b"",
    ],
)
def test_what_is_not_plain_is_left_to_fastwarc(head):
    data = raw(head + b"<p>x</p>")
    assert warcs._plain_payload(data) is None
    assert http_payload(data) == warcs._any_payload(data)


def test_encodings_are_undone():
    for name, packed in (("gzip", gzip.compress(BODY)), ("deflate", zlib.compress(BODY))):
        data = raw(f"HTTP/1.1 200 OK\r\nContent-Encoding: {name}\r\n\r\n".encode() + packed)
        assert http_payload(data)[1] == BODY
    assert http_payload(response(BODY, Content_Encoding="gzip").replace(BODY, gzip.compress(BODY)))[1] != BODY


@pytest.mark.parametrize(
    ("name", "packed"),
    [
        ("gzip", b"no gzip at all"),
        ("br", b"no brotli"),
        ("zstd", b"no zstd"),
        ("deflate", b"neither"),
        ("compress", b"unknown"),
    ],
)
def test_an_encoding_that_can_not_be_undone_is_refused(name, packed):
    data = raw(f"HTTP/1.1 200 OK\r\nContent-Encoding: {name}\r\n\r\n".encode() + packed)
    with pytest.raises(InputError, match="content encoding of the response can't be undone: .+"):
        http_payload(data)


def test_a_record_that_is_no_response_is_refused():
    with pytest.raises(InputError, match="no HTTP response"):
        http_payload(record(b"software: x\r\n", kind="warcinfo", url=""))


ENGINES = ("deflate", "isal", "zlib")


def choose(monkeypatch, engine):
    """Read with this engine from here on; skip where it isn't installed."""
    if engine != "zlib" and importlib.util.find_spec(engine) is None:
        pytest.skip(f"{engine} is not installed")
    others = ENGINES[: ENGINES.index(engine)]
    find = importlib.util.find_spec
    monkeypatch.setattr(warcs, "find_spec", lambda name: None if name in others else find(name))
    name, *found = warcs._engine() if engine != "zlib" else ("zlib", None, zlib.error)
    assert name == engine
    monkeypatch.setattr(warcs, "_inflate", found[0])
    monkeypatch.setattr(warcs, "_ERROR", found[1])


@pytest.mark.parametrize("engine", ENGINES)
def test_every_cut_is_seen_and_every_flip_is_refused_or_harmless(tmp_path, monkeypatch, engine):
    """Case B01 for one record: the last bytes of a member are its checksum and its size."""
    choose(monkeypatch, engine)
    data = member("http://a.example/", http(BODY))
    path = tmp_path / "a.warc.gz"
    with WarcFiles() as files:
        path.write_bytes(data)
        whole = files.record(str(path), 0, len(data))
        for cut in range(2, len(data)):
            with pytest.raises(InputError, match="clipped|damaged"):
                warcs._member(data[:cut], "a", 0, cut)
        with pytest.raises(InputError, match="ends at byte"):
            files.record(str(path), 0, len(data) + 1)
        for place in range(0, len(data), 3):
            flipped = data[:place] + bytes([data[place] ^ 16]) + data[place + 1 :]
            try:
                found = warcs._member(flipped, "a", 0, len(data))
            except InputError:
                continue
            assert found == whole or place < 10  # the head of the member: its time, its system, or no gzip at all
            if place == 0:
                assert found.startswith(b"\x0f")


def test_a_bomb_stops_at_the_limit(tmp_path, monkeypatch):
    monkeypatch.setattr(warcs, "MAX_RECORD_BYTES", 1_000)
    path = tmp_path / "a.warc.gz"
    path.write_bytes(gzip.compress(b"0" * 100_000))
    with pytest.raises(InputError, match="larger than 1000 bytes"):
        read_member(path, 0, path.stat().st_size)


def test_files_stay_open_but_never_more_than_a_few(tmp_path):
    crawl = Crawl()
    crawl.add("a", article())
    with WarcFiles() as files:
        for number in range(20):
            folder = crawl.write(tmp_path / str(number))
            row = crawl.rows[0]
            assert files.record(str(folder / row["warc_file"]), row["offset"], row["length"]).startswith(b"WARC/1.1")
            assert len(files._open) <= warcs._OPEN_FILES
        with pytest.raises(InputError, match="can't be read"):
            files.record(str(tmp_path / "none.warc.gz"), 0, 1)
    assert files._open == {}


def test_payloads_of_an_index(tmp_path):
    crawl = Crawl()
    for name in ("a", "b"):
        crawl.add(name, article())
    found = list(read_payloads(crawl.write(tmp_path), crawl.rows))
    assert [body for _, _, body in found] == [article(), article()]
    assert found[0][1]["content-type"] == "text/html; charset=utf-8"


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("body", [BODY, b"", b"0" * 300_000])
def test_every_inflater_gives_the_same(tmp_path, monkeypatch, engine, body):
    choose(monkeypatch, engine)
    path = tmp_path / "a.warc.gz"
    for data in (member("http://a.example/", http(body)), gzip.compress(body)):
        path.write_bytes(data)
        found = read_member(path, 0, len(data))
        assert (found, type(found)) == (gzip.decompress(data), bytes)


def test_reading_ahead_gives_what_reading_record_by_record_gives(tmp_path, monkeypatch):
    """In order, backwards, with gaps, and with a buffer that ends inside of a record."""
    monkeypatch.setattr(warcs, "_AHEAD", 700)
    crawl = Crawl()
    for number in range(12):
        crawl.add(str(number), article(f"Page {number} " + "of the town by the river. " * number))
    folder = crawl.write(tmp_path)
    path = str(folder / "warc/part-00000.warc.gz")
    places = [(row["offset"], row["length"]) for row in crawl.rows]
    expected = {place: read_member(path, *place) for place in places}
    for order in (places, places[::-1], places[::3], places[:4] + places[2:], places[5:] + places[:5]):
        with WarcFiles() as files:
            assert all(files.record(path, *place) == expected[place] for place in order)
