"""What belongs to a crawl: the hosts of its seeds, below the folders of their paths."""

from collections.abc import Iterable
from urllib.parse import urlsplit

from llm_assets.core.documents import canonical_url


class Scope:
    """``http://a.example/docs/start.html`` as a seed takes in all below ``http(s)://a.example/docs/``."""

    def __init__(self, seeds: Iterable[str]) -> None:
        self._folders: dict[str, list[str]] = {}
        for seed in seeds:
            parts = urlsplit(canonical_url(seed))
            self._folders.setdefault(parts.netloc, []).append(parts.path[: parts.path.rindex("/") + 1])

    def holds(self, canonical: str) -> bool:
        """Whether a canonical URL belongs."""
        parts = urlsplit(canonical)
        return any(parts.path.startswith(folder) for folder in self._folders.get(parts.netloc, ()))
