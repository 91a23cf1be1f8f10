"""How large libraries are loaded."""

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_ONE = threading.RLock()


@contextmanager
def loading() -> Iterator[None]:
    """For imports that make a million objects which stay: the garbage collector does not look through them, now or later.

    Each of its full rounds would take a tenth of a second more. What was there before is left out of them too. Threads take
    turns: some of these imports hide a module from each other for a moment.
    """
    with _ONE:
        was = gc.isenabled()
        gc.disable()
        try:
            yield
        finally:
            gc.freeze()
            if was:
                gc.enable()
