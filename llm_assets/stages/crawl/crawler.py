"""The crawler: from seeds to WARC records, an index and a ledger.

A URL is met once. What may not or need not be fetched gets its line in the ledger at once; the rest waits in its host's queue.
A host without a pause is served by several workers, any other by one. Pages that earlier crawls hold are asked for with
their validators, and those that no link led to are asked again at the end, so that what has vanished is noticed.

Between an answer and its line in the journal nothing else runs, so that a killed crawl has either all of a step or nothing.
"""

import asyncio
from collections.abc import Collection
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from urllib.parse import urlsplit

from llm_assets.core.documents import canonical_url, doc_id, payload_digest
from llm_assets.core.ledger import Verdict
from llm_assets.core.progress import Progress
from llm_assets.core.recipe.crawl import RawCrawlConfig
from llm_assets.core.tombstones import Tombstones
from llm_assets.stages.crawl.earlier import Earlier, Prior
from llm_assets.stages.crawl.host import Closed, Host, Task
from llm_assets.stages.crawl.http import Answer, Client, parse_head
from llm_assets.stages.crawl.journal import Journal, State
from llm_assets.stages.crawl.links import page_links, resolve
from llm_assets.stages.crawl.optout import OptOuts, is_reserved, page_optouts
from llm_assets.stages.crawl.origin import learn_origin
from llm_assets.stages.crawl.records import Books, kind_of
from llm_assets.stages.crawl.robots import product_token
from llm_assets.stages.crawl.scope import Scope
from llm_assets.stages.crawl.warc import WarcWriter

_REDIRECTS = (301, 302, 303, 307, 308)
_BUSY = (429, 503)
_GONE = (404, 410)
_BROKEN = ("timeout", "connection", "protocol")
_PROGRESS_EVERY = 250


class Crawler:
    """One crawl. ``crawl`` runs it to the end; the books then hold every URL met."""

    def __init__(
        self,
        config: RawCrawlConfig,
        client: Client,
        writer: WarcWriter,
        books: Books,
        *,
        earlier: Earlier,
        tombstones: Tombstones,
        progress: Progress,
        robots_folder: Path,
        unhurried: Collection[str] = (),
        journal: Journal | None = None,
    ) -> None:
        """``unhurried``: hosts that need no pause between requests (our own). Without a journal a killed crawl is lost."""
        self.config, self.limits = config, config.limits
        self.client, self.writer, self.books = client, writer, books
        self.earlier, self.tombstones, self.progress = earlier, tombstones, progress
        self.robots_folder = robots_folder
        self.unhurried = frozenset(unhurried)
        self.journal = journal
        self._agents = frozenset(name.lower() for name in (product_token(config.user_agent), *config.ai_agents))
        self.requests = 0
        self.wire_bytes = 0
        self._scope = Scope(())
        self._hosts: dict[str, Host] = {}
        self._seen: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def crawl(self, seeds: list[str]) -> None:
        """Crawl from the seeds, then ask again for what earlier crawls hold and no link led to."""
        try:
            await self._crawl(seeds)
        finally:
            await self.client.close()

    def restore(self, state: State) -> None:
        """Take up what a killed run did: its books, what it learnt of hosts, and the URLs that still wait."""
        self.requests, self.wire_bytes = state.requests, state.wire_bytes
        self.books.restore(state.index, state.ledger)
        done = {canonical_url(row[3]) for row in state.ledger}
        self._seen = done | {task.canonical for task in state.queued}
        for row in state.ledger:
            if row[5] == "queries":
                _count_query(self._host_of(canonical_url(row[3])), canonical_url(row[3]))
        for task in state.queued:
            host = self._host_of(task.canonical)
            host.accepted += 1
            _count_query(host, task.canonical)
            if task.canonical not in done:
                host.queue.append(task)
        for origin, known in state.known.items():
            self._host_of(origin).known = known
        for origin, read in state.sitemaps.items():
            self._host_of(origin).sitemaps = read

    def commit(self) -> None:
        """Make what happened since the last time survive this process."""
        if self.journal is not None:
            self.journal.commit(self.requests, self.wire_bytes)

    async def _crawl(self, seeds: list[str]) -> None:
        self._scope = Scope(seeds, self.config.include_paths, self.config.exclude_paths)
        for host in list(self._hosts.values()):
            for _ in range(len(host.queue) or bool(host.known)):  # with nothing in its queue it may have sitemaps left
                self._staff(host)
        for seed in seeds:
            found = resolve(seed, seed)
            if found:
                self.meet(*found, depth=0)
        self.commit()
        await self._drain()
        for url, canonical in self.earlier.urls():
            if self._scope.refuses(canonical) is None:
                self.meet(url, canonical, depth=self.limits.max_depth, follow=False)
        self.commit()
        await self._drain()
        if self.journal is not None:
            await self.journal.finish()

    def meet(self, url: str, canonical: str, depth: int, hops: int = 0, follow: bool = True) -> None:
        """See a URL: queue it, or write down why not. A URL seen before is passed over."""
        if canonical in self._seen:
            return None
        self._seen.add(canonical)
        parts = urlsplit(canonical)
        if self.client.addresses.refuses(parts.hostname or ""):
            return self.books.drop(url, "address", detail="written as an address that is not public")
        outside = self._scope.refuses(canonical)
        if outside is not None:
            return self.books.drop(url, "scope", detail=outside)
        if depth > self.limits.max_depth:
            return self.books.drop(url, "depth", depth, self.limits.max_depth)
        buried = self.tombstones.match(url=canonical)
        if buried:
            return self.books.drop(url, "tombstone", detail=buried[:200])
        host = self._host_of(canonical)
        number = _count_query(host, canonical)
        if number > self.limits.max_queries_per_path:
            return self.books.drop(url, "queries", number, self.limits.max_queries_per_path)
        most = self.limits.max_pages_per_host
        if most and host.accepted >= most:
            return self.books.drop(url, "max_pages_per_host", host.accepted + 1, most)
        host.accepted += 1
        task = Task(url, canonical, depth, hops, follow)
        host.queue.append(task)
        if self.journal is not None:
            self.journal.queued(task)
        return self._staff(host)

    def _staff(self, host: Host) -> None:
        """One more worker for a host, where it may have one."""
        most = self.limits.connections_per_host if host.delay_seconds == 0 else 1
        if host.workers < most:
            host.workers += 1
            self._tasks.add(asyncio.get_running_loop().create_task(self._work(host)))

    def _host_of(self, url: str) -> Host:
        parts, limits = urlsplit(url), self.limits
        origin = f"{parts.scheme}://{parts.netloc}"
        if origin not in self._hosts:
            delay = 0.0 if (parts.hostname or "") in self.unhurried else limits.delay_seconds
            self._hosts[origin] = Host(origin, delay, limits.delay_factor, limits.max_delay_seconds)
        return self._hosts[origin]

    async def _drain(self) -> None:
        """Wait until no worker is left; what one raises is raised here, and the others are cancelled."""
        try:
            while self._tasks:
                done, _ = await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
                self._tasks -= done
                for task in done:
                    task.result()
        finally:
            for task in self._tasks:
                task.cancel()

    async def _work(self, host: Host) -> None:
        try:
            if host.robots is None:
                await learn_origin(self, host)
            while host.queue:
                await self._take(host, host.queue.popleft())
                self.commit()
        finally:
            host.workers -= 1
            if not host.workers:
                self.client.release(host.origin)

    async def _take(self, host: Host, task: Task) -> None:
        robots = host.robots
        assert robots is not None
        if host.closed is not None:
            why = host.closed
            return self.books.drop(task.url, why.rule, why.value, why.threshold, why.detail or None)
        if not robots.allows(task.url):
            return self.books.drop(task.url, "robots")
        forbidden_to_ai = robots.forbids_ai(task.url)
        if forbidden_to_ai and self.config.honour_robots_ai:
            return self.books.drop(task.url, "optout_robots_ai")
        if self.config.honour_ai_txt and host.ai_txt is not None and host.ai_txt.forbids(task.url):
            return self.books.drop(task.url, "optout_ai_txt")
        if self.requests >= self.limits.max_pages:
            return self.books.drop(task.url, "max_pages", self.requests, self.limits.max_pages)
        self.requests += 1
        if self.requests % _PROGRESS_EVERY == 0:
            self.progress.update(self.requests, None, "pages", waiting=sum(len(found.queue) for found in self._hosts.values()))
        prior = self.earlier.get(task.canonical)
        answer = await self._fetch(host, task.url, prior)
        self.wire_bytes += answer.wire_bytes
        host.failures = host.failures + 1 if answer.failure in _BROKEN else 0
        most = self.limits.max_failures_in_row
        if host.failures >= most:
            host.closed = Closed("host_failing", host.failures, most, f"last: {answer.failure}")
        self._judge(host, task, answer, prior, forbidden_to_ai)
        return None

    async def _fetch(self, host: Host, url: str, prior: Prior | None) -> Answer:
        """One URL with its retries; 429 and 503 make the whole host wait."""
        limits = self.limits
        for attempt in range(limits.max_retries + 1):
            await host.turn()
            answer = await self.client.get(url, prior.conditions() if prior else None)
            host.rest(answer.seconds)
            if answer.failure or answer.status not in _BUSY or attempt == limits.max_retries:
                return answer
            wait = _retry_after(answer.headers.get("retry-after", ""))
            if wait is None:
                wait = limits.backoff_seconds * 2**attempt
            if wait > limits.max_retry_after_seconds:
                host.closed = Closed("host_busy", wait, limits.max_retry_after_seconds, f"Retry-After with {answer.status}")
                return answer
            host.back_off(wait)
        raise AssertionError("unreachable: the last attempt returns")

    def _judge(self, host: Host, task: Task, answer: Answer, prior: Prior | None, forbidden_to_ai: bool) -> None:
        url, books = task.url, self.books
        if answer.failure:
            size = float(len(answer.payload)) if answer.failure in ("too_large", "truncated") else None
            most = float(self.limits.max_payload_bytes) if answer.failure == "too_large" else None
            return books.drop(url, answer.failure, size, most, answer.detail)
        if answer.status in _REDIRECTS:
            return self._redirect(task, answer)
        if answer.status == 304 and prior is not None:
            return self._unchanged(host, task, answer, prior, forbidden_to_ai)
        if answer.status != 200:
            twin = prior.original.doc_id if prior else None
            detail = "vanished" if prior and answer.status in _GONE else None
            return books.fate(url, Verdict(False, "status", answer.status, 200, twin, detail))
        return self._page(host, task, answer, prior, forbidden_to_ai)

    def _redirect(self, task: Task, answer: Answer) -> None:
        location = answer.headers.get("location", "")
        found = resolve(task.url, location)
        if task.hops >= self.limits.max_redirects:
            return self.books.drop(task.url, "redirect_limit", task.hops + 1, self.limits.max_redirects)
        self.books.drop(task.url, "redirect", answer.status, detail=location[:200])
        if found:
            self.meet(*found, depth=task.depth, hops=task.hops + 1, follow=task.follow)
        return None

    def _page(self, host: Host, task: Task, answer: Answer, prior: Prior | None, forbidden_to_ai: bool) -> None:
        kind = kind_of(answer.media_type, answer.payload)
        if kind == "page" and task.follow:
            self._follow(task, answer.payload)
        if kind not in self.config.kinds:
            return self.books.drop(task.url, "content_type", detail=answer.media_type[:80] or "none given")
        optouts = self._optouts(host, task, answer.headers, answer.payload, kind == "page", forbidden_to_ai)
        digest = payload_digest(answer.payload)
        if self._is_barred(task, optouts, digest):
            return None
        if prior is not None and prior.digest == digest:
            return self._revisit(task, answer, prior, optouts, modified=True)
        now = datetime.now(UTC)
        identity = doc_id(task.canonical, now, digest)
        place = self.writer.response(identity, task.url, now, answer.head, answer.payload, answer.address)
        return self.books.keep(
            doc_id=identity, url=task.url, canonical=task.canonical, fetched_at=now, status=200,
            content_type=answer.headers.get("content-type", ""), kind=kind, digest=digest, place=place, optouts=optouts,
            etag=answer.headers.get("etag", ""), last_modified=answer.headers.get("last-modified", ""),
        )  # fmt: skip

    def _unchanged(self, host: Host, task: Task, answer: Answer, prior: Prior, forbidden_to_ai: bool) -> None:
        """304: the stored page is the page, links and all; headers that the answer has replace the stored (RFC 9111, 3.2)."""
        head, payload = prior.stored()
        if prior.kind == "page" and task.follow:
            self._follow(task, payload)
        headers = parse_head(head)[1] | answer.headers
        optouts = self._optouts(host, task, headers, payload, prior.kind == "page", forbidden_to_ai)
        optouts = replace(optouts, noai=optouts.noai or prior.optouts.noai)
        if not self._is_barred(task, optouts, prior.digest):
            self._revisit(task, answer, prior, optouts, modified=False)

    def _revisit(self, task: Task, answer: Answer, prior: Prior, optouts: OptOuts, modified: bool) -> None:
        now = datetime.now(UTC)
        identity = doc_id(task.canonical, now, prior.digest)
        place = self.writer.revisit(
            identity, task.url, now, answer.head, prior.original, prior.digest, modified, answer.address
        )
        self.books.keep(
            doc_id=identity, url=task.url, canonical=task.canonical, fetched_at=now, status=answer.status,
            content_type=answer.headers.get("content-type") or prior.content_type, kind=prior.kind, digest=prior.digest,
            place=place, optouts=optouts, revisit_of=prior.original.doc_id,
            etag=answer.headers.get("etag") or prior.etag,
            last_modified=answer.headers.get("last-modified") or prior.last_modified,
        )  # fmt: skip

    def _optouts(
        self, host: Host, task: Task, headers: dict[str, str], payload: bytes, is_page: bool, forbidden_to_ai: bool
    ) -> OptOuts:
        path = task.canonical[len(host.origin) :]
        forbidden = host.ai_txt is not None and host.ai_txt.forbids(task.url)
        reserved = is_reserved(host.tdm_rules, path)
        return page_optouts(headers, payload, is_page, reserved, forbidden_to_ai, ai_txt=forbidden, agents=self._agents)

    def _is_barred(self, task: Task, optouts: OptOuts, digest: str) -> bool:
        """Whether an opt-out that the recipe honours, or a tombstone, keeps the document out; its fate is then written down."""
        buried = self.tombstones.match(sha256=digest)
        if optouts.noai and self.config.honour_noai:
            self.books.drop(task.url, "optout_noai")
        elif optouts.tdm and self.config.honour_tdm:
            self.books.drop(task.url, "optout_tdm")
        elif buried:
            self.books.drop(task.url, "tombstone", detail=buried[:200])
        else:
            return False
        return True

    def _follow(self, task: Task, payload: bytes) -> None:
        for url, canonical in page_links(payload, task.url):
            self.meet(url, canonical, depth=task.depth + 1)


def _count_query(host: Host, canonical: str) -> int:
    """How many URLs of this path with a query were met, with this one; 0 where it has no query."""
    head, mark, _ = canonical.partition("?")
    if not mark:
        return 0
    host.queries[head] = host.queries.get(head, 0) + 1
    return host.queries[head]


def _retry_after(value: str) -> float | None:
    """Seconds to wait, from a number or a date; None where there is neither."""
    if value.strip().isdigit():
        return float(value)
    try:
        return max(0.0, (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return None
