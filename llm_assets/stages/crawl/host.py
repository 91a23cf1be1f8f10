"""One host of a crawl: its robots.txt and reservations, its queue, and when it may be asked again."""

import asyncio
from collections import deque
from dataclasses import dataclass, field

from llm_assets.stages.crawl.robots import Robots


@dataclass(frozen=True, slots=True)
class Task:
    """A URL to fetch. ``hops``: redirects that led here; ``follow``: whether its links count."""

    url: str
    canonical: str
    depth: int
    hops: int = 0
    follow: bool = True


@dataclass
class Host:
    """State of one origin (scheme, host, port)."""

    origin: str
    delay_seconds: float
    queue: deque[Task] = field(default_factory=deque)
    robots: Robots | None = None
    tdm_rules: list[tuple[str, bool]] = field(default_factory=list)
    queries: dict[str, int] = field(default_factory=dict)
    workers: int = 0
    preparing: asyncio.Lock = field(default_factory=asyncio.Lock)
    next_at: float = 0.0

    async def turn(self) -> None:
        """Wait until the host may be asked again, and book the next turn."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        wait = self.next_at - now
        self.next_at = max(now, self.next_at) + self.delay_seconds
        if wait > 0:
            await asyncio.sleep(wait)

    def back_off(self, seconds: float) -> None:
        """Ask nothing of this host for a while."""
        self.next_at = max(self.next_at, asyncio.get_running_loop().time() + seconds)
