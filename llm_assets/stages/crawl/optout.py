"""Opt-outs that a page or its host states: noai in X-Robots-Tag or ``<meta name=robots>``, and TDMRep reservations.

"noai" and "noimageai" are the tags that image platforms introduced. Either may be meant for one agent: the header
``X-Robots-Tag: gptbot: noai`` to the end of its line, and ``<meta name="gptbot" content="noai">``.

TDMRep (TDM Reservation Protocol, W3C community group, final report of 10 May 2024) has three places. Its section "Processing
priority" orders them: the file ``/.well-known/tdmrep.json`` of the origin, superseded by the header ``tdm-reservation`` of the
answer, superseded by the meta element of that name. A value that is neither 0 nor 1 is an error and counts as unset; what is
unset changes nothing. In the file, the first rule whose pattern fits counts; patterns are those of robots.txt (``*``, ``$``).
"""

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from urllib.parse import quote, unquote

from llm_assets.core.recipe.crawl import RawCrawlConfig
from llm_assets.core.tags import attributes

_META = re.compile(rb"<meta\b[^<>]{0,2000}>", re.IGNORECASE)
_HEAD_BYTES = 262_144  # metas stand in the head; looking further costs more than it finds
_NOAI = re.compile(r"\bno(?:image)?ai\b", re.IGNORECASE)
_SCOPE = re.compile(r"\s*([A-Za-z0-9_.*-]+)\s*:(.*)", re.DOTALL)
_VALUED = frozenset({"unavailable_after", "max-snippet", "max-image-preview", "max-video-preview"})  # directives, not agents
_MAX_RULES = 1_000
_SAFE = "/%:@!$&'()+,;=~-._?"
TDMREP_PATH = "/.well-known/tdmrep.json"


@dataclass(frozen=True)
class OptOuts:
    """The flags of one document, as the index stores them."""

    robots_ai: bool = False
    noai: bool = False
    tdm: bool = False
    ai_txt: bool = False


def barred_by(optouts: OptOuts, config: RawCrawlConfig) -> str:
    """The rule of the first opt-out that the recipe honours, as the ledger names it; "" where none keeps the document out."""
    for rule, flagged, honoured in (
        ("optout_robots_ai", optouts.robots_ai, config.honour_robots_ai),
        ("optout_ai_txt", optouts.ai_txt, config.honour_ai_txt),
        ("optout_noai", optouts.noai, config.honour_noai),
        ("optout_tdm", optouts.tdm, config.honour_tdm),
    ):
        if flagged and honoured:
            return rule
    return ""


def page_optouts(
    headers: Mapping[str, str],
    payload: bytes,
    is_html: bool,
    reserved: bool,
    robots_ai: bool,
    *,
    ai_txt: bool = False,
    agents: Collection[str] | None = None,
) -> OptOuts:
    """Flags from headers (as ``parse_head`` gives them), payload, the origin's TDMRep file (``reserved``), robots.txt, ai.txt.

    ``agents``: lower-case names for which an agent's own directive counts; None for all.
    """
    noai = _header_says_noai(headers.get("x-robots-tag", ""), agents)
    tdm = _reservation(headers.get("tdm-reservation", ""), reserved)
    if is_html:
        stated = []
        for tag in _META.findall(payload[:_HEAD_BYTES]):
            found = attributes(tag)
            name, content = found.get("name", "").lower(), found.get("content", "")
            noai = noai or ((name == "robots" or name in (agents or ())) and bool(_NOAI.search(content)))
            if name == "tdm-reservation":
                stated.append(content)
        tdm = _reservation(",".join(stated), tdm)
    return OptOuts(robots_ai, noai, tdm, ai_txt)


def _header_says_noai(value: str, agents: Collection[str] | None) -> bool:
    """One line a header; an agent's name counts from where it stands to the end of its line, or to the next name."""
    if not _NOAI.search(value):
        return False
    for line in value.split("\n"):
        meant = True
        for part in line.split(","):
            scope = _SCOPE.match(part)
            if scope and scope.group(1).lower() not in _VALUED:
                name, part = scope.group(1).lower(), scope.group(2)
                meant = agents is None or name == "*" or name in agents
            if meant and _NOAI.search(part):
                return True
    return False


def _reservation(value: str, before: bool) -> bool:
    """What a place with a higher priority leaves of the value so far; of two that contradict each other, the reservation."""
    stated = {part.strip() for part in value.split(",")} & {"0", "1"}
    return "1" in stated if stated else before


def parse_tdmrep(data: bytes) -> list[tuple[str, bool]]:
    """(path pattern, reserved) of a tdmrep.json, in its order; empty for what is none. Rules with other values are unset."""
    try:
        entries = json.loads(data.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        return []
    found = []
    for entry in entries[:_MAX_RULES] if isinstance(entries, list) else []:
        if isinstance(entry, dict) and isinstance(entry.get("location"), str):
            value = entry.get("tdm-reservation")
            if str(value) in ("0", "1") and not isinstance(value, bool):
                found.append((entry["location"], str(value) == "1"))
    return found


def is_reserved(rules: list[tuple[str, bool]], path: str) -> bool:
    """Whether the origin's file reserves this path (with its query): the first rule that fits says."""
    if not rules:
        return False
    wanted = _spelt(path)
    return next((reserved for pattern, reserved in rules if _fits(pattern, wanted)), False)


def _fits(pattern: str, path: str) -> bool:
    """Whether a pattern of robots.txt fits the start of a path. Linear: a crafted pattern must not hold up the crawl."""
    whole = pattern.endswith("$")
    first, *rest = (_spelt(part) for part in pattern.removesuffix("$").split("*"))
    if not path.startswith(first):
        return False
    at = len(first)
    if not rest:
        return not whole or at == len(path)
    *middle, last = rest
    for part in middle:
        at = path.find(part, at)
        if at < 0:
            return False
        at += len(part)
    if whole:
        return len(path) - len(last) >= at and path.endswith(last)
    return path.find(last, at) >= 0


def _spelt(path: str) -> str:
    """One spelling of percent-encoded characters, as the report asks for before octets are compared."""
    return quote(unquote(path, errors="surrogateescape"), safe=_SAFE, errors="surrogateescape")
