"""How much memory a piece of work took, in all its processes together.

``ru_maxrss`` knows one process, and its whole life; a training runs in a child, a shard step in several. So a thread looks at
this process and its descendants every now and then and adds up their proportional set sizes: a page that n processes share
counts 1/n for each. Where the system does not tell that (only Linux does), resident sizes are added, which counts shared pages
more than once.
"""

import threading
from types import TracebackType
from typing import Self

import psutil

# A look at the demo's processes takes some 10 ms, and walks page tables under locks that a training needs too. A peak between
# two looks is missed.
INTERVAL_S = 2.0


def used_bytes() -> int:
    """Memory of this process and its descendants now, in bytes."""
    own = psutil.Process()
    return sum(_of(process) for process in [own, *own.children(recursive=True)])


def _of(process: psutil.Process) -> int:
    try:
        full = process.memory_full_info()
        return int(getattr(full, "pss", full.rss))
    except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):  # it ended while we looked, or isn't ours to see
        return 0


class PeakMemory:
    """A context manager; ``peak_bytes`` is the largest sum seen since it was entered."""

    def __init__(self, interval_s: float = INTERVAL_S) -> None:
        self.peak_bytes = 0
        self._interval_s = interval_s
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="peak-memory", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        ended = False
        while not ended:
            self.peak_bytes = max(self.peak_bytes, used_bytes())
            ended = self._ended.wait(self._interval_s)
        self.peak_bytes = max(self.peak_bytes, used_bytes())
