"""A loopback site for tests: canned replies by path, and a list of what was asked."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from llm_assets.core.progress import Silent
from llm_assets.core.recipe.crawl import Politeness, RawCrawlConfig, SiteConfig
from llm_assets.core.report import Report
from llm_assets.core.tombstones import Tombstones
from llm_assets.stages.crawl.address import Addresses
from llm_assets.stages.crawl.crawler import Crawler
from llm_assets.stages.crawl.earlier import Earlier
from llm_assets.stages.crawl.http import Client
from llm_assets.stages.crawl.records import Books
from llm_assets.stages.crawl.run import finish, warc_info
from llm_assets.stages.crawl.warc import WarcWriter

HOST = "site.example"
Reply = bytes | Callable[[dict[str, str]], bytes]


def http(body: bytes = b"", status: str = "200 OK", **headers: str) -> bytes:
    """A whole reply; underscores in header names are hyphens."""
    given = {"Content_Type": "text/html", "Content_Length": str(len(body)), **headers}
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in given.items() if value != "")
    return f"HTTP/1.1 {status}\r\n{lines}\r\n".encode("latin-1") + body


def page(*links: str, text: str = "Some text.", head: str = "") -> bytes:
    """An HTML page with links."""
    anchors = "".join(f'<a href="{link}">x</a>' for link in links)
    return f"<html><head><title>t</title>{head}</head><body><p>{text}</p>{anchors}</body></html>".encode()


NOT_FOUND = http(b"no", "404 Not Found")


@dataclass
class Loopback:
    """``replies``: target → reply, or a function of the request headers. ``asked``: (target, headers), in order."""

    replies: Mapping[str, Reply]
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    port: int = 0
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def targets(self) -> list[str]:
        return [target for target, _ in self.asked]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        with (
            contextlib.closing(writer),
            contextlib.suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError),
        ):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                first, *lines = head.strip().split("\r\n")
                headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
                target = first.split(" ")[1]
                self.asked.append((target, headers))
                reply = self.replies.get(target, NOT_FOUND)
                data = reply(headers) if callable(reply) else reply
                writer.write(data)
                await writer.drain()
                if b"Connection: close" in data[:2_000]:
                    break
        self._tasks.discard(task)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[int]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self.port
        finally:
            server.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks)


def small_site(**over: object) -> SiteConfig:
    """A site of some dozens of pages with all that the large one has."""
    given: dict[str, object] = {
        "articles": {"en": 40, "fr": 8, "es": 4},
        "mirror_share": 0.1,
        "near_copy_share": 0.1,
        "broken_share": 0.1,
        "image_share": 0.2,
        "held_back_share": 0.1,
        "changed_share": 0.15,
        "vanished_share": 0.1,
        "optout_pages": 2,
        "spam_pages": 2,
        "index_size": 5,
    }
    return SiteConfig.model_validate(given | over)


def config(**over: object) -> RawCrawlConfig:
    """Limits for tests: no pauses, short time-outs."""
    limits = {
        "delay_seconds": 0,
        "backoff_seconds": 0,
        "timeout_seconds": 5,
        "slow_after_seconds": 0.3,
        **over.pop("limits", {}),
    }  # type: ignore[dict-item]
    return RawCrawlConfig(limits=Politeness(**limits), **over)  # type: ignore[arg-type]


@dataclass
class Crawled:
    """What a crawl left."""

    books: Books
    report: Report
    files: Path
    requests: int

    def fates(self) -> dict[str, str]:
        """URL → rule."""
        return {row[3]: row[5] for row in self.books._ledger}


def crawl(
    replies: Mapping[str, Reply],
    folder: Path,
    *,
    seeds: tuple[str, ...] = (f"http://{HOST}/",),
    settings: RawCrawlConfig | None = None,
    earlier: Earlier | None = None,
    tombstones: Tombstones | None = None,
    addresses: Callable[[int], Addresses] | None = None,
    site: Loopback | None = None,
) -> tuple[Crawled, Loopback]:
    """Crawl a loopback site that answers for ``site.example``."""
    site = site or Loopback(replies)
    settings = settings or config()
    folder.mkdir(parents=True, exist_ok=True)

    async def go() -> Crawled:
        async with site.running() as port:
            known = addresses(port) if addresses else Addresses(pinned={HOST: ("127.0.0.1", port)})
            client = Client.of(settings, known)
            writer = WarcWriter(folder, settings.warc_bytes, warc_info("test"), datetime.now(UTC))
            books = Books("test", {})
            crawler = Crawler(
                settings,
                client,
                writer,
                books,
                earlier=earlier or Earlier([]),
                tombstones=tombstones or Tombstones(),
                progress=Silent(),
                robots_folder=folder / "robots",
            )
            await crawler.crawl(list(seeds))
            writer.close()
            return Crawled(books, finish(folder, books, writer), folder, crawler.requests)

    return asyncio.run(go()), site
