"""How large libraries are loaded."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def loading() -> Iterator[None]:
    """For imports that make a million objects which stay: the garbage collector does not look through them, now or later.

    Each of its full rounds would take a tenth of a second more. What was there before is left out of them too.
    """
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was:
            gc.enable()
