"""Sections of the crawl group: raw_crawl, tombstones."""

import re
from typing import Self
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from llm_assets.core.recipe.base import Section, execution
from llm_assets.core.recipe.sources import SOURCE_KINDS, CommonCrawl, LocalFiles
from llm_assets.core.store import check_partition_key

# Agents that fetch for, or stand for the use of pages in, training of language models, as their operators document them.
AI_AGENTS = [
    "GPTBot",
    "CCBot",
    "Google-Extended",
    "ClaudeBot",
    "anthropic-ai",
    "Applebot-Extended",
    "Meta-ExternalAgent",
    "Bytespider",
    "Amazonbot",
    "cohere-ai",
    "AI2Bot",
]

SNAPSHOTS = (1, 2)
_DATED = re.compile(r"(.+)-\d{4}-\d\d-\d\d")
KINDS = ("page", "image", "other")


class SiteConfig(Section):
    """The local site: which articles it shows, and how much of what makes a real crawl hard. Shares are of articles, 0 to 1."""

    articles: dict[str, int] = Field(
        {"en": 10_033, "fr": 3_000, "es": 400},
        min_length=1,
        description="Language root → articles at most; the first is the main one",
    )
    key: str = Field("llm_assets site 1", min_length=1, max_length=64, description="Key of the hash that makes every choice")
    mirror_share: float = Field(0.03, ge=0, le=1, description="Articles that a second host shows word for word")
    near_copy_share: float = Field(0.04, ge=0, le=1, description="Articles that a third host shows with a few words changed")
    broken_share: float = Field(0.01, ge=0, le=1, description="Articles whose HTML is broken")
    image_share: float = Field(0.01, ge=0, le=1, description="Articles with an image")
    encoded_share: float = Field(0.25, ge=0, le=1, description="Pages sent with a Content-Encoding (gzip, deflate, br, zstd)")
    held_back_share: float = Field(0.02, ge=0, le=0.5, description="Articles that appear with the later snapshot only")
    changed_share: float = Field(0.03, ge=0, le=0.5, description="Articles whose text the later snapshot edits")
    vanished_share: float = Field(0.01, ge=0, le=0.5, description="Articles that the later snapshot has no more")
    optout_pages: int = Field(12, ge=0, description="Pages with an opt-out, of each kind")
    spam_pages: int = Field(60, ge=0, description="Pages of keywords")
    index_size: int = Field(100, ge=2, description="Articles on one index page")
    hostile: bool = Field(True, description="Bombs, endless redirects, calendar, headers and drip, ways inside")


class Politeness(Section):
    """How fast, how far and how long: the limits of a crawl."""

    delay_seconds: float = Field(
        1.0,
        ge=0,
        description="Least pause between two requests to one host, which then has one connection. The pause is the longest of "
        "this, robots.txt's Crawl-delay, and delay_factor times the last fetch; 0 (and the local site) has none",
    )
    delay_factor: float = Field(5.0, ge=0, description="Pause in multiples of the last fetch: slow servers rest longer")
    max_delay_seconds: float = Field(
        60.0, ge=0, description="Longest such multiple; a host whose Crawl-delay is longer than this is left out"
    )
    connections_per_host: int = execution(8, ge=1, le=64, description="Used only where there is no pause")
    connections: int = execution(64, ge=1, description="Requests under way at any time, over all hosts")
    timeout_seconds: float = Field(20.0, gt=0, description="For one request, from connecting to the last byte")
    min_bytes_per_second: float = Field(100.0, ge=0, description="A body slower than this on average is given up; 0: none is")
    slow_after_seconds: float = Field(3.0, gt=0, description="From the headers on; before, no body is called slow")
    max_failures_in_row: int = Field(
        10, ge=1, description="Time-outs and broken connections one after another that end a host; its other URLs are left out"
    )
    backoff_seconds: float = Field(1.0, ge=0, description="First pause after 429 or 503 without Retry-After; doubles each time")
    max_retries: int = Field(2, ge=0, description="More tries after 429 or 503")
    max_retry_after_seconds: float = Field(60.0, ge=0, description="A longer Retry-After ends the host for this crawl")
    max_redirects: int = Field(5, ge=0, le=20)
    max_depth: int = Field(8, ge=0, description="Links from a seed")
    max_pages: int = Field(100_000, ge=1, description="Requests in all, besides robots.txt and sitemaps")
    max_pages_per_host: int = Field(0, ge=0, description="URLs queued for one host (scheme, name, port); 0: no limit")
    max_queries_per_path: int = Field(
        32, ge=1, description="URLs of one path that differ in their query; stops endless calendars"
    )
    max_payload_bytes: int = Field(4_194_304, ge=1, description="Decoded bytes of one page or image")
    max_robots_bytes: int = Field(512_000, ge=1, description="RFC 9309 asks for at least 500 KiB")
    max_sitemaps_per_host: int = Field(50, ge=0)


class RawCrawlConfig(Section):
    """How a crawl is fetched.

    Its key decides from where: ``snapshots`` (local site), ``seeds`` (the web), ``common_crawl.ids``, else files of one's own.
    """

    snapshots: dict[str, int] = Field(
        {"wiki-2026-11": 1, "wiki-2026-12": 2}, description="Crawl → snapshot of the local site; 2 is the later one"
    )
    seeds: dict[str, list[str]] = Field(
        {},
        description="Crawl → URLs from which the web is crawled, within their hosts. NAME-2026-11-30 is NAME crawled again",
    )
    include_paths: list[str] = Field(
        [],
        description="Only what starts with one of these is crawled, besides the seeds: /docs/ on every host, or "
        "a.example/docs/ on one; empty: all of the seeds' hosts, below the folders of the seeds",
    )
    exclude_paths: list[str] = Field([], description="What starts with one of these is left out, seeds too; written likewise")
    inbox: str = execution("", description="Folder with one folder of WARC files a crawl; empty: 'inbox' beside the store")
    site: SiteConfig = SiteConfig()
    limits: Politeness = Politeness()
    workers: int = execution(0, ge=0, description="Threads that import WARC files; 0: one a core")
    user_agent: str = Field(
        "llm-assets/0.1 (+https://llm-assets.invalid/crawler)",
        min_length=3,
        pattern=r"^[ -~]+$",
        description="What the crawler calls itself, before '/' its name in robots.txt; set your contact before crawling others",
    )
    allow_private_hosts: list[str] = Field([], description="Hosts that may have a private or loopback address")
    kinds: list[str] = Field(["page", "image"], description="What is kept, of page, image and other")
    common_crawl: CommonCrawl = CommonCrawl()
    local: LocalFiles = LocalFiles()
    source_kinds: dict[str, str] = Field(
        {},
        description="Host (a.example) or address without scheme with * (*.example/forum/*, own.invalid/books/*.epub) → web, "
        "book, paper, forum, code or own; the longest pattern that fits counts, then the host",
    )
    crawl_kinds: dict[str, str] = Field({}, description="Crawl → kind of what no rule of source_kinds names; else web, or own")
    verify_digests: bool = Field(True, description="Imported records must have the WARC-Block-Digest that they state")
    ai_agents: list[str] = Field(AI_AGENTS, description="Agents whose exclusion in robots.txt counts as an opt-out")
    honour_robots_ai: bool = Field(True, description="Don't fetch what robots.txt forbids to an AI agent")
    honour_ai_txt: bool = Field(True, description="Don't fetch what ai.txt keeps from the training of models")
    honour_noai: bool = Field(True, description="Don't keep what X-Robots-Tag or <meta name=robots> marks noai")
    honour_tdm: bool = Field(True, description="Don't keep what reserves text and data mining (TDMRep)")
    warc_bytes: int = Field(1_000_000_000, ge=1_000, description="A WARC file is closed at this size, compressed")
    min_pages: int = Field(1, ge=0, description="Gate: pages fetched or imported")
    min_article_share: float = Field(0.95, ge=0, le=1, description="Gate: pages as a share of the local site's articles")
    max_failed_share: float = Field(0.5, ge=0, le=1, description="Gate: requests that failed (errors of network or server)")
    max_truncated_share: float = Field(0.01, ge=0, le=1, description="Gate: cut-off, oversized or corrupt records")
    verified_records: int = Field(200, ge=1, description="Gate: records read back by offset and digest")

    def seeds_of(self, crawl: str) -> list[str]:
        """The seeds of a crawl of the web, or of one that crawls them again at a date (``<crawl>-YYYY-MM-DD``); else none."""
        again = _DATED.fullmatch(crawl)
        return self.seeds.get(crawl) or (self.seeds.get(again[1], []) if again else [])

    @model_validator(mode="after")
    def _possible(self) -> Self:
        for crawl in (*self.snapshots, *self.seeds, *self.common_crawl.ids, *self.local.folders):
            check_partition_key(crawl)
        for crawl, snapshot in self.snapshots.items():
            if snapshot not in SNAPSHOTS:
                raise ValueError(f"snapshots: {crawl} is {snapshot}; the local site has 1 (the first) and 2 (the later one)")
        for crawl, seeds in self.seeds.items():
            if crawl in self.snapshots:
                raise ValueError(
                    f"seeds: {crawl} is a snapshot of the local site already; give the crawl of the web another key"
                )
            bad = [seed for seed in seeds if not _is_web_address(seed)]
            if bad or not seeds:
                raise ValueError(f"seeds: {crawl} needs one or more http(s) addresses, found {(bad or seeds)[:1]}")
        for name, paths in (("include_paths", self.include_paths), ("exclude_paths", self.exclude_paths)):
            odd = [path for path in paths if "/" not in path or "://" in path or path != path.strip()]
            if odd:
                raise ValueError(f"{name}: {odd[0]!r} is no path; write /docs/ for every host or a.example/docs/ for one")
        for name, given, allowed in (
            ("kinds", self.kinds, KINDS),
            ("source_kinds", list(self.source_kinds.values()), SOURCE_KINDS),
            ("crawl_kinds", list(self.crawl_kinds.values()), SOURCE_KINDS),
        ):
            unknown = sorted(set(given) - set(allowed))
            if unknown:
                raise ValueError(f"{name}: {unknown[0]!r} is none of {', '.join(allowed)}")
        return self


def _is_web_address(seed: str) -> bool:
    try:
        parts = urlsplit(seed)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 80) > 0
    except ValueError:
        return False


class TombstonesConfig(Section):
    """Documents that must be gone."""

    path: str = Field("", description="JSONL or CSV with kind (doc_id, url, host or sha256), value, reason; empty: none")
