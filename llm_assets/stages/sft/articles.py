"""Which pages are about one article, and which split an article is in.

Mirrors, copies under another address and other languages of an article carry its title or its file name. Pages that share
either are joined (union-find) and go to one split, so that nothing said of an article in training comes back in a test. A key
that very many pages share ("index", "Home") says nothing and joins nothing.
"""

import hashlib
import re
import unicodedata
from collections import defaultdict
from collections.abc import Sequence
from urllib.parse import unquote, urlsplit

SPLITS = ("train", "validation", "test")
SHARES = (0.8, 0.1, 0.1)
_EDGES = (0.8, 0.9)
_SUFFIX = re.compile(r"\.(x?html?|php|aspx?|jsp)$", re.IGNORECASE)  # "St._Louis" has none


def plain(text: str) -> str:
    """Case-folded words without marks and punctuation, single spaces: what texts are compared by."""
    folded = unicodedata.normalize("NFKD", text.casefold())
    return " ".join(re.findall(r"[^\W_]+", "".join(char for char in folded if not unicodedata.combining(char))))


def keys_of(url: str, title: str) -> tuple[str, ...]:
    """The page's title and the last part of its path without suffix, both plain; empty ones are left out."""
    name = _SUFFIX.sub("", unquote(urlsplit(url).path).rstrip("/").rpartition("/")[2])
    return tuple(dict.fromkeys(key for key in (plain(title), plain(name)) if key))


def group(keys: Sequence[Sequence[str]], addresses: Sequence[str], max_shared: int) -> list[str]:
    """The article of each page: pages that share a key which at most ``max_shared`` pages have are one.

    The article is named by its smallest usable key, so the name does not depend on the order of the pages. A page without one
    is an article of its own, named by its address.
    """
    holders: dict[str, list[int]] = defaultdict(list)
    for page, own in enumerate(keys):
        for key in set(own):
            holders[key].append(page)
    usable = {key: pages for key, pages in holders.items() if len(pages) <= max_shared}
    parent = list(range(len(keys)))

    def root(page: int) -> int:
        while parent[page] != page:
            parent[page] = parent[parent[page]]
            page = parent[page]
        return page

    for pages in usable.values():
        for page in pages[1:]:
            parent[root(page)] = root(pages[0])
    names: dict[int, str] = {}
    for page, own in enumerate(keys):
        for key in [key for key in own if key in usable] or [addresses[page]]:
            names[root(page)] = min(names.get(root(page), key), key)
    return [names[root(page)] for page in range(len(keys))]


def keyed_hash(*parts: object) -> int:
    """64 bits of BLAKE2b over the parts: the one source of every choice and order here."""
    data = "\x1f".join(str(part) for part in parts).encode("utf-8", "surrogateescape")
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "big")


def split_of(article: str, seed: int) -> str:
    """train, validation or test, 8:1:1, by the hash of the article's name: it stays when other articles come or go."""
    place = keyed_hash("split", seed, article) / 2**64
    return SPLITS[sum(place >= edge for edge in _EDGES)]
