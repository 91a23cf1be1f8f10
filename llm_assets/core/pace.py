"""How fast something goes and when it will be done, from how far it was and when: what a person asks of a long step.

The clock is the caller's. What a resumed run had done before it started counts as done and not for its speed.
"""

from dataclasses import dataclass

_DAY, _HOUR, _MINUTE = 86_400, 3_600, 60
_PER = ((1, "second"), (_MINUTE, "minute"), (_HOUR, "hour"))


@dataclass(frozen=True)
class Pace:
    """``per_second`` in units, and ``seconds_left``; None where nothing can be said yet."""

    per_second: float | None
    seconds_left: float | None


class Pacer:
    """Watches one count after the other: another unit, or a smaller number, is a new one."""

    def __init__(self) -> None:
        self._unit = ""
        self._first: tuple[float, int] = (0.0, 0)
        self._last = 0

    def at(self, now: float, done: int, total: int | None, unit: str) -> Pace:
        """The pace since this count was first seen; ``now`` in seconds of any clock that never goes back."""
        if unit != self._unit or done < self._last:
            self._unit, self._first = unit, (now, done)
        self._last = done
        seconds, made = now - self._first[0], done - self._first[1]
        if seconds <= 0 or made <= 0:
            return Pace(None, None)
        speed = made / seconds
        return Pace(speed, max(total - done, 0) / speed if total else None)


def said(done: int, total: int | None, unit: str, pace: Pace) -> str:
    """``12 of 40 shards (30 %), 2.5 a second, about 11 s left``."""
    parts = [f"{done:,} of {total:,} {unit} ({done / total:.0%})" if total else f"{done:,} {unit}"]
    if pace.per_second is not None:
        parts.append(_speed(pace.per_second))
    if pace.seconds_left is not None and done < (total or 0):
        parts.append(f"about {duration(pace.seconds_left)} left")
    return ", ".join(parts)


def duration(seconds: float) -> str:
    """Two units at most: ``4 s``, ``3 min 20 s``, ``5 h 10 min``, ``2 d 3 h``."""
    whole = round(seconds)
    for size, name, small, small_name in ((_DAY, "d", _HOUR, "h"), (_HOUR, "h", _MINUTE, "min"), (_MINUTE, "min", 1, "s")):
        if whole >= size:
            rest = whole % size // small
            return f"{whole // size} {name}" + (f" {rest} {small_name}" if rest else "")
    return f"{whole} s"


def _speed(per_second: float) -> str:
    size, name = next((pair for pair in _PER if per_second * pair[0] >= 1), _PER[-1])
    each = per_second * size
    return f"{each:,.3g} a {name}" if each < 1000 else f"{each:,.0f} a {name}"
