"""Whatever library packs, any reads; whatever reads, the same comes out, and damage is told."""

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_assets.core import gzips

BODIES = [b"", b"a", b"<p>words</p>\n" * 5_000, bytes(range(256)) * 40, bytes(3_000_000)]


def unpacked(stream, data, piece, room):
    """What comes out of ``data``, given in pieces, and what is left of it."""
    out, at = b"", 0
    while at < len(data) and not stream.eof:
        part = data[at : at + piece]
        out += stream.decompress(part, room)
        at += len(part) - len(stream.unused_data if stream.eof else stream.unconsumed_tail)
    return out, data[at:], stream.eof


def test_a_member_is_read_by_zlib_and_says_nothing_of_when_it_was_made():
    for body in BODIES:
        assert zlib.decompress(gzips.packed(body), 31) == body
        assert gzips.packed(body)[4:8] == bytes(4)


@given(st.sampled_from(BODIES), st.sampled_from([0, 1, 5, 9]), st.binary(max_size=20), st.integers(300, 70_000))
def test_streams_are_read_as_zlib_reads_them(body, level, after, piece):
    data = zlib.compress(body, level, 31) + after
    expected = unpacked(zlib.decompressobj(31), data, piece, 100_000)
    assert unpacked(gzips.stream(), data, piece, 100_000) == expected == (body, after, True)


@pytest.mark.parametrize("from_end", [2, 6, 40])
def test_damage_is_an_error_and_a_clipped_member_has_no_end(from_end):
    data = bytearray(gzips.packed(b"<p>words</p>\n" * 5_000 + bytes(range(256))))
    assert not unpacked(gzips.stream(), bytes(data[:-from_end]), 65_536, 1 << 20)[2]
    data[-from_end] ^= 1
    with pytest.raises(gzips.Error):
        unpacked(gzips.stream(), bytes(data), 65_536, 1 << 20)
