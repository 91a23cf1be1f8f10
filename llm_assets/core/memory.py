"""How much memory a piece of work took, in all its processes together.

``ru_maxrss`` knows one process, and its whole life; a training runs in a child, a shard step in several. So a thread looks at
this process and its descendants every now and then and adds up their proportional set sizes: a page that n processes share
counts 1/n for each. Where the system does not tell that (only Linux does), resident sizes are added, which counts shared pages
more than once.
"""

import threading
from types import TracebackType
from typing import ClassVar, Self

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
    """A context manager; ``peak_bytes`` is the largest sum seen since it was entered.

    However many are entered, one thread looks for them all: a look costs as much as it tells.
    """

    _lock = threading.Lock()
    _entered: ClassVar[list["PeakMemory"]] = []
    _thread: ClassVar[threading.Thread | None] = None
    _changed = threading.Event()

    def __init__(self, interval_s: float = INTERVAL_S) -> None:
        self.peak_bytes = 0
        self._interval_s = interval_s

    def __enter__(self) -> Self:
        with self._lock:
            self._entered.append(self)
            if PeakMemory._thread is None:
                PeakMemory._thread = threading.Thread(target=_watch, name="peak-memory", daemon=True)
                PeakMemory._thread.start()
        self._changed.set()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        _look()
        with self._lock:
            self._entered.remove(self)
            thread = None if self._entered else PeakMemory._thread
        self._changed.set()
        while thread is not None and thread.is_alive() and not self._entered:  # another may have been entered meanwhile
            thread.join(0.05)


def _look() -> float:
    """Take down what is used now, for all that were entered before; returns how long to wait for the next look."""
    with PeakMemory._lock:
        entered = list(PeakMemory._entered)
    seen = used_bytes()
    for one in entered:
        one.peak_bytes = max(one.peak_bytes, seen)
    return min((one._interval_s for one in entered), default=0.0)


def _watch() -> None:
    while True:
        PeakMemory._changed.clear()
        with PeakMemory._lock:
            if not PeakMemory._entered:
                PeakMemory._thread = None
                return
        PeakMemory._changed.wait(_look())
