"""A page as the parser serialises it, cut into tags: the one pass over a page that everything else looks things up in.

Serialised mark-up is well-formed: names in lower case, tags balanced, attributes in double quotes; asking the parsed tree takes
ten times as long. The loops are compiled (``scan_kernels``); this is what they give, for Python to ask.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from llm_assets.stages.extract import tags as T
from llm_assets.stages.extract.scan_kernels import find_word, scan

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Scan:
    """``data``: a page's bytes. By tag, in order: ``tags`` (a number of ``tags``, negative where it closes), ``starts`` and
    ``ends`` in ``data``, ``keys`` (-1 where it has no attributes that matter). By key: ``key_tags``, ``key_texts``.
    ``noted``: place and tag of those of the head, and of <h1>; ``breaks``: tags that break lines.
    """

    data: bytes
    tags: Array
    starts: Array
    ends: Array
    keys: Array
    key_tags: list[int]
    key_texts: list[bytes]
    noted: list[tuple[int, int]]
    breaks: int

    @classmethod
    def of(cls, markup: str) -> "Scan":
        """Of a page as a parser serialises it."""
        data = markup.encode("utf-8", "surrogatepass")
        known = T.tags()
        tags, starts, ends, keys, key_tags, key_ends, buffer, noted, breaks = scan(
            np.frombuffer(data, np.uint8), known.hashes, known.numbers, known.attributes, known.flags, data.count(b"<") + 1
        )
        stops, held = key_ends.tolist(), buffer.tobytes()
        texts = [held[start:end] for start, end in zip([0, *stops], stops, strict=False)]
        return cls(
            data,
            tags,
            starts,
            ends,
            keys,
            key_tags.tolist(),
            texts,
            list(zip(noted.tolist(), tags[noted].tolist(), strict=True)),
            breaks,
        )

    @cached_property
    def body(self) -> int:
        """The first tag after the head; 0 where there is no head with a body after it."""
        for place, tag in self.noted:
            after = place + 1
            while tag == -T.HEAD and after < self.tags.size and self._follows(after):
                if self.tags[after] in (T.BODY, T.FRAMESET):
                    return after
                after += 1
        return 0

    def _follows(self, place: int) -> bool:
        """Whether nothing but white space, comments and the like stands before the tag, up to the last that is something."""
        blank = not self.data[self.ends[place - 1] : self.starts[place]].strip()
        return blank and self.tags[place - 1] in (-T.HEAD, T.NOTHING)

    @cached_property
    def body_start(self) -> int:
        """The byte where the body's mark-up begins."""
        return int(self.ends[self.body - 1]) if self.body else 0

    def links_with(self, word: bytes) -> Iterator[str]:
        """Attributes of each <a> and <link> of the body in which a word stands."""
        at = self.find(word, self.body_start)
        while at >= 0:
            place = int(self.starts.searchsorted(at, "right")) - 1
            end = int(self.ends[place]) if place >= 0 else 0
            if at < end and self.tags[place] in (T.A, T.LINK):
                yield self.attributes(place)
            at = self.find(word, max(end, at + len(word)))

    def find(self, word: bytes, start: int) -> int:
        """Where a word begins in ``data`` from ``start`` on; -1 where it doesn't."""
        return int(find_word(np.frombuffer(self.data, np.uint8), start, *_wanted(word)))

    def attributes(self, place: int) -> str:
        """The inside of a start tag after its name, as it stands."""
        return self.data[self.starts[place] + 1 : self.ends[place] - 1].partition(b" ")[2].decode("utf-8", "surrogatepass")

    def markup(self) -> Iterator[str]:
        """The pieces of the body's mark-up, without comments and elements that hold no text."""
        begun = self.body_start
        for place in np.flatnonzero(self.tags == T.NOTHING).tolist():
            if self.starts[place] >= begun:
                yield self.data[begun : self.starts[place]].decode("utf-8", "surrogatepass")
                begun = int(self.ends[place])
        yield self.data[begun:].decode("utf-8", "surrogatepass")

    def text_to(self, place: int, closing: int) -> str:
        """The mark-up between the tag at ``place`` and the next tag of number ``closing``, without what holds no text; "" if
        there is none.
        """
        return "".join(self._pieces(place, closing))

    def _pieces(self, place: int, closing: int) -> Iterator[str]:
        last = next((at for at in range(place + 1, self.tags.size) if self.tags[at] == closing), -1)
        for at in range(place, last):
            yield self.data[self.ends[at] : self.starts[at + 1]].decode("utf-8", "surrogatepass")


@cache
def _wanted(word: bytes) -> tuple[Array, Array]:
    """A word and its skips, as ``find_word`` takes them."""
    skips = np.full(256, len(word), np.int64)
    for place, byte in enumerate(word[:-1]):
        skips[byte] = len(word) - 1 - place
    return np.frombuffer(word, np.uint8), skips
