"""Work shared by threads, its results in the order of what came in: for functions that let go of the interpreter's lock."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def in_order(function: Callable[[T], R], items: Iterable[T], threads: int, ahead: int = 1) -> Iterator[R]:
    """``function`` of each item, in their order, made by so many threads.

    Items are taken only as they are needed: at most ``ahead`` for each thread wait or are done and not yet handed out, beside
    the one that is asked for. An error of the function or of the items is raised in its place; what was begun is then
    finished, and what wasn't is dropped. With one thread all is done in the caller's.
    """
    if threads <= 1:
        yield from map(function, items)
        return
    waiting: deque[Future[R]] = deque()
    pool = ThreadPoolExecutor(threads)
    try:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) > ahead * threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
