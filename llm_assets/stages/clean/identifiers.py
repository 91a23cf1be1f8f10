"""What makes a number or a name with an @ personal data: shapes with a checksum, a registry, or what stands beside them.

Each kind has a pattern that finds candidates, and a function that says which part of a candidate is to go, or None.
Sources: RFC 5321 and the public suffix list (mail), RFC 4291 and the registries of ``ipaddress`` (IP), ISO/IEC 7812 (Luhn,
issuers), ISO 13616 (lengths by country, modulus 97), ITU-T E.164 (country codes), the North American numbering plan (phones).
"""

import ipaddress
import re
from functools import cache

from llm_assets.core.domains import public_suffixes

Span = tuple[int, int]

EMAIL = re.compile(
    r"(?<!\w)\w(?:[\w.%+'-]{0,63})@(?P<domain>(?:[^\W_](?:(?:[^\W_]|-){0,61}[^\W_])?\.)+)"
    r"(?P<top>[^\W\d_]{2,24}|xn--[A-Za-z0-9-]{2,59})(?![\w@-])"
)
MAILBOX_CHARS = 64  # before its @, at most
_USER_OF_URL = re.compile(r"://[^\s/@]*$")  # before the host of an address: user and password are no mailbox
_SCALE = re.compile(r"^\d+x\.$|\.\d+x\.$")  # icon@2x.png


@cache
def top_level_domains() -> frozenset[str]:
    """The top-level domains of the public suffix list that ``tldextract`` ships, in lower case and both spellings."""
    known = {suffix.rpartition(".")[2] for suffix in public_suffixes()}
    return frozenset(known | {name.encode("idna").decode() for name in known if not name.isascii()})


def email(match: re.Match[str]) -> Span | None:
    """A mailbox ends in a real top-level domain: ``pkg@2x.png``, ``A@B.transpose`` and ``git@host.org:a/b`` are none."""
    text, start, end = match.string, match.start(), match.end()
    if match["top"].lower() not in top_level_domains() or _SCALE.search(match["domain"]):
        return None
    remote = text.startswith("git@", start) or re.match(r":[\w.~-]*/", text[end : end + 64])
    return None if remote or _USER_OF_URL.search(text[max(0, start - 100) : start]) else (start, end)


IPV4 = re.compile(
    r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?!\w|\.\d|\.in-addr|[.-](?:tar|zip|whl|rc\d*|alpha|beta|dev|post|deb|rpm)\b)"
)
# Words before a dotted number that make it a version or a clause, and a comparison of versions.
_NUMBERED = re.compile(
    r"(?:\b(?:versions?|release|build|clause|sections?|chapters?|articles?|part|rules?|rev|ver|oid|firmware|driver|update|patch|v)"
    r"[\s.:\"']*|[<>=~!]=\s*|(?<!:/)/|[A-Za-z0-9]-)$",
    re.IGNORECASE,
)
_NETWORKED = re.compile(r"ip|addr|host|server|dns|resolver|ping|client|from|ssh|://|@|\[|\(", re.IGNORECASE)


def ipv4(match: re.Match[str]) -> Span | None:
    """A public address. Four small numbers are a version or a clause more often, unless something says network."""
    before = match.string[max(0, match.start() - 20) : match.start()]
    try:
        address = ipaddress.IPv4Address(match.group())
    except ValueError:
        return None
    small = max(address.packed) < 32 and len(set(address.packed)) > 1  # 1.1.1.1 and 8.8.8.8 are resolvers
    if not address.is_global or address.is_multicast or _NUMBERED.search(before) or (small and not _NETWORKED.search(before)):
        return None
    return match.span()


_H = "[0-9A-Fa-f]{1,4}"
# All public addresses begin with 2 or 3 (RFC 4291, 2000::/3): times, scopes of C++ and MAC addresses don't.
IPV6 = re.compile(
    rf"(?<![\w:.])(?=[23][0-9A-Fa-f]{{3}}:)(?:(?:{_H}:){{7}}{_H}|(?:{_H}:){{1,7}}(?::{_H}){{1,6}}|(?:{_H}:){{1,7}}:)"
    r"(?!\w|:[0-9A-Fa-f:])"
)


def ipv6(match: re.Match[str]) -> Span | None:
    """A public address."""
    try:
        return match.span() if ipaddress.IPv6Address(match.group()).is_global else None
    except ValueError:
        return None


CARD = re.compile(
    r"(?<![\w./-])(?:(?P<fours>\d{4}(?P<a>[ -]?)\d{4}(?P=a)\d{4}(?P=a)\d{4})(?:(?P=a)\d{3})?"
    r"|3[47]\d\d(?P<b>[ -]?)\d{6}(?P=b)\d{5}|3[0689]\d\d(?P<c>[ -]?)\d{6}(?P=c)\d{4}|4\d{12})(?!\w|[.-]\d)"
)
_ISSUERS = re.compile(
    r"^(?:4(?:\d{12}|\d{15}|\d{18})"  # Visa
    r"|(?:5[1-5]\d\d|222[1-9]|22[3-9]\d|2[3-6]\d\d|27[01]\d|2720)\d{12}"  # Mastercard
    r"|3[47]\d{13}|3(?:0[0-5]|[689]\d)\d{11}|35(?:2[89]|[3-8]\d)\d{12}"  # American Express, Diners, JCB
    r"|(?:6011|64[4-9]\d|65\d\d|62\d\d)\d{12}(?:\d{3})?"  # Discover, UnionPay
    r"|(?:5018|5020|5038|5893|6304|6759|676[1-3])\d{12})$"  # Maestro
)


def luhn(digits: str) -> bool:
    """The checksum of ISO/IEC 7812-1, annex B."""
    total = 0
    for position, digit in enumerate(reversed(digits)):
        value = int(digit) * (2 if position % 2 else 1)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


def card(match: re.Match[str]) -> Span | None:
    """A number of an issuer with its checksum; what follows the sixteenth digit may be the number on the back."""
    for start, end in (match.span(), match.span("fours")):
        digits = re.sub(r"\D", "", match.string[start:end]) if start >= 0 else ""
        if _ISSUERS.match(digits) and luhn(digits):
            return start, end
    return None


IBAN = re.compile(r"(?<![A-Za-z0-9])[A-Z]{2}\d\d(?:[ -]?[A-Z0-9]){11,40}")
_IBAN_CHARS = {
    length: countries.split()
    for length, countries in {
        15: "NO",
        16: "BE",
        18: "DK FK FI FO GL NL SD",
        19: "MK SI",
        20: "AT BA EE KZ LT LU MN XK",
        21: "CH HR LI LV",
        22: "BG BH CR DE GB GE IE ME RS VA",
        23: "AE GI IL IQ OM SO TL",
        24: "AD CZ ES MD PK RO SA SE SK TN VG",
        25: "LY PT ST",
        26: "IS TR",
        27: "BI DJ FR GR IT MC MR SM",
        28: "AL AZ BY CY DO GT HN HU LB NI PL SV",
        29: "BR EG PS QA UA",
        30: "JO KW MU YE",
        31: "MT SC",
        32: "LC",
        33: "RU",
    }.items()
}
_IBAN_LENGTH = {country: length for length, countries in _IBAN_CHARS.items() for country in countries}


def iban(match: re.Match[str]) -> Span | None:
    """As many characters as the country's numbers have, with the checksum; words in capitals may follow."""
    text, length = match.group(), _IBAN_LENGTH.get(match.group()[:2], 0)
    places = [place for place, char in enumerate(text) if char.isalnum()][:length]
    if not length or len(places) < length:
        return None
    end = match.start() + places[-1] + 1
    plain = "".join(text[place] for place in places)
    if match.string[end : end + 1].isalnum() or int("".join(str(int(char, 36)) for char in plain[4:] + plain[:4])) % 97 != 1:
        return None
    return match.start(), end


_ANNOUNCED = (
    r"(?:tel[eé]?(?:ph?on[eo]?|f[oó]n[eo]?|fax)?|t[eé]l(?:[eé]phone)?|fon|phone|mobile?|m[oó]vil|cell(?:ulare)?|fax"
    r"|whatsapp|hotline)"
)
CALLED = rf"(?:{_ANNOUNCED}|call|ring|dial|handy|office|portable|appelez(?: le)?)"
# Groups of digits are atomic, (?>…): else a long row of digits is cut up in every way before it is given up.
PHONE = re.compile(
    r"(?<![\w+.])(?:"
    r"(?P<world>\+\d{1,3}[ .-]?(?:\(\d{1,4}\)[ .-]?)?\d{1,5}(?>(?:[ .-]?\d{1,5}){1,6}))"
    # North America, France, mobiles and area codes of the United Kingdom: forms that hardly anything else has.
    r"|(?:1[ .-])?\([2-9]\d\d\) ?[2-9]\d\d[ .-]?\d{4}|(?:1[.-])?[2-9]\d\d(?P<a>[.-])[2-9]\d\d(?P=a)\d{4}"
    r"|(?<!\d{4}[ .-])0[1-9](?P<b>[ .-])\d\d(?:(?P=b)\d\d){3}|07\d{3}[ -]\d{3}[ -]?\d{3}|\(0\d{2,4}\)[ -]?\d{3,4}[ -]?\d{3,4}"
    # A number in national form counts after a word that announces it.
    rf"|(?i:{CALLED})\s?[.:]{{0,2}}\s{{0,2}}(?P<local>\(?0\d{{1,4}}\)?(?>(?:[ ./-]{{0,2}}\d{{1,8}}){{1,6}}))"
    rf"|(?i:{_ANNOUNCED})\s?[.:]{{1,2}}\s{{0,2}}(?P<plain>\(?[1-9]\d{{0,4}}\)?(?>(?:[ ./-]{{0,2}}\d{{1,8}}){{1,4}}))"
    r")(?![\d]|-\d|\.\d)"
)
# ITU-T E.164, the list of assigned country codes (2016, with amendments); 1 is apart.
_COUNTRY = re.compile(
    r"7|2(?:[07]|1[1-38]|16|[2346]\d|5[0-8]|9[01789])|3(?:[0-469]|5\d|7\d|8[0-35-79])|4(?:[013-9]|2[013])"
    r"|5(?:[1-8]|0\d|9\d)|6(?:[0-6]|7[02-9]|8[0-35-9]|9[0-2])|8(?:[1246]|0[08]|5[02356]|7[08]|8[0-36])"
    r"|9(?:[0-58]|6[0-8]|7[0-79]|9[2-68])"
)
_NORTH_AMERICA = re.compile(r"1[2-9]\d\d[2-9]\d{6}")
_TRUNK_STAYS = ("39", "378", "225", "229", "241", "242")  # numbers there may begin with 0
_AMOUNT = re.compile(
    r"\s?(?:%|‰|€|\$|£|percent|per cent|dollars|euros|people|inhabitants|more|less|km|kg|units)", re.IGNORECASE
)


def phone(match: re.Match[str]) -> Span | None:
    """A number of 8 to 15 digits (7 where it is announced); one in international form begins with a country's code."""
    name = next((name for name in ("local", "plain", "world") if match[name] is not None), "")
    start, end = match.span(name) if name else match.span()
    written = match.string[start:end]
    if re.fullmatch(r"\+\d{4,}\.\d+", written):  # a number with decimals; +1.3035550117 is how registries write phones
        return None
    digits = re.sub(r"\D", "", written.replace("(0)", "") if name == "world" else written)
    if not (7 if name in ("local", "plain") else 8) <= len(digits) <= 15 or (
        name == "world" and not _international(digits, match.string[end : end + 16])
    ):
        return None
    return start, end


def _international(digits: str, after: str) -> bool:
    if digits.startswith("1"):
        return _NORTH_AMERICA.fullmatch(digits) is not None
    code = _COUNTRY.match(digits)
    if code is None or _AMOUNT.match(after):
        return False
    return digits[code.end()] != "0" or code.group() in _TRUNK_STAYS
