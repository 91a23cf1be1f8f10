"""WARC files that others wrote: what is whole is read, what is not is named (case B01)."""

import base64
import gzip
import hashlib

import pytest
from backports import zstd
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


TRAINED = zstd.train_dict([ONE[:300], TWO[:300], THREE[:300]] * 40, 4_096)


def frames(*records: bytes, dictionary: zstd.ZstdDict | None = None, packed: bool = False) -> bytes:
    """One zstd frame a record, with checksums; a dictionary goes first in a skippable frame, itself compressed or not."""
    options = {zstd.CompressionParameter.checksum_flag: 1}
    opening = b""
    if dictionary is not None:
        content = zstd.compress(dictionary.dict_content) if packed else dictionary.dict_content
        opening = b"\x5d\x2a\x4d\x18" + len(content).to_bytes(4, "little") + content
    return opening + b"".join(zstd.compress(part, options=options, zstd_dict=dictionary) for part in records)


ZSTD_FORMS = {
    "a frame a record": frames(ONE, TWO, THREE),
    "one frame": frames(ONE + TWO + THREE),
    "with a dictionary": frames(ONE, TWO, THREE, dictionary=TRAINED),
    "with a compressed dictionary": frames(ONE, TWO, THREE, dictionary=TRAINED, packed=True),
}


@pytest.mark.parametrize("form", ZSTD_FORMS)
def test_zstd_is_read_with_and_without_a_dictionary(tmp_path, form):
    found = read(tmp_path, ZSTD_FORMS[form])
    assert problems(found) == ["", "", ""]
    assert [r.headers["warc-target-uri"] for r in found] == [f"http://a.example/{n}" for n in range(3)]
    cut = read(tmp_path, ZSTD_FORMS[form][:-12])
    assert problems(cut) == (["truncated"] if form == "one frame" else ["", "", "truncated"])  # no block of it is whole


def test_a_zstd_bomb_and_a_broken_dictionary(tmp_path):
    bomb = frames(ONE, response(bytes(50_000_000), "http://a.example/bomb"), TWO)
    assert problems(read(tmp_path, bomb)) == ["", "too_large", ""]
    broken = b"\x5d\x2a\x4d\x18\x10\x00\x00\x00\x37\xa4\x30\xec" + bytes(12) + frames(ONE)
    assert "corrupt" in problems(read(tmp_path, broken))


def test_a_block_is_held_to_the_digest_it_states(tmp_path):
    """sha1 in base 32 as Common Crawl writes it, hex and base 64 as others do; what nobody knows proves nothing."""
    sha1, other = hashlib.sha1(b"x").digest(), hashlib.sha1(b"y").digest()
    spellings = [base64.b32encode, lambda d: d.hex().encode(), base64.b64encode]
    for spell in spellings:
        good, bad = (record(b"x", WARC_Block_Digest=f"sha1:{spell(digest).decode()}") for digest in (sha1, other))
        assert problems(read(tmp_path, members(good, bad, good))) == ["", "corrupt", ""]
    path = tmp_path / "x.warc.gz"
    path.write_bytes(members(bad))
    assert problems(list(read_records(path, LIMIT, verify_digests=False))) == [""]
    assert problems(read(tmp_path, record(b"x", WARC_Block_Digest="blake9:zz"))) == [""]
    assert problems(read(tmp_path, record(b"x", WARC_Block_Digest="sha1:short"))) == [""]


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
        (zstd.compress(b"<html>"), "no WARC"),
        (b"<html>", "no WARC"),
        (gzip.compress(b"<html>"), "no WARC"),
    ],
    ids=["empty", "arc", "arc.gz", "zst", "html", "html.gz"],
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
