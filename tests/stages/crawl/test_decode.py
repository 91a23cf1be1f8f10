"""Content-Encodings under a limit on decoded bytes (case B07)."""

import gzip
import io
import zlib

import brotli
import pytest
from fastwarc.stream_io import ZstdWriter

from llm_assets.stages.crawl.decode import CannotDecode, Limited, decode

TEXT = b"<p>Some text of some length.</p>" * 40


def zstd(data: bytes) -> bytes:
    out = io.BytesIO()
    writer = ZstdWriter(out)
    writer.write(data)
    writer.close()
    return out.getvalue()


ENCODE = {"gzip": gzip.compress, "deflate": zlib.compress, "br": brotli.compress, "zstd": zstd, "x-gzip": gzip.compress}


@pytest.mark.parametrize("name", ENCODE)
def test_decodes_and_says_when_it_cannot(name):
    packed = ENCODE[name](TEXT)
    assert decode(packed, name.upper(), 10_000) == TEXT
    for broken in (packed[: len(packed) // 2], b"no such thing", b""):
        with pytest.raises(CannotDecode):
            decode(broken if broken or name == "br" else b"\x00", name, 10_000)


@pytest.mark.parametrize("name", ENCODE)
def test_a_bomb_is_cut_at_the_limit(name):
    """B07: 50 MB of zeros, under 50 kB on the wire, give the limit and not a byte more."""
    bomb = ENCODE[name](bytes(50_000_000))
    assert len(bomb) < 60_000
    with pytest.raises(Limited) as caught:
        decode(bomb, name, 1_000_000)
    assert len(caught.value.partial) == 1_000_000


def test_a_bomb_in_a_bomb():
    with pytest.raises(Limited):
        decode(gzip.compress(gzip.compress(bytes(5_000_000))), "gzip, gzip", 100_000)


def test_a_zstd_frame_that_asks_for_much_memory_is_refused_unread():
    """RFC 9659: a window of at most 8 MB; a frame of a few bytes may ask for gigabytes."""
    frame = b"\x28\xb5\x2f\xfd" + b"\x00" + bytes([31 << 3]) + b"\x01\x00\x00"
    with pytest.raises(CannotDecode, match="window"):
        decode(frame, "zstd", 10_000)


def test_bare_deflate_several_members_and_plain():
    bare = zlib.compressobj(wbits=-15)
    assert decode(bare.compress(TEXT) + bare.flush(), "deflate", 10_000) == TEXT
    assert decode(gzip.compress(TEXT) + gzip.compress(b"more"), "gzip", 10_000) == TEXT + b"more"
    assert decode(TEXT, "identity", 10_000) == decode(TEXT, "", 10_000) == TEXT
    with pytest.raises(Limited):
        decode(TEXT, "", 10)
    with pytest.raises(CannotDecode, match="unknown"):
        decode(TEXT, "sdch", 10_000)
