"""Whether a string holds some of a text, however it is written: in HTML, in JSON, in JSON within JSON, in capitals.

A text is known by its runs of eight words. Case, punctuation, mark-up and escapes play no part, so that a page's source, its
extracted text and an excerpt of it in a log are all recognised; what was translated or said in other words is not.
"""

import html
import re
from collections.abc import Iterable, Sequence

RUN = 8  # words; shorter runs are common turns of phrase ("is one of the two largest …")
_LEAST = 5  # words of a text that is known as a whole; fewer could stand anywhere
_WORD = re.compile(r"[^\W_]+")
_ESCAPE = re.compile(r"\\+(?:u([0-9a-fA-F]{4})|([nrtbf\"/']))")
_SURROGATES = re.compile("[\ud800-\udbff][\udc00-\udfff]")
_TAG = re.compile(r"<[^<>]*>")


def words(text: str) -> list[str]:
    """Words of a text in lower case, whatever it is escaped by."""
    plain = _ESCAPE.sub(_unescaped, text) if "\\" in text else text
    if "\\u" in text:
        plain = _SURROGATES.sub(lambda pair: pair[0].encode("utf-16", "surrogatepass").decode("utf-16"), plain)
    return _WORD.findall(html.unescape(plain).casefold())


def _unescaped(found: re.Match[str]) -> str:
    return chr(int(found[1], 16)) if found[1] else " "


class Needles:
    """The runs of some texts, and strings that are known to the letter, such as a picture in base64."""

    def __init__(self, texts: Iterable[str], literals: Iterable[str] = ()) -> None:
        self._literals = tuple(literals)
        self._runs: dict[int, set[tuple[str, ...]]] = {}
        for text in texts:
            said = words(text)
            size = min(RUN, len(said))
            if size >= _LEAST:
                runs = self._runs.setdefault(size, set())
                runs.update(tuple(said[at : at + size]) for at in range(len(said) - size + 1))
        self._firsts = {size: {run[0] for run in runs} for size, runs in self._runs.items()}

    def __bool__(self) -> bool:
        return bool(self._runs or self._literals)

    def found_in(self, text: str) -> str:
        """The first run that a string holds, "" for none. Mark-up is looked at with and without its tags."""
        if len(text) < 2 * _LEAST:
            return ""
        found = next((literal[:40] for literal in self._literals if literal in text), "")
        if not self._runs or found:
            return found
        found = self._first(words(text))
        if not found and "<" in text and ">" in text:
            found = self._first(words(_TAG.sub(" ", text)))
        return found

    def _first(self, said: Sequence[str]) -> str:
        for size, runs in self._runs.items():
            firsts = self._firsts[size]
            for at in range(len(said) - size + 1):
                if said[at] in firsts and tuple(said[at : at + size]) in runs:
                    return " ".join(said[at : at + size])
        return ""
