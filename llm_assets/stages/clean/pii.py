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


@dataclass(frozen=True)
class Kind:
    """One kind of personal data: what finds candidates, which part of one has to go (None: none), what takes its place."""

    name: str
    pattern: re.Pattern[str]
    part: Callable[[re.Match[str]], tuple[int, int] | None]
    placeholder: str
    hint: re.Pattern[str]  # a text without this can't match: saves the slow pattern; polars reads it too, so no look-around


KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind("key", secrets.PATTERN, secrets.part, "KEY_REMOVED", secrets.HINT),
        Kind("email", identifiers.EMAIL, identifiers.email, "email@example.com", re.compile("@")),
        Kind("iban", identifiers.IBAN, identifiers.iban, "IBAN REMOVED", re.compile(r"[A-Z]{2}\d{2}[ -]?[A-Z0-9]")),
        Kind("card", identifiers.CARD, identifiers.card, "CARD REMOVED", re.compile(r"\d{4}[ -]?\d{4}|\d{4} \d{6}")),
        Kind("ipv6", identifiers.IPV6, identifiers.ipv6, "2001:db8::1", re.compile(r"[23][0-9A-Fa-f]{3}:[0-9A-Fa-f:]")),
        Kind("ipv4", identifiers.IPV4, identifiers.ipv4, "192.0.2.1", re.compile(r"\d\.\d{1,3}\.\d{1,3}\.\d")),
        Kind(
            "phone",
            identifiers.PHONE,
            identifiers.phone,
            "+1 555 0100",
            re.compile(
                r"\+\d|\(\d{3,5}\)|\d{3}[.-]\d{3}[.-]\d{4}|0\d[ .-]\d\d[ .-]|07\d{3}[ -]\d{3}"
                rf"|(?i:{identifiers.CALLED})\s?[.:]{{0,2}}\s{{0,2}}\(?\d"
            ),
        ),
    )
}


def replace_all(texts: pl.Series, kinds: Sequence[str]) -> tuple[pl.Series, pl.Series]:
    """(texts with every find replaced, replacements in each); a text is searched only for the kinds that it has a hint of."""
    counts = pl.Series([0] * texts.len(), dtype=pl.Int32)
    asked = [KINDS[name] for name in KINDS if name in kinds]
    hinted = {kind.name: texts.str.contains(kind.hint.pattern).fill_null(False) for kind in asked}
    rows = (
        pl.DataFrame(hinted).select(pl.any_horizontal(pl.all())).to_series().arg_true()
        if asked
        else pl.Series([], dtype=pl.UInt32)
    )
    if not rows.len():
        return texts, counts
    of_row = pl.DataFrame(hinted)[rows].iter_rows()
    replaced = [
        _replaced(texts[row], [kind for kind, hint in zip(asked, hints, strict=True) if hint])
        for row, hints in zip(rows, of_row, strict=True)
    ]
    changed = texts.clone().scatter(rows, [text for text, _ in replaced])
    return changed, counts.scatter(rows, [len(found) for _, found in replaced])


def replace(text: str, kinds: Sequence[str]) -> tuple[str, list[str]]:
    """The text with every find replaced, and the kinds found, one entry a replacement. Placeholders are not found again."""
    return _replaced(text, [KINDS[name] for name in KINDS if name in kinds and KINDS[name].hint.search(text)])


def _replaced(text: str, kinds: Sequence[Kind]) -> tuple[str, list[str]]:
    found: list[str] = []
    for kind in kinds:
        pieces, copied, at = [], 0, 0
        while match := kind.pattern.search(text, at):
            part = kind.part(match)
            if part is None or text[part[0] : part[1]] == kind.placeholder:
                at = max(match.end(), at + 1)
                continue
            found.append(kind.name)
            pieces += [text[copied : part[0]], kind.placeholder]
            copied = at = part[1]  # what the pattern took beyond the part may hold the next one
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
