"""What the compiled loops of all rooms share: how they are compiled, a mixing function, a character of UTF-8.

numba keeps what it compiled beside each file, or in ``NUMBA_CACHE_DIR``, and renews it when that file changes, but not when a
function that it calls from another file does. So what stands here is here to stay. It is no part of ``core``, which must load
without numba.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import numba
import numpy as np

_F = TypeVar("_F", bound=Callable[..., Any])


def compiled(function: _F) -> _F:
    """Compiled at its first call, without the interpreter's lock; later processes load what was kept."""
    made: _F = numba.njit(cache=True, nogil=True)(function)
    return made


@compiled
def mix(x: Any) -> Any:
    """The finaliser of SplitMix64 (Steele et al. 2014): every bit of the result depends on every bit of ``x``, a uint64."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


@compiled
def decode(data: Any, at: int) -> Any:
    """The code point that begins at byte ``at`` of valid UTF-8, and its bytes."""
    first = np.int64(data[at])
    if first < 0x80:
        return first, 1
    if first < 0xE0:
        return (first & 0x1F) << 6 | np.int64(data[at + 1]) & 0x3F, 2
    middle = np.int64(data[at + 1]) & 0x3F
    if first < 0xF0:
        return (first & 0x0F) << 12 | middle << 6 | np.int64(data[at + 2]) & 0x3F, 3
    return (first & 0x07) << 18 | middle << 12 | (np.int64(data[at + 2]) & 0x3F) << 6 | np.int64(data[at + 3]) & 0x3F, 4
