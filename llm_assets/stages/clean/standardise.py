"""One spelling for text: Unicode NFC, plain spaces and newlines, no control characters.

Nothing that carries meaning changes: letters, digits, punctuation and the line structure stay.
"""

import re
import unicodedata

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200b\u2060\ufeff\u00ad]")
_SPACES = re.compile(r"[ \t\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]+")
_NEWLINES = re.compile(r"\n{3,}")


def standardise(text: str) -> str:
    """NFC; every kind of space becomes one space, every line break a newline; at most one empty line in a row; ends trimmed."""
    text = unicodedata.normalize("NFC", text).replace("\r\n", "\n").replace("\r", "\n").replace("\u2028", "\n")
    text = _SPACES.sub(" ", _CONTROL.sub("", text.replace("\u2029", "\n\n")))
    return _NEWLINES.sub("\n\n", "\n".join(line.strip() for line in text.split("\n"))).strip()
