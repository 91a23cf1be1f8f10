"""What is learnt of an origin before its first page: robots.txt, ai.txt, text and data mining reservations, sitemaps."""

import hashlib
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from llm_assets.stages.crawl.ai_txt import AI_TXT_PATH, parse_ai_txt
from llm_assets.stages.crawl.decode import CannotDecode, Limited, decode
from llm_assets.stages.crawl.host import Closed, Host, Known
from llm_assets.stages.crawl.http import Answer
from llm_assets.stages.crawl.links import resolve, sitemap_locations
from llm_assets.stages.crawl.optout import TDMREP_PATH, parse_tdmrep
from llm_assets.stages.crawl.robots import Robots, no_rules, parse_robots, product_token, unavailable

if TYPE_CHECKING:
    from llm_assets.stages.crawl.crawler import Crawler

_REDIRECTS = (301, 302, 303, 307, 308)
_MAX_HOPS = 5  # RFC 9309, 2.3.1.2
_ROBOTS_PATH = "/robots.txt"


async def learn_origin(crawler: "Crawler", host: Host) -> None:
    """Fetch what an origin says of itself, once; every later worker of the host waits for it.

    What a killed run had already is taken from its journal. ``host.closed`` is set where nothing may be fetched.
    """
    async with host.preparing:
        if host.robots is not None:
            return
        robots = await _robots(crawler, host)
        if robots.unavailable:
            host.closed = Closed(robots.unavailable, detail="robots.txt could not be had")
            host.robots = robots
            return
        limits = crawler.limits
        if host.delay_seconds and robots.delay_seconds > limits.max_delay_seconds:
            host.closed = Closed("crawl_delay", robots.delay_seconds, limits.max_delay_seconds, "asked for in robots.txt")
            host.robots = robots
            return
        if host.delay_seconds:
            host.delay_seconds = max(host.delay_seconds, robots.delay_seconds)
            host.back_off(host.delay_seconds)
        tdmrep = await _well_known(crawler, host, TDMREP_PATH)
        host.tdm_rules = parse_tdmrep(tdmrep.payload) if tdmrep.status == 200 else []
        ai_txt = await _well_known(crawler, host, AI_TXT_PATH)
        agent = product_token(crawler.config.user_agent)
        host.ai_txt = parse_ai_txt(ai_txt.payload, agent, crawler.config.ai_agents) if ai_txt.status == 200 else None
        host.robots = robots
        await _sitemaps(crawler, host, robots)


async def _robots(crawler: "Crawler", host: Host) -> Robots:
    """4xx means that there are no rules; 5xx, 429 or no answer that nothing may be fetched (RFC 9309, 2.3.1)."""
    agent = product_token(crawler.config.user_agent)
    found = host.known.get(_ROBOTS_PATH)
    if found is None:
        answer = await _get(crawler, host, host.origin + _ROBOTS_PATH, crawler.limits.max_robots_bytes)
        if answer.failure not in ("", "too_large") or answer.status >= 500 or answer.status in (0, 429):
            return unavailable(agent, "address" if answer.failure == "address" else "robots_unavailable")
        # of a file that is too large the part that was read counts (RFC 9309, 2.5)
        found = _keep(crawler, host, _ROBOTS_PATH, Known(answer.status, answer.payload, _now()))
    if found.status != 200:
        return no_rules(agent)
    store_robots(crawler.robots_folder, host.origin, found.payload)
    return parse_robots(found.payload, agent, crawler.config.ai_agents)


async def _well_known(crawler: "Crawler", host: Host, path: str) -> Known:
    """A file that many origins don't have: what came, or status 0."""
    if path in host.known:
        return host.known[path]
    answer = await _get(crawler, host, host.origin + path, crawler.limits.max_robots_bytes)
    whole = answer.status == 200 and answer.failure in ("", "too_large")
    return _keep(crawler, host, path, Known(answer.status if whole else 0, answer.payload if whole else b"", _now()))


def _keep(crawler: "Crawler", host: Host, path: str, found: Known) -> Known:
    if crawler.journal is not None:
        crawler.journal.known(host.origin, path, found)
        crawler.commit()
    return found


def _now() -> str:
    return datetime.now(UTC).isoformat()


def store_robots(folder: Path, origin: str, data: bytes) -> None:
    """Keep a copy of a robots.txt under its host's name: what was allowed when it was crawled."""
    name = re.sub(r"[^A-Za-z0-9.-]+", "_", origin.partition("://")[2])
    if len(name) > 120:
        name = hashlib.sha256(name.encode()).hexdigest()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.txt").write_bytes(data)


async def _get(crawler: "Crawler", host: Host, url: str, max_bytes: int = 0) -> Answer:
    """With redirects, each of which goes through the same check of addresses."""
    for _ in range(_MAX_HOPS + 1):
        await host.turn()
        answer = await crawler.client.get(url, max_bytes=max_bytes)
        host.rest(answer.seconds)
        found = resolve(url, answer.headers.get("location", "")) if answer.status in _REDIRECTS else None
        if not found:
            return answer
        url = found[0]
    return Answer(status=404, detail="too many redirects")


async def _sitemaps(crawler: "Crawler", host: Host, robots: Robots) -> None:
    """Meet what the sitemaps list, one link from the seed. Files of other origins, and more than the limit, are left out."""
    waiting = [url for url in robots.sitemaps if url.startswith(f"{host.origin}/")]
    done: set[str] = set()
    while waiting and len(done) < crawler.limits.max_sitemaps_per_host:
        url = waiting.pop(0)
        if url in done or not robots.allows(url):
            continue
        done.add(url)
        if url not in host.sitemaps:
            host.sitemaps[url] = await _sitemap(crawler, host, url)
            if crawler.journal is not None:
                crawler.journal.sitemap(host.origin, url, host.sitemaps[url])
            crawler.commit()
        waiting += host.sitemaps[url]


async def _sitemap(crawler: "Crawler", host: Host, url: str) -> list[str]:
    """Meet the pages of one sitemap; returns the sitemaps of this origin that it names."""
    answer = await _get(crawler, host, url)
    if answer.failure or answer.status != 200:
        return []
    locations, is_index = sitemap_locations(_unpacked(answer.payload, crawler.limits.max_payload_bytes))
    if is_index:
        return [found for found in locations if found.startswith(f"{host.origin}/")][: crawler.limits.max_sitemaps_per_host]
    for location in locations:
        found = resolve(url, location)
        if found:
            crawler.meet(*found, depth=1)
    return []


def _unpacked(payload: bytes, room: int) -> bytes:
    """Sitemaps may be gzip files."""
    if not payload.startswith(b"\x1f\x8b"):
        return payload
    try:
        return decode(payload, "gzip", room)
    except Limited as error:
        return error.partial
    except CannotDecode:
        return b""
