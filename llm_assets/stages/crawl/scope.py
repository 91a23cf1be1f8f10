"""What belongs to a crawl: the hosts of its seeds, below the folders of their paths, and the paths that the recipe names."""

from collections.abc import Collection, Iterable
from urllib.parse import urlsplit

from llm_assets.core.documents import canonical_url


class Scope:
    """``http://a.example/docs/start.html`` as a seed takes in all below ``http(s)://a.example/docs/``.

    ``include`` and ``exclude``: beginnings of paths (``/docs/``, or ``a.example/docs/`` for one host). A seed needs no include;
    an exclude counts for it too.
    """

    def __init__(self, seeds: Iterable[str], include: Collection[str] = (), exclude: Collection[str] = ()) -> None:
        self._folders: dict[str, list[str]] = {}
        self._seeds = frozenset(canonical_url(seed) for seed in seeds)
        self._include, self._exclude = tuple(include), tuple(exclude)
        for seed in self._seeds:
            parts = urlsplit(seed)
            self._folders.setdefault(parts.netloc, []).append(parts.path[: parts.path.rindex("/") + 1])

    def refuses(self, canonical: str) -> str | None:
        """Why a canonical URL does not belong, in a phrase; None where it does."""
        parts = urlsplit(canonical)
        if not any(parts.path.startswith(folder) for folder in self._folders.get(parts.netloc, ())):
            return "of another host, or above the seeds"
        excluded = _first(self._exclude, parts.netloc, parts.path)
        if excluded is not None:
            return f"exclude_paths: {excluded}"[:200]
        if self._include and canonical not in self._seeds and _first(self._include, parts.netloc, parts.path) is None:
            return "not in include_paths"
        return None


def _first(prefixes: Iterable[str], netloc: str, path: str) -> str | None:
    """The first of the prefixes that a path begins with."""
    for prefix in prefixes:
        if (path if prefix.startswith("/") else netloc + path).startswith(prefix):
            return prefix
    return None
