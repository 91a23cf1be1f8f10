"""WARC files that others wrote: what is whole is read, what is not is named (case B01)."""

import gzip

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_assets.core.errors import InputError
from llm_assets.stages.crawl.captures import Unreadable, read_capture
from llm_assets.stages.crawl.warc_reader import Record, read_records
from tests.support.warcs import members, record, response

LIMIT = 100_000
ONE, TWO, THREE = (response(b"<p>%d</p>" % n * 50, f"http://a.example/{n}") for n in range(3))


def read(tmp_path, data: bytes, limit: int = LIMIT) -> list[Record]:
    path = tmp_path / "x.warc.gz"
    path.write_bytes(data)
    return list(read_records(path, limit))


def problems(records: list[Record]) -> list[str]:
    return [found.problem for found in records]


FORMS = {
    "a member a record": members(ONE, TWO, THREE),
    "one member": gzip.compress(ONE + TWO + THREE),
    "plain": ONE + TWO + THREE,
    "padded": members(ONE, TWO, THREE) + bytes(1_000),
    "blank lines between": ONE + b"\r\n\r\n" + TWO + b"\r\n" + THREE,
}


@pytest.mark.parametrize("form", FORMS)
def test_all_forms_are_read(tmp_path, form):
    found = read(tmp_path, FORMS[form])
    assert problems(found) == ["", "", ""]
    assert [r.headers["warc-target-uri"] for r in found] == [f"http://a.example/{n}" for n in range(3)]
    assert all(r.type == "response" and r.block.startswith(b"HTTP/1.1 200") for r in found)


def test_offsets_point_at_members(tmp_path):
    data = members(ONE, TWO)
    second = read(tmp_path, data)[1]
    assert gzip.decompress(data[second.offset :]) == TWO
    plain = read(tmp_path, ONE + TWO)[1]
    assert (ONE + TWO)[plain.offset :] == TWO


def test_a_clipped_member_is_truncated(tmp_path):
    """B01: two one-record members without the last 12 bytes; the good one is kept, the last is named, nothing hangs."""
    found = read(tmp_path, members(ONE, TWO)[:-12])
    assert problems(found) == ["", "truncated"]
    assert found[1].headers["warc-target-uri"] == "http://a.example/1"


@settings(max_examples=60, deadline=None)
@given(cut=st.integers(3, len(members(ONE, TWO)) - 1))
def test_a_file_cut_anywhere_never_gives_half_a_record(tmp_path_factory, cut):
    """B01: only what is whole to its checksum counts, wherever the cut is."""
    found = read(tmp_path_factory.mktemp("cut"), members(ONE, TWO)[:cut])
    whole = [r for r in found if not r.problem]
    boundary = len(members(ONE))
    assert len(whole) == (1 if cut >= boundary else 0)
    assert len(found) > len(whole) or cut == boundary


def test_a_plain_file_cut_off(tmp_path):
    assert problems(read(tmp_path, (ONE + TWO)[:-30])) == ["", "truncated"]
    assert problems(read(tmp_path, ONE + TWO[:40])) == ["", "corrupt"]


def test_damage_costs_one_record(tmp_path):
    data = bytearray(members(ONE, TWO, THREE))
    data[len(members(ONE)) + 40] ^= 0xFF
    found = read(tmp_path, bytes(data))
    assert [r.headers.get("warc-target-uri") for r in found if not r.problem] == ["http://a.example/0", "http://a.example/2"]
    assert "corrupt" in problems(found)


def test_a_wrong_checksum_is_corrupt(tmp_path):
    first = bytearray(members(ONE))
    first[-6] ^= 0xFF
    found = read(tmp_path, bytes(first) + members(TWO))
    assert "corrupt" in problems(found)
    assert [r.headers["warc-target-uri"] for r in found if not r.problem] == ["http://a.example/1"]


def test_nonsense_between_records(tmp_path):
    assert problems(read(tmp_path, members(ONE) + b"garbage" + members(TWO))) == ["", "corrupt", ""]
    assert problems(read(tmp_path, ONE + b"garbage\r\n\r\n\n" + TWO)) == ["", "corrupt", ""]
    assert problems(read(tmp_path, record(b"x", Content_Length="many") + TWO)) == ["corrupt", ""]
    assert problems(read(tmp_path, members(ONE, b"x" * 100_000))) == ["", "corrupt"]


def test_large_records_are_passed_over_without_being_held(tmp_path):
    big = response(bytes(3_000_000), "http://a.example/big")
    found = read(tmp_path, members(ONE, big, TWO))
    assert problems(found) == ["", "too_large", ""]
    assert len(found[1].block) == LIMIT
    assert problems(read(tmp_path, big[:-2_000_000])) == ["truncated"]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "is empty"),
        (b"filedesc://x.arc 0.0.0.0 20050101000000 text/plain 76\n1 0 x\n", "ARC file"),
        (gzip.compress(b"filedesc://x.arc"), "ARC file"),
        (b"\x28\xb5\x2f\xfd" + bytes(20), "zstd"),
        (b"<html>", "no WARC"),
        (gzip.compress(b"<html>"), "no WARC"),
    ],
)
def test_what_is_no_warc_says_so(tmp_path, data, words):
    with pytest.raises(InputError, match=words):
        read(tmp_path, data)


def capture(block: bytes, limit: int = LIMIT):
    return read_capture(Record({}, block, 0), limit)


def test_an_extra_blank_line_gives_the_same_page():
    """B02: same payload with and without; no byte lost by trusting HTTP's Content-Length."""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 8\r\n\r\n"
    usual, extra = capture(head + b"<p>x</p>"), capture(head + b"\r\n<p>x</p>")
    assert usual.payload == extra.payload == b"<p>x</p>"
    assert (usual.repaired, extra.repaired) == (False, True)
    assert capture(head.replace(b"8", b"3") + b"<p>x</p>").payload == b"<p>x</p>"
    assert capture(head.replace(b"8", b"10") + b"\r\n<p>x</p>").payload == b"\r\n<p>x</p>"  # it is the page's own


def test_encodings_that_writers_left_or_took_off():
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n"
    assert capture(head + b"\r\n" + gzip.compress(b"<p>")).payload == b"<p>"
    assert capture(head + b"\r\n <p>").payload == b" <p>"
    chunks = head + b"Transfer-Encoding: chunked\r\n\r\n"
    packed = gzip.compress(b"<p>")
    assert capture(chunks + b"%x\r\n%s\r\n0\r\n\r\n" % (len(packed), packed)).payload == b"<p>"
    assert capture(chunks + packed).payload == b"<p>"
    assert capture(b"HTTP/1.0 200 OK\nA: b\n\n<p>").payload == b"<p>"
    for block, rule in (
        (b"no http", "protocol"),
        (head + b"\r\n" + gzip.compress(bytes(LIMIT + 1)), "too_large"),
        (head + b"\r\nbinary", "encoding"),
    ):
        with pytest.raises(Unreadable) as caught:
            capture(block)
        assert caught.value.rule == rule
