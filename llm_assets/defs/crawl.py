"""The crawl group: what was fetched, and what must be gone."""

from llm_assets.defs.skin import Skin

SKINS = (
    Skin(
        "raw_crawl",
        "crawl",
        "One snapshot as WARC/1.1 with an index: every response and revisit, opt-out signals, and the fate of every URL met. "
        "A source: it is never refetched because code or recipe changed.",
        frozenset({"warc"}),
    ),
    Skin("tombstones", "crawl", "Documents, URLs and hosts that must not be in any corpus.", frozenset({"parquet"})),
)
