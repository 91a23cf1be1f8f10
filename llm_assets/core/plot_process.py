"""Plots drawn by a process beside this one, while a stage goes on: matplotlib holds the interpreter's lock all the while.

    python -m llm_assets.core.plot_process    the process, which draws what it reads from its standard input

It is started once, loads matplotlib meanwhile, and ends with the process that started it. Within ``beside`` the functions of
``plots`` hand their pictures over, and all are on disk at its end. What the other process did not draw, for whatever reason, is
drawn here: a plot is the same wherever it was made, and its errors are raised here.
"""

import atexit
import os
import pickle
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from functools import wraps
from typing import Any, ParamSpec

from llm_assets.core.machine import search_path

P = ParamSpec("P")
_Drawing = tuple[str, tuple[Any, ...], dict[str, Any]]

_DRAWN = b"+"  # the answer to a drawing that succeeded; any other says that it did not
_functions: dict[str, Callable[..., None]] = {}


def drawn_beside(function: Callable[P, None]) -> Callable[P, None]:
    """A function that draws: at once, or within ``beside`` by the other process."""

    @wraps(function)
    def draw(*args: P.args, **kwargs: P.kwargs) -> None:
        board = _board.get()
        if board is None:
            function(*args, **kwargs)
        else:
            board.ask((function.__name__, args, kwargs))

    _functions[function.__name__] = function
    return draw


class _Board:
    """What is being drawn by one process."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", __name__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": search_path()},
            start_new_session=True,  # Ctrl-C is ours: it ends with its standard input
        )
        self._asked: list[_Drawing] = []

    def ask(self, drawing: _Drawing) -> None:
        """Hand a drawing over."""
        self._asked.append(drawing)
        assert self.process.stdin is not None
        with suppress(BrokenPipeError):  # it died; the missing answer will tell
            self.process.stdin.write(pickle.dumps(drawing))
            self.process.stdin.flush()

    def settle(self) -> None:
        """Wait for all that was handed over, and draw what was not drawn. Raises what drawing raises."""
        assert self.process.stdout is not None
        asked, self._asked = self._asked, []
        answers = [self.process.stdout.read(1) for _ in asked]
        for (name, args, kwargs), answer in zip(asked, answers, strict=True):
            if answer != _DRAWN:
                _functions[name](*args, **kwargs)

    def end(self) -> None:
        """End the process."""
        for pipe in (self.process.stdin, self.process.stdout):
            with suppress(BrokenPipeError):
                assert pipe is not None
                pipe.close()
        self.process.kill()
        self.process.wait()


_board: ContextVar[_Board | None] = ContextVar("board", default=None)
_kept: list[_Board] = []  # the process that is not in use, for the next time
_lock = threading.Lock()


@contextmanager
def beside() -> Iterator[None]:
    """Draw in the other process what is drawn in this block by the thread that entered it."""
    with _lock:
        board = _kept.pop() if _kept else None
    if board is not None and board.process.poll() is not None:
        board.end()
        board = None
    board = board or _Board()
    token = _board.set(board)
    try:
        yield
        board.settle()
    except BaseException:
        board.end()
        raise
    finally:
        _board.reset(token)
    with _lock:
        _kept.append(board)


def settle() -> None:
    """Wait for what was handed over in this block, before a plot is read."""
    board = _board.get()
    if board is not None:
        board.settle()


@atexit.register
def end() -> None:
    """End the processes that wait."""
    with _lock:
        while _kept:
            _kept.pop().end()


def serve() -> None:
    """Draw what comes in, in its order, until there is no more; a thread reads, so that nobody waits for us to load."""
    waiting: queue.Queue[_Drawing | None] = queue.Queue()

    def read() -> None:
        with suppress(EOFError):
            while True:
                waiting.put(pickle.load(sys.stdin.buffer))
        waiting.put(None)

    threading.Thread(target=read, daemon=True).start()
    from llm_assets.core import plots

    plots.load()
    while (drawing := waiting.get()) is not None:
        name, args, kwargs = drawing
        try:
            getattr(plots, name)(*args, **kwargs)
            answer = _DRAWN
        except Exception:  # raised where it was asked for, when it is drawn there
            answer = b"-"
        sys.stdout.buffer.write(answer)
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    from llm_assets.core import plot_process  # not __main__: plots has the functions from there

    plot_process.serve()
