"""Content-Encodings, decoded as a stream under a limit on what comes out: a small reply can't fill the memory.

Each decoder hands out at most ``room`` bytes and says if there was more.
"""

import io
import zlib
from collections.abc import Callable

import brotli  # type: ignore[import-untyped]
from fastwarc.stream_io import ZstdReader

_STEP = 65_536
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_MAX_WINDOW = 8_388_608  # bytes: what RFC 9659 allows for zstd as a Content-Encoding
ACCEPTED = "gzip, deflate, br, zstd"


class CannotDecode(ValueError):
    """The body is not what its Content-Encoding says, or the encoding is unknown."""


class Limited(ValueError):
    """More came out than is allowed; ``partial`` is what there was room for."""

    def __init__(self, partial: bytes) -> None:
        super().__init__(f"more than {len(partial)} bytes")
        self.partial = partial


def _inflate(data: bytes, room: int, bits: int) -> bytes:
    out = bytearray()
    while data:
        stream = zlib.decompressobj(bits)
        out += stream.decompress(data, room + 1 - len(out))
        if len(out) > room:
            raise Limited(bytes(out[:room]))
        if not stream.eof:
            raise CannotDecode("the compressed body ends too early")
        data = stream.unused_data if bits > 15 else b""  # gzip may have several members
        if not data.startswith(b"\x1f\x8b"):
            break
    return bytes(out)


def _gzip(data: bytes, room: int) -> bytes:
    return _inflate(data, room, 31)


def _deflate(data: bytes, room: int) -> bytes:
    try:
        return _inflate(data, room, 15)
    except zlib.error:  # some servers send bare deflate
        return _inflate(data, room, -15)


def _brotli(data: bytes, room: int) -> bytes:
    stream = brotli.Decompressor()
    out = bytearray(stream.process(data, output_buffer_limit=_STEP))
    while len(out) <= room and not stream.is_finished():
        more = stream.process(b"", output_buffer_limit=_STEP)
        if not more:
            raise CannotDecode("the compressed body ends too early")
        out += more
    if len(out) > room:
        raise Limited(bytes(out[:room]))
    return bytes(out)


def _zstd(data: bytes, room: int) -> bytes:
    if _zstd_window(data) > _MAX_WINDOW:
        raise CannotDecode(f"zstd: a window of more than {_MAX_WINDOW} bytes")
    reader = ZstdReader(io.BytesIO(data))
    out = bytearray()
    while len(out) <= room and (more := reader.read(min(_STEP, room + 1 - len(out)))):
        out += more
    if len(out) > room:
        raise Limited(bytes(out[:room]))
    return bytes(out)


def _zstd_window(data: bytes) -> int:
    """The memory that a frame asks for before it gives a byte (RFC 8878, 3.1.1.1); 0 for what is no frame, or one segment."""
    if len(data) < 6 or not data.startswith(_ZSTD_MAGIC) or data[4] & 0x20:
        return 0
    exponent, mantissa = data[5] >> 3, data[5] & 7
    return (1 << (10 + exponent)) * (8 + mantissa) // 8


DECODERS: dict[str, Callable[[bytes, int], bytes]] = {
    "gzip": _gzip,
    "x-gzip": _gzip,
    "deflate": _deflate,
    "br": _brotli,
    "zstd": _zstd,
}


def decode(body: bytes, encodings: str, room: int) -> bytes:
    """The body without its encodings (the header's value; the last was applied last), at most ``room`` bytes.

    Raises ``Limited`` with the first ``room`` bytes where there are more, ``CannotDecode`` where it can't be read.
    """
    for name in reversed([part.strip().lower() for part in encodings.split(",")]):
        if name in ("", "identity"):
            continue
        if name not in DECODERS:
            raise CannotDecode(f"unknown Content-Encoding {name[:40]!r}")
        try:
            body = DECODERS[name](body, room)
        except (zlib.error, brotli.error, OSError) as error:
            raise CannotDecode(f"{name}: {error}") from error
    if len(body) > room:
        raise Limited(body[:room])
    return body
