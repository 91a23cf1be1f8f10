"""Personal data: found by shape and checksum, replaced by a fixed placeholder of a reserved range.

A replacement depends on nothing but the text itself, so the same page gives the same text in any order. Shapes alone
mistake versions and timestamps for addresses and cards (case B13), so each kind has a second condition.
Sources: RFC 2606, 5737 and 3849 (reserved names and addresses), ISO/IEC 7812 (Luhn, issuer prefixes), ISO 13616 (IBAN);
keys and tokens: ``secrets``.
"""

import ipaddress
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import polars as pl

from llm_assets.stages.clean import secrets


@dataclass(frozen=True)
class Kind:
    """One kind of personal data: a shape, a second condition, and what takes its place."""

    name: str
    pattern: re.Pattern[str]
    holds: Callable[[re.Match[str]], bool]
    placeholder: str
    hint: re.Pattern[str]  # a text without this can't match: saves the slow pattern


def luhn(digits: str) -> bool:
    """The checksum of ISO/IEC 7812-1, annex B."""
    total = 0
    for position, digit in enumerate(reversed(digits)):
        value = int(digit) * (2 if position % 2 else 1)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


# Issuer prefixes in use (ISO/IEC 7812): a timestamp in milliseconds starts with 1 and is none.
_ISSUERS = re.compile(
    r"^(?:4\d{12}(?:\d{3}){0,2}|5[1-5]\d{14}|2(?:22[1-9]|2[3-9]\d|[3-6]\d\d|7[01]\d|720)\d{12}|3[47]\d{13}"
    r"|6(?:011|5\d\d)\d{12})$"
)
# Words before a dotted number that make it a version or a clause.
_NUMBERED = re.compile(r"(?:version|release|build|clause|section|chapter|article|part|rev|ver|v)[\s.:]*$", re.IGNORECASE)


# What stands before the host in an address: user and password are no mailbox.
_USER_OF_URL = re.compile(r"://[^\s/@]*$")


def _card(match: re.Match[str]) -> bool:
    digits = re.sub(r"\D", "", match.group())
    return bool(_ISSUERS.match(digits)) and luhn(digits)


def _ipv4(match: re.Match[str]) -> bool:
    before = match.string[max(0, match.start() - 12) : match.start()]
    if (before.endswith("/") and not before.endswith("://")) or _NUMBERED.search(before):
        return False
    try:
        return ipaddress.IPv4Address(match.group()).is_global
    except ValueError:
        return False


def _ipv6(match: re.Match[str]) -> bool:
    try:
        address = ipaddress.IPv6Address(match.group())
    except ValueError:
        return False
    return address.is_global and match.group().count(":") >= 3


def _iban(match: re.Match[str]) -> bool:
    plain = match.group().replace(" ", "").upper()
    if not 15 <= len(plain) <= 34:
        return False
    turned = plain[4:] + plain[:4]
    return int("".join(str(int(char, 36)) for char in turned)) % 97 == 1


def _phone(match: re.Match[str]) -> bool:
    digits = re.sub(r"\D", "", match["value"] or match.group())
    return 8 <= len(digits) <= 15  # E.164 allows 15 at most


def _email(match: re.Match[str]) -> bool:
    before = match.string[max(0, match.start() - 100) : match.start()]
    return not _USER_OF_URL.search(before)


_CALLED = (
    r"\b(?:tel|telephone|tél|téléphone|telefon|teléfono|phone|call|ring|mobile|cell|handy|fax|hotline|office|portable|whatsapp)"
)
KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind("key", secrets.PATTERN, secrets.holds, "KEY_REMOVED", secrets.HINT),
        Kind(
            "email",
            re.compile(r"\b[A-Za-z0-9._%+'-]{1,64}@(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z]{2,24}\b"),
            _email,
            "email@example.com",
            re.compile("@"),
        ),
        Kind(
            "iban",
            re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b"),
            _iban,
            "IBAN REMOVED",
            re.compile(r"[A-Z]{2}\d{2}"),
        ),
        Kind(
            "card",
            re.compile(r"(?<![\d.=/-])(?:\d[ -]?){12,18}\d(?![\d.]*\d)"),
            _card,
            "CARD REMOVED",
            re.compile(r"\d[ -]?\d[ -]?\d[ -]?\d"),
        ),
        Kind(
            "ipv6",
            re.compile(r"(?<![\w:.])(?:[0-9A-Fa-f]{0,4}:){2,7}[0-9A-Fa-f]{0,4}(?![\w:])"),
            _ipv6,
            "2001:db8::1",
            re.compile(r":[0-9A-Fa-f]*:"),
        ),
        Kind(
            "ipv4",
            re.compile(r"(?<![\d.\w])(?:\d{1,3}\.){3}\d{1,3}(?![\d]|\.\d)"),
            _ipv4,
            "192.0.2.1",
            re.compile(r"\d\.\d{1,3}\.\d{1,3}\.\d"),
        ),
        Kind(
            "phone",
            re.compile(
                r"(?<![\w+.])(?:\+\d{1,3}[ .-]?(?:\(\d{1,4}\)[ .-]?)?\d{1,4}(?:[ .-]?\d{2,4}){2,4}"
                r"|\(\d{3}\) ?\d{3}[ .-]\d{4}|[2-9]\d\d-[2-9]\d\d-\d{4})(?!-?\d)"
                # A number in national form counts after a word that announces it.
                rf"|(?i:{_CALLED})\s?[.:]?\s{{0,2}}(?P<value>\(?0\d{{1,4}}\)?(?:[ ./-]?\d{{2,4}}){{2,4}})(?!\d)"
            ),
            _phone,
            "+1 555 0100",
            re.compile(rf"\+\d|\(\d{{3}}\)|\d{{3}}-\d{{3}}-\d{{4}}|(?i:{_CALLED})\s?[.:]?\s{{0,2}}\(?0\d"),
        ),
    )
}


def replace_all(texts: pl.Series, kinds: Sequence[str]) -> tuple[pl.Series, pl.Series]:
    """(texts with every find replaced, replacements in each); only texts with a hint of something are looked through."""
    counts = pl.Series([0] * texts.len(), dtype=pl.Int32)
    if not kinds or not texts.len():
        return texts, counts
    hints = "|".join(f"(?:{KINDS[name].hint.pattern})" for name in KINDS if name in kinds)
    rows = texts.str.contains(hints).fill_null(False).arg_true()
    replaced = [replace(texts[row], kinds) for row in rows]
    if not replaced:
        return texts, counts
    changed = texts.clone().scatter(rows, [text for text, _ in replaced])
    return changed, counts.scatter(rows, [len(found) for _, found in replaced])


def replace(text: str, kinds: Sequence[str]) -> tuple[str, list[str]]:
    """The text with every find replaced, and the kinds found, one entry a replacement. Placeholders are not found again."""
    found: list[str] = []
    for kind in (KINDS[name] for name in KINDS if name in kinds):
        if not kind.hint.search(text):
            continue

        def swap(match: re.Match[str], kind: Kind = kind) -> str:
            if match.group() == kind.placeholder or not kind.holds(match):
                return match.group()
            found.append(kind.name)
            part = next((match[name] for name in secrets.PARTS if name in match.groupdict() and match[name] is not None), None)
            return kind.placeholder if part is None else match.group().replace(part, kind.placeholder)

        text = kind.pattern.sub(swap, text)
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
