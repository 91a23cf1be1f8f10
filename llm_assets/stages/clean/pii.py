"""Personal data: found by shape and a second condition, replaced by a fixed placeholder of a reserved range.

A replacement depends on nothing but the text itself, so the same page gives the same text in any order. Shapes alone
mistake versions and timestamps for addresses and cards (case B13): what a shape must fulfil beside is in ``identifiers``
and, for keys and tokens, in ``secrets``. Placeholders: RFC 2606, 5737 and 3849 (reserved names and addresses), and a number
of the range 555-0100 to 0199 that North America keeps for fiction.
"""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import polars as pl

from llm_assets.stages.clean import identifiers, secrets

Span = tuple[int, int]
_MARK = "\x00"  # in no text that was standardised


@dataclass(frozen=True)
class Kind:
    """One kind of personal data: what finds candidates, which part of one has to go (None: none), what takes its place.

    ``hint`` is in every candidate, at most ``reach`` characters from its beginning: the slow pattern is tried nowhere else.
    Polars reads it too, so it has no look-around.
    """

    name: str
    pattern: re.Pattern[str]
    part: Callable[[re.Match[str]], Span | None]
    placeholder: str
    hint: re.Pattern[str]
    reach: int = 0


KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind("key", secrets.PATTERN, secrets.part, "KEY_REMOVED", secrets.HINT, secrets.REACH),
        Kind("email", identifiers.EMAIL, identifiers.email, "email@example.com", re.compile("@"), identifiers.MAILBOX_CHARS),
        Kind("iban", identifiers.IBAN, identifiers.iban, "IBAN REMOVED", re.compile(r"[A-Z]{2}\d{2}[ -]?[A-Z0-9]")),
        Kind("card", identifiers.CARD, identifiers.card, "CARD REMOVED", re.compile(r"\d{4}[ -]?\d{4}|\d{4} \d{6}")),
        Kind("ipv6", identifiers.IPV6, identifiers.ipv6, "2001:db8::1", re.compile(r"[23][0-9A-Fa-f]{3}:[0-9A-Fa-f:]")),
        Kind("ipv4", identifiers.IPV4, identifiers.ipv4, "192.0.2.1", re.compile(r"\d\.\d{1,3}\.\d{1,3}\.\d"), 2),
        Kind(
            "phone",
            identifiers.PHONE,
            identifiers.phone,
            "+1 555 0100",
            re.compile(
                r"\+\d|\(\d{3,5}\)|\d{3}[.-]\d{3}[.-]\d{4}|0\d[ .-]\d\d[ .-]|07\d{3}[ -]\d{3}"
                rf"|(?i:{identifiers.CALLED})\s?[.:]{{0,2}}\s{{0,2}}\(?\d"
            ),
            2,  # 1- before an area code
        ),
    )
}


def replace_all(texts: pl.Series, kinds: Sequence[str]) -> tuple[pl.Series, pl.Series]:
    """(texts with every find replaced, replacements in each); a text is searched only for the kinds that it has a hint of."""
    counts = pl.Series([0] * texts.len(), dtype=pl.Int32)
    hints: dict[int, list[tuple[Kind, list[Span]]]] = {}
    for kind in (KINDS[name] for name in KINDS if name in kinds):
        rows = texts.str.contains(kind.hint.pattern).fill_null(False).arg_true()
        found = texts[rows]
        marked = found.str.replace_all(kind.hint.pattern, f"{_MARK}${{0}}{_MARK}")
        for row, text, with_marks in zip(rows, found, marked, strict=True):
            spans = _hints(kind, text) if _MARK in text else _marked(with_marks)
            hints.setdefault(row, []).append((kind, spans))
    if not hints:
        return texts, counts
    searched = sorted(hints)
    replaced = [_replaced(texts[row], hints[row]) for row in searched]
    changed = texts.clone().scatter(searched, [text for text, _ in replaced])
    return changed, counts.scatter(searched, [len(kinds_found) for _, kinds_found in replaced])


def replace(text: str, kinds: Sequence[str]) -> tuple[str, list[str]]:
    """The text with every find replaced, and the kinds found, one entry a replacement. Placeholders are not found again."""
    hints = ((KINDS[name], _hints(KINDS[name], text)) for name in KINDS if name in kinds)
    return _replaced(text, [(kind, spans) for kind, spans in hints if spans])


def _hints(kind: Kind, text: str) -> list[Span]:
    return [match.span() for match in kind.hint.finditer(text)]


def _marked(text: str) -> list[Span]:
    """Where hints stand in a text, which has marks before and behind each and no others."""
    spans: list[Span] = []
    at = 0
    for number, piece in enumerate(text.split(_MARK)):
        if number % 2:
            spans.append((at, at + len(piece)))
        at += len(piece)
    return spans


def _replaced(text: str, hints: Sequence[tuple[Kind, list[Span]]]) -> tuple[str, list[str]]:
    found: list[str] = []
    original = text
    for kind, spans in hints:
        if text is not original:
            spans = _hints(kind, text)
        pieces, copied, at = [], 0, 0
        for first, end in spans:
            start = max(at, first - kind.reach)
            while start <= end:
                match = kind.pattern.match(text, start)
                if match is None:
                    start += 1
                    continue
                part = kind.part(match)
                if part is None or text[part[0] : part[1]] == kind.placeholder:
                    at = start = max(match.end(), start + 1)
                    continue
                found.append(kind.name)
                pieces += [text[copied : part[0]], kind.placeholder]
                copied = at = start = part[1]  # what the pattern took beyond the part may hold the next one
        if pieces:
            text = "".join([*pieces, text[copied:]])
    return text, found


def score(rows: Sequence[tuple[str, str, str]], kinds: Sequence[str]) -> dict[str, dict[str, float]]:
    """For each kind ``precision``, ``recall`` and ``rows`` on labelled rows ``(text, personal, kind)``.

    ``personal`` is the part to go, empty if none is. A row counts as found if that part and nothing
    else is replaced; any other replacement, in any row, is a false alarm of the kind that did it. Without rows a share is 1.
    """
    hits, rows_of, alarms = Counter[str](), Counter[str](), Counter[str]()
    for text, personal, kind in rows:
        after, found = replace(text, kinds)
        seen = Counter(found)
        if personal and kind in kinds:
            rows_of[kind] += 1
            if seen[kind] and after == text.replace(personal, KINDS[kind].placeholder):
                hits[kind] += 1
                seen[kind] -= 1
        alarms.update(seen)
    return {
        kind: {
            "precision": hits[kind] / (hits[kind] + alarms[kind]) if hits[kind] + alarms[kind] else 1.0,
            "recall": hits[kind] / rows_of[kind] if rows_of[kind] else 1.0,
            "rows": float(rows_of[kind]),
        }
        for kind in kinds
    }
