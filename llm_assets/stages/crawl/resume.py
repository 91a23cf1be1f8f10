"""Where a crawl begins: with nothing, or where a killed run of the same crawl left off.

The same means: the same seeds, snapshot, scope, opt-out switches and limits, tombstones and earlier crawls. How fast it goes
and what its gates ask for may change in between: a crawl that is too fast is stopped, slowed down and gone on with.
"""

import hashlib
import shutil
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

from llm_assets.core.artefact import Inputs, WorkDir
from llm_assets.core.progress import Progress
from llm_assets.core.recipe.base import identity_values
from llm_assets.core.recipe.crawl import RawCrawlConfig
from llm_assets.core.tombstones import Tombstones
from llm_assets.stages.crawl.journal import JOURNAL_FILE, Journal, State, read_journal
from llm_assets.stages.crawl.records import Books
from llm_assets.stages.crawl.warc import WarcWriter

# Sections and fields that decide nothing of what is fetched from the web, or only how fast.
_APART = frozenset(
    {"min_pages", "min_article_share", "max_failed_share", "max_truncated_share", "verified_records", "verify_digests"}
    | {"common_crawl", "local", "snapshots", "seeds", "crawl_kinds", "limits"}
)
_PACE = frozenset(
    {"delay_seconds", "delay_factor", "max_delay_seconds", "timeout_seconds", "min_bytes_per_second", "slow_after_seconds"}
    | {"max_failures_in_row", "backoff_seconds", "max_retries", "max_retry_after_seconds"}
)


@dataclass(frozen=True)
class Begun:
    """What a crawl writes to; ``state`` is what a killed run had done, None for a new crawl."""

    writer: WarcWriter
    books: Books
    journal: Journal
    state: State | None


def begin(
    inputs: Inputs,
    out: WorkDir,
    config: RawCrawlConfig,
    progress: Progress,
    seeds: list[str],
    snapshot: int,
    info: dict[str, str],
) -> Begun:
    """Open or reopen the files of a crawl. ``snapshot``: of the local site, 0 for the web. ``info``: the warcinfo fields."""
    path = out.private / JOURNAL_FILE
    deciding = _deciding(inputs, out, config, seeds, snapshot)
    found = read_journal(path, out.files)
    changed = _changed(found[0]["deciding"], deciding) if found else []
    books = Books(out.partition, config.source_kinds, config.crawl_kinds.get(out.partition, ""))
    if found is None or changed:
        if changed:
            progress.note(f"a killed run is not gone on with, because {', '.join(changed)} changed; the crawl starts again")
        clear(out, keep=())
        created = datetime.now(UTC)
        writer = WarcWriter(out.files, config.warc_bytes, info, created)
        start = {"created": created.isoformat(), "deciding": deciding}
        return Begun(writer, books, Journal(path, books, writer, start, State(created)), None)
    state = found[1]
    for left in out.files.iterdir():
        if left.name not in ("warc", "robots"):
            shutil.rmtree(left) if left.is_dir() else left.unlink()
    writer = WarcWriter(out.files, config.warc_bytes, info, state.created)
    writer.go_on(state.ends())
    done = len(state.ledger)
    progress.note(
        f"goes on after {state.requests:,} requests: {done:,} URLs have their fate, {len(state.queued):,} were queued"
    )
    return Begun(writer, books, Journal(path, books, writer, None, state), state)


def clear(out: WorkDir, keep: Collection[str]) -> None:
    """Empty both folders, but for what is to be kept of the private one."""
    shutil.rmtree(out.files)
    out.files.mkdir()
    for path in out.private.iterdir():
        if path.name not in keep:
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def _deciding(inputs: Inputs, out: WorkDir, config: RawCrawlConfig, seeds: list[str], snapshot: int) -> dict[str, str]:
    """Name → digest of each thing that decides what the crawl holds."""
    given = identity_values(config)
    found: dict[str, Any] = {f"raw_crawl.{name}": value for name, value in given.items() if name not in _APART}
    found |= {f"raw_crawl.limits.{name}": value for name, value in given["limits"].items() if name not in _PACE}
    found |= {"the seeds": seeds, "the snapshot": snapshot, "raw_crawl.crawl_kinds": config.crawl_kinds.get(out.partition, "")}
    found["tombstones"] = {kind: sorted(values) for kind, values in Tombstones.given(inputs).by_kind.items()}
    found["the earlier crawls"] = sorted(crawl.ref for crawl in inputs.many("raw_crawl") if crawl.partition != out.partition)
    return {name: hashlib.sha256(orjson.dumps(value)).hexdigest()[:16] for name, value in found.items()}


def _changed(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    return sorted(name for name in {*before, *now} if before.get(name) != now.get(name))
