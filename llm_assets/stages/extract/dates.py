"""Dates as pages write them → ``YYYY-MM-DD``, or nothing: a date that can be read in two ways is no date."""

import re
from datetime import date, timedelta

# The first page of the web; what is older is an empty clock (1970-01-01) or the date of what the page is about.
EARLIEST = date(1991, 8, 6)
_ZONES = timedelta(days=1)  # the day where it was published may be ahead of UTC

_ISO = re.compile(r"^(\d{4})-(\d{1,2})-(\d{1,2})(?!\d)|^(\d{4})/(\d{1,2})/(\d{1,2})(?!\d)|^(\d{4})(\d{2})(\d{2})(?:T|$)")
_DOTTED = re.compile(r"^(\d{1,2})\.\s?(\d{1,2})\.\s?(\d{4})(?!\d)")
_DAY_FIRST = re.compile(r"^(?:[A-Za-z]{3,9},?\s+)?(\d{1,2})(?:st|nd|rd|th)?[\s-]+([A-Za-z]{3,9})\.?,?[\s-]+(\d{4})(?!\d)")
_MONTH_FIRST = re.compile(r"^(?:[A-Za-z]{3,9},\s+)?([A-Za-z]{3,9})\.?\s+(\d{1,2})(?:st|nd|rd|th)?,?\s+(\d{4})(?!\d)")
_CJK = re.compile(r"^(\d{4})\s?[年년]\s?(\d{1,2})\s?[月월]\s?(\d{1,2})\s?[日일]")
_MONTH_NAMES = "january february march april may june july august september october november december"
_MONTHS = {name: number for number, names in enumerate(_MONTH_NAMES.split(), 1) for name in (names, names[:3], names[:4])}


def full_date(said: str, fetched_at: str = "") -> str:
    """The day that ``said`` names; "" if it is partial, ambiguous (10/08/2026), impossible, before the web or in the future.

    ``fetched_at``: ISO time of the capture, beyond which nothing is published; "" checks no future. The day is taken as it is
    written, in whatever time zone.
    """
    found = _read(said.strip())
    if found is None or found < EARLIEST:
        return ""
    if fetched_at and found > date.fromisoformat(fetched_at[:10]) + _ZONES:
        return ""
    return found.isoformat()


def _read(said: str) -> date | None:
    iso = _ISO.match(said) or _CJK.match(said)
    if iso:
        return _date(*(part for part in iso.groups() if part is not None))
    dotted = _DOTTED.match(said)
    if dotted:
        return _date(dotted[3], dotted[2], dotted[1])
    day_first = _DAY_FIRST.match(said)
    if day_first:
        return _date(day_first[3], _MONTHS.get(day_first[2].lower(), 0), day_first[1])
    month_first = _MONTH_FIRST.match(said)
    return _date(month_first[3], _MONTHS.get(month_first[1].lower(), 0), month_first[2]) if month_first else None


def _date(year: str, month: str | int, day: str) -> date | None:
    try:
        return date(int(year), int(month), int(day))
    except ValueError:
        return None
