"""One spelling for text: Unicode NFC, plain spaces and newlines, no control characters.

Nothing that carries meaning changes: letters, digits, punctuation and the line structure stay. A compiled loop does it; only
texts with a character that may not be in NFC, or may not stand alone there, are normalised before.
"""

import unicodedata
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from llm_assets.core.texts import from_utf8, utf8
from llm_assets.stages.clean import text_kernels as kernels

Array = npt.NDArray[Any]

_SPACES = (0x09, 0x20, 0xA0, 0x1680, *range(0x2000, 0x200B), 0x202F, 0x205F, 0x3000)
_DROPPED = (*range(0x09), 0x0B, 0x0C, *range(0x0E, 0x20), *range(0x7F, 0xA0), 0xAD, 0x200B, 0x2060, 0xFEFF)
_BREAKS = {0x0A: kernels.NEWLINE, 0x0D: kernels.RETURN, 0x2028: kernels.NEWLINE, 0x2029: kernels.PARAGRAPH}
# Blocks in which each character is asked whether NFC leaves it as it is wherever it stands; of others, Han and Hangul are.
_ASKED = ((0, 0x3400), (0xFE00, 0x10000), (0x1F300, 0x1FB00))
_SETTLED = ((0x3400, 0xA000), (0xAC00, 0xD7A4))
_JAMO = range(0x1160, 0x1200)  # vowels and finals, which may become a syllable with what stands before


def standardise_all(texts: pl.Series) -> pl.Series:
    """NFC; every kind of space becomes one space, every line break a newline; at most one empty line in a row; ends trimmed."""
    given = texts.fill_null("")
    made, unsure = _standardised(given)
    rows = pl.Series(unsure).arg_true()
    if not rows.len():
        return made
    normal, _ = _standardised(given[rows].str.normalize("NFC"))
    return made.scatter(rows, normal)


def standardise(text: str) -> str:
    """The same for one text."""
    return str(standardise_all(pl.Series([text], dtype=pl.String))[0])


def _standardised(texts: pl.Series) -> tuple[pl.Series, Array]:
    data, bounds, unsure = kernels.standardised(*utf8(texts), _actions())
    return from_utf8(data, bounds).alias(texts.name), unsure


@cache
def _actions() -> Array:
    """What to do with each code point, by Python's own Unicode tables."""
    actions = np.full(_ASKED[-1][1], kernels.UNSURE, np.uint8)
    for first, end in _SETTLED:
        actions[first:end] = kernels.COPY
    for first, end in _ASKED:
        actions[first:end] = [kernels.COPY if _settled(chr(point)) else kernels.UNSURE for point in range(first, end)]
    actions[list(_SPACES)] = kernels.SPACE
    actions[list(_DROPPED)] = kernels.DROP
    actions[list(_BREAKS)] = list(_BREAKS.values())
    return actions


def _settled(char: str) -> bool:
    """Whether NFC leaves a character as it is, whatever stands before or behind it. Marks may be joined or change places."""
    kind = unicodedata.category(char)
    return kind[0] != "M" and kind != "Cn" and ord(char) not in _JAMO and unicodedata.is_normalized("NFC", char)
