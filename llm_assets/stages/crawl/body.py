"""The body of an HTTP/1.1 answer, read under three limits: bytes, time, and bytes a second.

A server may send a byte now and then and never end ("slow drip"): after ``after_seconds`` a body must have come at
``bytes_per_second`` on average, and it is given up at the moment when it no longer can.
"""

import asyncio
from dataclasses import dataclass

MAX_HEAD_BYTES = 65_536  # of headers; also of one line among chunks
_STEP = 65_536
_FRAMING = 1_048_576  # bytes of chunk sizes, extensions and trailers beyond the body's own size


class ProtocolError(ValueError):
    """The answer is not HTTP as we can read it."""


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
        self.end = deadline.when()
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
            until = self.started + allowed
            self.deadline.reschedule(until if self.end is None else min(self.end, until))

    def over(self) -> None:
        """The body came in time: what follows has the time that is left."""
        if self.pace.bytes_per_second:
            self.deadline.reschedule(self.end)


async def read_body(
    reader: asyncio.StreamReader, status: int, headers: dict[str, str], limit: int, pace: Pace, deadline: asyncio.Timeout
) -> tuple[bytes, bool, bool]:
    """(bytes, whole, connection reusable); stops within one read past the limit.

    ``deadline`` is moved to where the pace would be missed, and back at the end. Raises ``ProtocolError``, and what the
    connection raises.
    """
    if status in (204, 304):
        return b"", True, True
    reading = _Reading(reader, pace, deadline)
    if "chunked" in headers.get("transfer-encoding", "").lower():
        whole, reusable = await _chunked(reading, limit)
    elif (length := headers.get("content-length", "").partition(",")[0].strip()).isdigit():
        whole = reusable = await _sized(reading, int(length[:30]), limit)
    else:
        whole, reusable = await _to_the_end(reading, limit), False
    reading.over()
    return bytes(reading.data), whole, reusable


async def _sized(reading: _Reading, length: int, limit: int) -> bool:
    data = reading.data
    while len(data) < length and len(data) <= limit:
        if not await reading.more(length - len(data)):
            break
    return len(data) == length <= limit


async def _to_the_end(reading: _Reading, limit: int) -> bool:
    while len(reading.data) <= limit:
        if not await reading.more(_STEP):
            return True
    return False


async def _chunked(reading: _Reading, limit: int) -> tuple[bool, bool]:
    """(whole, connection reusable)."""
    data = reading.data
    try:
        while len(data) <= limit:
            size = int((await reading.line()).partition(b";")[0].strip(), 16)
            if size < 0:
                raise ProtocolError("a chunk of negative size")
            if size == 0:
                while (await reading.line()).strip():  # trailers
                    pass
                return True, True
            end = len(data) + size
            while len(data) < end:
                if not await reading.more(end - len(data)) or len(data) > limit:
                    return False, False
            await reading.line()
    except asyncio.IncompleteReadError:
        return False, False
    except ProtocolError:
        raise
    except (ValueError, asyncio.LimitOverrunError) as error:
        raise ProtocolError(f"bad chunk: {str(error)[:60]}") from error
    return False, False
