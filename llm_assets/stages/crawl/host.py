"""One host of a crawl: its robots.txt and reservations, its queue, and when it may be asked again."""

import asyncio
from collections import deque
from dataclasses import dataclass, field

from llm_assets.stages.crawl.ai_txt import AiTxt
from llm_assets.stages.crawl.robots import Robots


@dataclass(frozen=True, slots=True)
class Task:
    """A URL to fetch. ``hops``: redirects that led here; ``follow``: whether its links count."""

    url: str
    canonical: str
    depth: int
    hops: int = 0
    follow: bool = True


@dataclass(frozen=True, slots=True)
class Known:
    """A file of an origin that says what may be done with it: status (0: none came), decoded bytes, ISO time."""

    status: int
    payload: bytes
    when: str


@dataclass(frozen=True, slots=True)
class Closed:
    """Why a host is asked for nothing more: the fate of its URLs, with what was measured against what."""

    rule: str
    value: float | None = None
    threshold: float | None = None
    detail: str = ""


@dataclass
class Host:
    """State of one origin (scheme, host, port). A pause of 0 means none at all, however slow the host is."""

    origin: str
    delay_seconds: float
    delay_factor: float = 0.0
    max_delay_seconds: float = 0.0
    queue: deque[Task] = field(default_factory=deque)
    robots: Robots | None = None
    closed: Closed | None = None
    tdm_rules: list[tuple[str, bool]] = field(default_factory=list)
    ai_txt: AiTxt | None = None
    known: dict[str, Known] = field(default_factory=dict)  # files that a killed run had
    sitemaps: dict[str, list[str]] = field(default_factory=dict)  # those read: file → files it names
    queries: dict[str, int] = field(default_factory=dict)
    accepted: int = 0
    failures: int = 0  # in a row
    workers: int = 0
    preparing: asyncio.Lock = field(default_factory=asyncio.Lock)
    next_at: float = 0.0

    async def turn(self) -> None:
        """Wait until the host may be asked again."""
        loop = asyncio.get_running_loop()
        while (wait := self.next_at - loop.time()) > 0:
            await asyncio.sleep(wait)
        if self.delay_seconds:
            self.next_at = loop.time() + self.delay_seconds

    def rest(self, seconds: float) -> None:
        """The pause after a fetch that took ``seconds``: the longest of the given pause and a multiple of the fetch."""
        if self.delay_seconds:
            pause = max(self.delay_seconds, min(self.delay_factor * seconds, self.max_delay_seconds))
            self.back_off(pause)

    def back_off(self, seconds: float) -> None:
        """Ask nothing of this host for a while."""
        self.next_at = max(self.next_at, asyncio.get_running_loop().time() + seconds)
