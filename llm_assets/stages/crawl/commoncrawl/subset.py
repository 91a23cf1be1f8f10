"""Which files or captures of a month are taken, and getting them into a folder from which the importer reads.

Everything is chosen by hashes under the recipe's seed, so the same recipe takes the same; more files always hold the fewer.
"""

import asyncio
import hashlib
import json
import re
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from llm_assets.core.errors import InputError
from llm_assets.core.progress import Progress
from llm_assets.core.recipe.crawl import RawCrawlConfig
from llm_assets.core.recipe.sources import CommonCrawl
from llm_assets.stages.crawl.commoncrawl.fetch import Fetcher
from llm_assets.stages.crawl.commoncrawl.index import Found, UrlIndex, draw

_ID = re.compile(r"CC-MAIN-\d{4}-[0-9-]{2,9}$")
_BATCH = 200  # captures in a file: a killed run fetches no more than these again
_SELECTION = ("base_url", "domains", "languages", "max_records", "max_index_blocks", "seed")


@dataclass
class Subset:
    """What was fetched. ``files``: WARC or WET files; ``listed``: how many the month has (0 where the index was asked)."""

    files: list[Path]
    listed: int = 0
    captures: int = 0
    counts: dict[str, int] = field(default_factory=dict)


def id_of(config: CommonCrawl, crawl: str) -> str:
    """The id of the month that a crawl is of; "" if it is none."""
    return config.ids.get(crawl) or (crawl if _ID.match(crawl) else "")


def chosen(paths: list[str], config: CommonCrawl) -> list[str]:
    """Paths by the recipe: the first N of a drawn order, or those drawn below the share (one at least); in their own order."""
    order = sorted(paths, key=lambda path: (draw(config.seed, path), path))
    if config.files:
        taken = order[: config.files]
    else:
        taken = [path for path in order if draw(config.seed, path) < config.share * 2.0**64] or order[:1]
    return sorted(taken)


def fetch_subset(folder: Path, config: RawCrawlConfig, crawl_id: str, progress: Progress) -> Subset:
    """Fetch into ``folder`` what is not there yet. Raises ``InputError``; what has come stays for the next call."""
    return asyncio.run(_fetch(folder, config, crawl_id, progress))


async def _fetch(folder: Path, config: RawCrawlConfig, crawl_id: str, progress: Progress) -> Subset:
    fetcher = Fetcher(config, progress)
    try:
        if config.common_crawl.by_index:
            subset = await _captures(folder, fetcher, config.common_crawl, crawl_id)
        else:
            subset = await _files(folder, fetcher, config.common_crawl, crawl_id)
    finally:
        await fetcher.close()
    subset.counts.update(
        downloaded_bytes=fetcher.bytes, download_requests=fetcher.requests, download_retries=fetcher.retries,
        files_reused=fetcher.reused,
    )  # fmt: skip
    return subset


async def _files(folder: Path, fetcher: Fetcher, config: CommonCrawl, crawl_id: str) -> Subset:
    listing = f"crawl-data/{crawl_id}/{config.content}.paths.gz"
    paths = await fetcher.listing(listing)
    if not paths:
        raise InputError(f"{config.base_url}{listing} lists no file")
    taken = chosen(paths, config)
    fetcher.progress.note(f"{len(taken)} of {len(paths)} {config.content} files of {crawl_id}")
    await _together([fetcher.download(path, folder / path) for path in taken], config.connections)
    return Subset([folder / path for path in taken], len(paths))


async def _captures(folder: Path, fetcher: Fetcher, config: CommonCrawl, crawl_id: str) -> Subset:
    asked = json.dumps([crawl_id, *(getattr(config, name) for name in _SELECTION)])
    place = folder / f"captures-{hashlib.blake2b(asked.encode(), digest_size=8).hexdigest()}"
    place.mkdir(parents=True, exist_ok=True)
    found = await _selection(place / "captures.jsonl", fetcher, config, crawl_id)
    files = []
    for first in range(0, len(found), _BATCH):
        target = place / f"part-{first // _BATCH:05d}.warc.gz"
        files.append(target)
        if target.exists():
            fetcher.reused += 1
        else:
            await _batch(found[first : first + _BATCH], target, fetcher, config)
        fetcher.progress.update(min(first + _BATCH, len(found)), len(found), "captures")
    return Subset(files, 0, len(found))


async def _selection(path: Path, fetcher: Fetcher, config: CommonCrawl, crawl_id: str) -> list[Found]:
    """The captures to fetch: from the index, once; a killed run goes on with the same."""
    if not path.exists():
        found = await (await UrlIndex.of(fetcher, config, crawl_id)).search()
        if not found:
            of = f"of the domains {', '.join(config.domains)} " if config.domains else ""
            of += f"in the languages {', '.join(config.languages)} " if config.languages else ""
            raise InputError(
                f"{crawl_id}: no page {of}is in the index blocks that were looked at, "
                f"{config.max_index_blocks} at most (raw_crawl.common_crawl.max_index_blocks)"
            )
        temporary = path.with_suffix(".tmp")
        temporary.write_text("".join(json.dumps(vars(item)) + "\n" for item in found), "utf-8")
        temporary.replace(path)
    return [Found(**json.loads(line)) for line in path.read_text("utf-8").splitlines()]


async def _batch(captures: list[Found], target: Path, fetcher: Fetcher, config: CommonCrawl) -> None:
    """Each capture's gzip member, one after the other: a WARC file. The importer judges whether each is whole."""
    parts: dict[Found, bytes] = {}

    async def get(item: Found) -> None:
        parts[item] = (await fetcher.part(item.filename, item.offset, item.offset + item.length)).data

    await _together([get(item) for item in captures], config.connections)
    temporary = target.with_suffix(".tmp")
    temporary.write_bytes(b"".join(parts[item] for item in captures))
    temporary.replace(target)


async def _together(tasks: Sequence[Coroutine[None, None, None]], limit: int) -> None:
    """Run all, at most ``limit`` at a time; the first failure ends the others and is raised."""
    slots = asyncio.Semaphore(limit)

    async def one(task: Coroutine[None, None, None]) -> None:
        async with slots:
            await task

    try:
        async with asyncio.TaskGroup() as group:
            for task in tasks:
                group.create_task(one(task))
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None
    finally:
        for task in tasks:  # those that never began
            task.close()
