"""One spelling for text: Unicode NFC, plain spaces and newlines, no control characters.

Nothing that carries meaning changes: letters, digits, punctuation and the line structure stay.
"""

import polars as pl

_STEPS = (
    ("\r\n?|\u2028", "\n"),
    ("\u2029", "\n\n"),
    ("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200b\u2060\ufeff\u00ad]", ""),
    ("[ \t\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]+", " "),
    ("(?m)^ | $", ""),
    (r"\n{3,}", "\n\n"),
)


def standardise_all(texts: pl.Series) -> pl.Series:
    """NFC; every kind of space becomes one space, every line break a newline; at most one empty line in a row; ends trimmed."""
    texts = texts.fill_null("").str.normalize("NFC")
    for pattern, by in _STEPS:
        texts = texts.str.replace_all(pattern, by)
    return texts.str.strip_chars()


def standardise(text: str) -> str:
    """The same for one text."""
    return str(standardise_all(pl.Series([text], dtype=pl.String))[0])
