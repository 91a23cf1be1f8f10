"""Texts in the one spelling in which they are compared: NFKC, lower case, runs of white space as one space; fast for the
usual text.

NFKC is the slow part and changes few texts. So a table says of each character whether it is the same in NFKC whatever stands
around it (it has no other form, does not combine, cannot compose with the one before it: the quick check of Unicode Standard
Annex 15, section 9) and what it is in lower case; one pass over the bytes does the rest. A text with any other
character goes through the full normalisation.
"""

import unicodedata
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from llm_assets.core.texts import utf8
from llm_assets.stages.dedup import plain_kernels

Array = npt.NDArray[Any]
_TABLE = 0x3000  # code points below it are looked up; of those above, ideographs, kana and Hangul are known to be stable


def normalise(texts: pl.Series) -> pl.Series:
    """What two texts must share to be exact copies: NFKC, lower case, runs of white space as one space."""
    return texts.str.normalize("NFKC").str.to_lowercase().str.replace_all(r"\s+", " ").str.strip_chars()


def encoded(texts: pl.Series) -> tuple[Array, Array]:
    """Texts as UTF-8, one after another (bytes,) uint8, and where each ends (n,) int64."""
    data, bounds = utf8(texts)
    return data[bounds[0] : bounds[-1]], bounds[1:] - bounds[0]


def normalised(texts: pl.Series) -> tuple[Array, Array]:
    """``encoded(normalise(texts))``, several times as fast."""
    data, ends, known = plain_kernels.spell(*encoded(texts), lower())
    if known.all():
        return data, ends
    others = texts.filter(pl.Series(~known)).str.normalize("NFKC").str.to_lowercase()
    found: tuple[Array, Array] = plain_kernels.woven(known, data, ends, *plain_kernels.fold(*encoded(others)))
    return found


@cache
def lower() -> Array:
    """By code point: its lower case, 32 for white space, -1 where that isn't one known character: (0x3000,) int32.

    Left out: what NFKC may change, what gets longer, and the Greek capital sigma, whose lower case depends on its place.
    """
    characters = pl.Series([chr(point) for point in range(_TABLE)])
    small = characters.str.to_lowercase()
    spaces = characters.str.contains(r"^\s$")
    longer = (small.str.len_chars() != 1) | (small.str.len_bytes() > characters.str.len_bytes())
    points = np.array([ord(char[0]) for char in small.to_list()], np.int32)
    points[spaces.to_numpy()] = 0x20
    points[~stable() | longer.to_numpy()] = -1
    points[0x03A3] = -1
    return points


def stable() -> Array:
    """By code point: whether it is the same in NFKC whatever stands around it: (0x3000,) bool."""
    composing = {
        parts[1]
        for parts in (unicodedata.decomposition(chr(point)).split() for point in range(0x10000))
        if len(parts) == 2 and not parts[0].startswith("<")
    }
    seconds = {chr(int(part, 16)) for part in composing}

    def known(char: str) -> bool:
        return (
            unicodedata.category(char) != "Cn"  # not assigned yet when this table was made
            and not unicodedata.combining(char)
            and char not in seconds
            and not 0x1100 <= ord(char) < 0x1200  # Hangul letters, which compose by rule
            and unicodedata.is_normalized("NFKC", char)
        )

    return np.array([known(chr(point)) for point in range(_TABLE)])
