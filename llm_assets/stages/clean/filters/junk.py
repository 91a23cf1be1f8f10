"""Text that was decoded wrongly, or is no text. Measured on pages as they were extracted, before controls are taken out.

Why these: a page that another decoder would have read shows U+FFFD (Unicode 15.0, section 23.8), C1 controls (the range
0x80-0x9F of Windows-1252 read as Latin-1), or UTF-8 read as Latin-1 or Windows-1251, which shows as pairs that begin with
the letters that a lead byte becomes (Ã, Â, â€, ðŸ; Р, С). Private-use characters are an icon font's or a PDF's own glyphs.
One such sign is a misprint or an article on encodings; the limits, one or two in a thousand, are those above which
hand-checked pages were damaged throughout. The limit on symbols is that of the share above which pages were drawings, tables
of signs or puzzles; ROOTS (Laurençon et al. 2022) bounds a wider class, punctuation and digits included, at 0.4.
"""

from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from llm_assets.core.recipe.cleaning import JunkRules
from llm_assets.core.texts import utf8
from llm_assets.stages.clean import text_kernels as kernels
from llm_assets.stages.clean.filters.base import Rule

Array = npt.NDArray[Any]

# What continuation bytes (0x80-0xBF) become in Windows-1252 and Windows-1251. Letters of living alphabets are left out.
_AFTER_1252 = "".join(map(chr, range(0x80, 0xC0))) + "‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ€"
_AFTER_1251 = "".join(map(chr, range(0xA0, 0xC0))) + "ЂЃѓЉЊЌЋЏђ‘’“”•–—™љ›њќћџЎўЈҐЄєјЅѕ‚„…†‡€‰‹№"
_AFTER_QUOTE = "".join(map(chr, range(0x90, 0xC0))) + "™œ˜“”¦¢"  # behind â€
_WHITE = (*range(0x09, 0x0E), 0x20, 0x85, 0xA0, 0x1680, *range(0x2000, 0x200B), 0x2028, 0x2029, 0x202F, 0x205F, 0x3000)
_CONTROLS = (*range(0x09), 0x0B, 0x0C, *range(0x0E, 0x20), *range(0x7F, 0xA0))
_PRIVATE = ((0xE000, 0xF900), (0xFDD0, 0xFDF0), (0xFFFE, 0x10000), (0xF0000, 0xFFFFE), (0x100000, 0x10FFFE))
_SYMBOLS = r"[\p{So}\p{Sk}\p{Sm}--[+<=>|~^`\x{ac}\x{b1}\x{d7}\x{f7}°©®™]]"
_SYMBOLS_END = 0x20000  # beyond it are Han, tags and private use
_REPLACED, _CONTROL, _MOJIBAKE, _PRIVATES, _SYMBOL = "_replacement", "_controls", "_mojibake", "_private", "_symbols"


def add_measures(frame: pl.DataFrame, raw: pl.Series) -> pl.DataFrame:
    """Add the shares of characters. ``raw``: the texts before standardising."""
    found = kernels.signs(*utf8(raw), _classes())
    chars, solid = found[:, kernels.CHARS], found[:, kernels.SOLID]
    parts = {
        _REPLACED: (kernels.REPLACED, chars),
        _CONTROL: (kernels.CONTROLS, chars),
        _MOJIBAKE: (kernels.MOJIBAKE, chars),
        _PRIVATES: (kernels.PRIVATES, chars),
        _SYMBOL: (kernels.SYMBOLS, solid),
    }
    return frame.with_columns(
        pl.Series(name, found[:, column] / np.maximum(whole, 1)) for name, (column, whole) in parts.items()
    )


@cache
def _classes() -> Array:
    """The classes of each code point; what is a symbol is asked of polars, whose tables are those of the published limits."""
    classes = np.zeros(0x110000, np.uint8)
    classes[list(_WHITE)] |= kernels.WHITE
    classes[list(_CONTROLS)] |= kernels.CONTROL
    for first, end in _PRIVATE:
        classes[first:end] |= kernels.PRIVATE
    points = [point for point in range(0x80, _SYMBOLS_END) if not 0xD800 <= point < 0xE000]
    symbols = pl.Series(map(chr, points), dtype=pl.String).str.contains(_SYMBOLS).to_numpy()
    classes[np.array(points)[symbols]] |= kernels.SYMBOL
    tails = {kernels.LATIN_TAIL: _AFTER_1252, kernels.CYRILLIC_TAIL: _AFTER_1251, kernels.QUOTE_TAIL: _AFTER_QUOTE}
    for kind, characters in tails.items():
        classes[[ord(char) for char in characters]] |= kind
    return classes


def rules(config: JunkRules) -> list[Rule]:
    """The rules, for a frame that ``add_measures`` returned."""
    return [
        Rule("junk_replacement_chars", pl.col(_REPLACED), "at_most", config.max_replacement_chars),
        Rule("junk_control_chars", pl.col(_CONTROL), "at_most", config.max_control_chars),
        Rule("junk_mojibake", pl.col(_MOJIBAKE), "at_most", config.max_mojibake),
        Rule("junk_private_chars", pl.col(_PRIVATES), "at_most", config.max_private_chars),
        Rule("junk_symbols", pl.col(_SYMBOL), "at_most", config.max_symbols),
    ]
