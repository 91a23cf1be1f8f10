"""Opt-outs that a page or its host states: noai in X-Robots-Tag or ``<meta name=robots>``, and TDMRep reservations.

TDMRep (W3C community group report, 2024) has three forms: the header ``tdm-reservation: 1``, a meta element of that name, and
``/.well-known/tdmrep.json`` for a whole origin. "noai" and "noimageai" are the tags that image platforms introduced.
"""

import fnmatch
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from llm_assets.core.recipe.crawl import RawCrawlConfig
from llm_assets.stages.crawl.links import attributes

_META = re.compile(rb"<meta\b[^<>]{0,2000}>", re.IGNORECASE)
_HEAD_BYTES = 262_144  # metas stand in the head; looking further costs more than it finds
_NOAI = re.compile(r"\bno(?:image)?ai\b", re.IGNORECASE)
TDMREP_PATH = "/.well-known/tdmrep.json"


@dataclass(frozen=True)
class OptOuts:
    """The flags of one document, as the index stores them."""

    robots_ai: bool = False
    noai: bool = False
    tdm: bool = False


def barred_by(optouts: OptOuts, config: RawCrawlConfig) -> str:
    """The rule of the first opt-out that the recipe honours, as the ledger names it; "" where none keeps the document out."""
    for rule, flagged, honoured in (
        ("optout_robots_ai", optouts.robots_ai, config.honour_robots_ai),
        ("optout_noai", optouts.noai, config.honour_noai),
        ("optout_tdm", optouts.tdm, config.honour_tdm),
    ):
        if flagged and honoured:
            return rule
    return ""


def page_optouts(headers: Mapping[str, str], payload: bytes, is_html: bool, reserved: bool, robots_ai: bool) -> OptOuts:
    """Flags from headers (lower-case names), payload, the origin's TDMRep file (``reserved``) and robots.txt."""
    noai = bool(_NOAI.search(headers.get("x-robots-tag", "")))
    tdm = reserved or headers.get("tdm-reservation", "").strip() == "1"
    if is_html:
        for tag in _META.findall(payload[:_HEAD_BYTES]):
            found = attributes(tag)
            name, content = found.get("name", "").lower(), found.get("content", "")
            noai = noai or (name == "robots" and bool(_NOAI.search(content)))
            tdm = tdm or (name == "tdm-reservation" and content.strip() == "1")
    return OptOuts(robots_ai, noai, tdm)


def parse_tdmrep(data: bytes) -> list[tuple[str, bool]]:
    """(path pattern, reserved) of a tdmrep.json; empty for what is none. The first match counts."""
    try:
        entries = json.loads(data.decode("utf-8-sig"))
    except ValueError:
        return []
    found = []
    for entry in entries if isinstance(entries, list) else []:
        if isinstance(entry, dict) and isinstance(entry.get("location"), str):
            found.append((entry["location"], str(entry.get("tdm-reservation")) == "1"))
    return found


def is_reserved(rules: list[tuple[str, bool]], path: str) -> bool:
    """Whether the origin reserves this path."""
    for pattern, reserved in rules:
        anchored = pattern.removesuffix("$")
        if fnmatch.fnmatchcase(path, anchored if anchored != pattern or pattern.endswith("*") else f"{pattern}*"):
            return reserved
    return False
