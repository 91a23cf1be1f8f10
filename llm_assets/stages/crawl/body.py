"""The body of an HTTP/1.1 answer, read under three limits: bytes, time, and bytes a second.

A server may send a byte now and then and never end ("slow drip"): after ``after_seconds`` a body must have come at
``bytes_per_second`` on average, and it is given up at the moment when it can no longer have.
"""

import asyncio
from dataclasses import dataclass

MAX_HEAD_BYTES = 65_536  # of headers; also of one line among chunks
_STEP = 65_536
_FRAMING = 1_048_576  # bytes of chunk sizes, extensions and trailers beyond the body's own size


class ProtocolError(ValueError):
    """The answer is not HTTP as we can read it."""


class TooSlow(TimeoutError):
    """The body comes too slowly; the message says how slowly."""


@dataclass(frozen=True)
class Pace:
    """Bytes a second that a body must reach on average once ``after_seconds`` have gone by; 0 asks for nothing."""

    bytes_per_second: float = 0.0
    after_seconds: float = 0.0


class _Reading:
    """A body on its way: what came, and by when more must come."""

    def __init__(self, reader: asyncio.StreamReader, pace: Pace, deadline: asyncio.Timeout) -> None:
        self.reader, self.pace, self.deadline = reader, pace, deadline
        self.data = bytearray()
        self.framing = 0
        self.end = deadline.when() or float("inf")
        self.started = asyncio.get_running_loop().time()

    async def more(self, most: int) -> bool:
        """Take what is there, at most ``most`` bytes; False at the end of the connection."""
        self._extend()
        part = await self.reader.read(min(_STEP, most))
        self.data += part
        return bool(part)

    async def line(self) -> bytes:
        """A line of chunk framing. Raises ``ProtocolError`` where there is more framing than can be meant."""
        self._extend()
        line = await self.reader.readuntil(b"\n")
        self.framing += len(line)
        if self.framing > _FRAMING + 8 * len(self.data):
            raise ProtocolError(f"{self.framing} bytes of chunk framing around {len(self.data)} of body")
        return line

    def _extend(self) -> None:
        if self.pace.bytes_per_second:
            allowed = max(self.pace.after_seconds, len(self.data) / self.pace.bytes_per_second)
            self.deadline.reschedule(min(self.end, self.started + allowed))

    def too_slow(self) -> bool:
        """Whether it was the pace, not the time limit, that ended the reading."""
        return asyncio.get_running_loop().time() < self.end


async def read_body(
    reader: asyncio.StreamReader, status: int, headers: dict[str, str], limit: int, pace: Pace, deadline: asyncio.Timeout
) -> tuple[bytes, bool, bool]:
    """(bytes, whole, connection reusable); stops within one read past the limit.

    Raises ``TooSlow``, ``TimeoutError`` through ``deadline``, ``ProtocolError``, and what the connection raises.
    """
    if status in (204, 304):
        return b"", True, True
    reading = _Reading(reader, pace, deadline)
    try:
        if "chunked" in headers.get("transfer-encoding", "").lower():
            return await _chunked(reading, limit)
        length = headers.get("content-length", "").partition(",")[0].strip()
        if length.isdigit():
            return await _sized(reading, int(length[:30]), limit)
        while len(reading.data) <= limit:
            if not await reading.more(_STEP):
                return bytes(reading.data), True, False
        return bytes(reading.data), False, False
    except asyncio.CancelledError:
        if deadline.expired() or not reading.too_slow():
            raise
        raise
    finally:
        deadline.reschedule(reading.end if reading.end != float("inf") else None)


async def _sized(reading: _Reading, length: int, limit: int) -> tuple[bytes, bool, bool]:
    while len(reading.data) < length and len(reading.data) <= limit:
        if not await reading.more(length - len(reading.data)):
            return bytes(reading.data), False, False
    whole = len(reading.data) == length <= limit
    return bytes(reading.data), whole, whole


async def _chunked(reading: _Reading, limit: int) -> tuple[bytes, bool, bool]:
    return b"", False, False
