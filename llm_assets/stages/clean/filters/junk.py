"""Text that was decoded wrongly, or is no text. Measured on pages as they were extracted, before controls are taken out.

Why these: a page that another decoder would have read shows U+FFFD (Unicode 15.0, section 23.8), C1 controls (the range
0x80-0x9F of Windows-1252 read as Latin-1), or UTF-8 read as Latin-1 or Windows-1251, which shows as pairs that begin with
the letters that a lead byte becomes (Ã, Â, â€, ðŸ; Р, С). Private-use characters are an icon font's or a PDF's own glyphs.
One such sign is a misprint or an article on encodings; the limits, one or two in a thousand, are those above which
hand-checked pages were damaged throughout. The limit on symbols is that of the share above which pages were drawings, tables
of signs or puzzles; ROOTS (Laurençon et al. 2022) bounds a wider class, punctuation and digits included, at 0.4.
"""

import polars as pl

from llm_assets.core.recipe.cleaning import JunkRules
from llm_assets.stages.clean.filters.base import Rule, share

# What continuation bytes (0x80-0xBF) become in Windows-1252 and Windows-1251. Letters of living alphabets are left out.
_AFTER_1252 = "\u0080-\u00bf‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ€"
_AFTER_1251 = "\u00a0-\u00bfЂЃѓЉЊЌЋЏђ‘’“”•–—™љ›њќћџЎўЈҐЄєјЅѕ‚„…†‡€‰‹№"
# « and » after Â are a letter in quotation marks.
_MOJIBAKE = "|".join(
    (
        rf"Ã[{_AFTER_1252}]",
        "Â[\u00a0-\u00aa\u00ac-\u00ba\u00bc-\u00bf]",
        rf"[ÐÑ][{_AFTER_1252}]",
        "â€[\u0090-\u00bf™œ˜“”¦¢]|â\u0080[\u0090-\u00bf]",
        "ð[Ÿ\u009f]|ï»¿|ï¿½",
        rf"[РС][{_AFTER_1251}]",
    )
)
_MEASURES = {
    "_replacement": "\ufffd",
    "_controls": "[\\x00-\\x08\\x0b\\x0c\\x0e-\\x1f\\x7f-\\x9f]",
    "_mojibake": _MOJIBAKE,
    "_private": r"[\p{Co}\x{fdd0}-\x{fdef}\x{fffe}\x{ffff}]",
    "_symbols": r"[\p{So}\p{Sk}\p{Sm}--[+<=>|~^`\x{ac}\x{b1}\x{d7}\x{f7}°©®™]]",
}


def add_measures(frame: pl.DataFrame, raw: pl.Series) -> pl.DataFrame:
    """Add the shares of characters. ``raw``: the texts before standardising. Plain ASCII without controls has none of them."""
    frame = frame.with_row_index("_row")
    texts = pl.DataFrame({"_row": frame["_row"], "raw": raw})
    text = pl.col("raw")
    doubtful = (text.str.len_bytes() != text.str.len_chars()) | text.str.contains(_MEASURES["_controls"])
    looked = texts.filter(doubtful).select(
        "_row",
        **{
            name: share(
                text.str.count_matches(pattern), text.str.count_matches(r"\S") if name == "_symbols" else text.str.len_chars()
            )
            for name, pattern in _MEASURES.items()
        },
    )
    joined = frame.join(looked, on="_row", how="left", maintain_order="left")
    return joined.with_columns(pl.col(list(_MEASURES)).fill_null(0.0)).drop("_row")


def rules(config: JunkRules) -> list[Rule]:
    """The rules, for a frame that ``add_measures`` returned."""
    return [
        Rule("junk_replacement_chars", pl.col("_replacement"), "at_most", config.max_replacement_chars),
        Rule("junk_control_chars", pl.col("_controls"), "at_most", config.max_control_chars),
        Rule("junk_mojibake", pl.col("_mojibake"), "at_most", config.max_mojibake),
        Rule("junk_private_chars", pl.col("_private"), "at_most", config.max_private_chars),
        Rule("junk_symbols", pl.col("_symbols"), "at_most", config.max_symbols),
    ]
