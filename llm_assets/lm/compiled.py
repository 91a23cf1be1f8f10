"""What the compiled loops of all rooms share: how they are compiled and kept, a mixing function, a character of UTF-8,
white space.

numba keeps what it compiled beside each file, or in ``NUMBA_CACHE_DIR``. By itself it compiles a function anew when the
function's own file changes, but not when a file changes that it calls or takes a constant from; the locators here look at those
as well.
It is no part of ``core``, which must load without numba.
"""

import hashlib
import re
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from llm_assets.core.loading import loading

# numba looks for scipy's BLAS when it loads its functions of arrays, a fifth of a second in every process, and for the
# coverage package. No loop of ours multiplies matrices or is measured.
_HIDDEN = [name for name in ("scipy.linalg", "coverage") if name not in sys.modules]
with loading():
    sys.modules.update(dict.fromkeys(_HIDDEN))  # type: ignore[arg-type]
    import numba
    import numba.np.arraymath
    import numpy as np
    from numba.core import caching

    for _name in _HIDDEN:
        del sys.modules[_name]

_IMPORT = re.compile(rf"^from ({__package__.partition('.')[0]}[\w.]*) import (.*)$", re.MULTILINE)
_F = TypeVar("_F", bound=Callable[..., Any])


class _Stamped:
    """A locator of numba's, whose stamp is that of all files of this package that a function is made from."""

    _py_file: str

    def get_source_stamp(self) -> str:
        """A hash of what stands in these files."""
        return hashlib.sha256("".join(map(_text, sorted(_sources(self._py_file, set())))).encode()).hexdigest()


class UserProvided(_Stamped, caching.UserProvidedCacheLocator):  # type: ignore[misc]
    """In ``NUMBA_CACHE_DIR``."""


class InTree(_Stamped, caching.InTreeCacheLocator):  # type: ignore[misc]
    """Beside the file."""


class UserWide(_Stamped, caching.UserWideCacheLocator):  # type: ignore[misc]
    """In the user's folder for caches, where the file's own may not be written."""


@cache
def _text(file: str) -> str:
    return Path(file).read_text(encoding="utf-8")


@cache
def _imported(file: str) -> frozenset[str]:
    """The files of this package that a file imports, as its text says."""
    found = set()
    for module, names in _IMPORT.findall(_text(file)):
        asked = (module, *(f"{module}.{name.split()[0]}" for name in names.split(",") if name.strip(" ()")))
        found |= {str(sys.modules[name].__file__) for name in asked if name in sys.modules}
    return frozenset(found)


def _sources(file: str, seen: set[str]) -> set[str]:
    """A file, those it imports, and those that they do."""
    if file not in seen:
        seen.add(file)
        for other in _imported(file):
            _sources(other, seen)
    return seen


numba.config.CACHE_LOCATOR_CLASSES = ",".join(f"{__name__}.{one.__name__}" for one in (UserProvided, InTree, UserWide))


def compiled(function: _F) -> _F:
    """Compiled at its first call, without the interpreter's lock; later processes load what was kept."""
    made: _F = numba.njit(cache=True, nogil=True)(function)
    return made


def borrowing(function: _F) -> _F:
    """``compiled``, for a function that makes no arrays and keeps none: those it is given are not counted as it passes them on.

    Counting references took nine tenths of the time of small functions that hand many arrays to each other.
    """
    made: _F = numba.njit(cache=True, nogil=True, _nrt=False)(function)
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


@compiled
def is_white(point: Any) -> Any:
    """Whether a character beyond ASCII is white space (Unicode's White_Space)."""
    if point < 0x1680:
        return point == 0x85 or point == 0xA0
    if point < 0x2000 or point > 0x3000:
        return point == 0x1680
    return point <= 0x200A or point == 0x2028 or point == 0x2029 or point == 0x202F or point == 0x205F or point == 0x3000
