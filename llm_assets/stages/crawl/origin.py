"""What is learnt of an origin before its first page: robots.txt, text and data mining reservations, sitemaps."""

import hashlib
import re
from pathlib import Path
from typing import TYPE_CHECKING

from llm_assets.stages.crawl.decode import CannotDecode, Limited, decode
from llm_assets.stages.crawl.host import Host
from llm_assets.stages.crawl.http import Answer
from llm_assets.stages.crawl.links import resolve, sitemap_locations
from llm_assets.stages.crawl.optout import TDMREP_PATH, parse_tdmrep
from llm_assets.stages.crawl.robots import Robots, no_rules, parse_robots, product_token, unavailable

if TYPE_CHECKING:
    from llm_assets.stages.crawl.crawler import Crawler

_REDIRECTS = (301, 302, 303, 307, 308)
_MAX_HOPS = 5  # RFC 9309, 2.3.1.2


async def learn_origin(crawler: "Crawler", host: Host) -> None:
    """Fetch robots.txt, tdmrep.json and the sitemaps, once; every later worker of the host waits for it."""
    async with host.preparing:
        if host.robots is not None:
            return
        robots = await _robots(crawler, host)
        if robots.delay_seconds and host.delay_seconds:
            host.delay_seconds = max(host.delay_seconds, min(robots.delay_seconds, crawler.limits.max_retry_after_seconds))
        if not robots.unavailable:
            answer = await _get(crawler, host, host.origin + TDMREP_PATH)
            host.tdm_rules = parse_tdmrep(answer.payload) if answer.status == 200 and not answer.failure else []
        host.robots = robots
        if not robots.unavailable:
            await _sitemaps(crawler, host, robots)


async def _robots(crawler: "Crawler", host: Host) -> Robots:
    config = crawler.config
    agent = product_token(config.user_agent)
    answer = await _get(crawler, host, f"{host.origin}/robots.txt", crawler.limits.max_robots_bytes)
    if answer.failure == "too_large":  # the part that was read counts (RFC 9309, 2.5)
        pass
    elif answer.failure or answer.status >= 500 or answer.status in (0, 429):
        return unavailable(agent, "address" if answer.failure == "address" else "robots_unavailable")
    elif answer.status != 200:
        return no_rules(agent)
    store_robots(crawler.robots_folder, host.origin, answer.payload)
    return parse_robots(answer.payload, agent, config.ai_agents)


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
        answer = await _get(crawler, host, url)
        if answer.failure or answer.status != 200:
            continue
        locations, is_index = sitemap_locations(_unpacked(answer.payload, crawler.limits.max_payload_bytes))
        if is_index:
            waiting += [found for found in locations if found.startswith(f"{host.origin}/")]
            continue
        for location in locations:
            found = resolve(url, location)
            if found:
                crawler.meet(*found, depth=1)


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
