"""What the rules measure, as columns: each text is counted once (``kernels``), and rules are arithmetic on the counts."""

import sys
import unicodedata
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from llm_assets.core.recipe.cleaning import CleanedCorpusConfig
from llm_assets.core.texts import utf8

Array = npt.NDArray[Any]

# The eight of Rae et al. 2021 for English, as frequent ones for others; a language without a list is not judged by them.
STOP_WORDS = {
    "de": ["der", "die", "und", "den", "das", "ist", "ein", "eine", "nicht", "von", "mit"],
    "en": ["the", "be", "to", "of", "and", "that", "have", "with"],
    "es": ["el", "la", "de", "y", "los", "que", "es", "en", "un", "una", "del"],
    "fr": ["le", "la", "de", "et", "les", "des", "est", "en", "un", "une", "du"],
    "it": ["il", "la", "di", "e", "che", "un", "una", "del", "è", "in", "per"],
    "nl": ["de", "het", "een", "en", "van", "is", "dat", "in", "niet", "op", "met"],
    "pt": ["o", "a", "de", "e", "que", "um", "uma", "do", "da", "em", "os"],
}
_TABLED = 0x20000  # beyond it: Han, private use, tags
_LOWERED = 0x600  # Latin, Greek, Cyrillic, Armenian


def count(name: str) -> pl.Expr:
    """The column of one of ``kernels.COUNTS``."""
    return pl.col(f"_{name}")


def prepare(frame: pl.DataFrame, config: CleanedCorpusConfig | None = None) -> pl.DataFrame:
    """Add a column for each of ``kernels.COUNTS``. ``frame``: ``text`` and ``lang`` (String)."""
    from llm_assets.stages.clean.filters import kernels

    config = config or CleanedCorpusConfig()
    fineweb, single = config.fineweb, config.gopher_repetition.single_ngrams
    data, bounds = utf8(frame["text"])
    stops, stop_bounds = _stop_words()
    numbers = {lang: number for number, lang in enumerate(STOP_WORDS)}
    langs = np.array([numbers.get(lang, -1) for lang in frame["lang"]], np.int64)
    ends = np.array([ord(char) for char in fineweb.end_characters], np.int64)
    counted = kernels.measure(data, bounds, *tables(), stops, stop_bounds, langs, ends, fineweb.short_line_chars, single)
    return frame.with_columns(pl.Series(f"_{name}", counted[:, column]) for column, name in enumerate(kernels.COUNTS))


@cache
def tables() -> tuple[Array, Array]:
    """(class of each code point, lower case of the first some), by Python's own Unicode tables."""
    from llm_assets.stages.clean.filters.kernels import LETTER, NUMBER, SPACE

    classes = np.zeros(sys.maxunicode + 1, np.uint8)
    classes[0x20000:0x32400] = LETTER  # Han, extensions B and on
    for point in range(_TABLED):
        char = chr(point)
        major = unicodedata.category(char)[0]
        classes[point] = LETTER if major == "L" else NUMBER if major == "N" else SPACE if char.isspace() else 0
    lowered = [chr(point).lower() for point in range(_LOWERED)]
    return classes, np.array([ord(low[0]) for low in lowered], np.int64)


@cache
def _stop_words() -> tuple[Array, Array]:
    hashes = [_hash(word) for words in STOP_WORDS.values() for word in words]
    bounds = np.cumsum([0, *(len(words) for words in STOP_WORDS.values())]).astype(np.int64)
    return np.array(hashes, np.uint64), bounds


def _hash(word: str) -> int:
    """FNV-1a over code points, as ``kernels.scan`` computes it."""
    code = 14695981039346656037
    for char in word:
        code = ((code ^ ord(char)) * 1099511628211) & 0xFFFF_FFFF_FFFF_FFFF
    return code
