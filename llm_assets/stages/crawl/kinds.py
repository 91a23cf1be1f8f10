"""What kind of source a document is from: by a rule on its address, by what it states, by its crawl, else by how it came.

A rule with ``*`` or ``/`` is a pattern on the canonical address without its scheme; the longest that fits counts, so the order
in a recipe says nothing. A rule without is a host.
"""

from collections.abc import Mapping
from fnmatch import fnmatchcase
from urllib.parse import urlsplit


class SourceKinds:
    """``rules``: host or pattern → kind. ``crawl_kind``: of what no rule names; "" leaves it to the source's own default."""

    def __init__(self, rules: Mapping[str, str], crawl_kind: str = "") -> None:
        patterns = {rule: kind for rule, kind in rules.items() if "*" in rule or "/" in rule}
        self._patterns = sorted(patterns.items(), key=lambda item: (-len(item[0]), item[0]))
        self._hosts = {rule: kind for rule, kind in rules.items() if rule not in patterns}
        self._crawl_kind = crawl_kind

    def of(self, canonical: str, default: str = "web", stated: str = "") -> str:
        """The kind of the document at a canonical URL; ``stated``: what the document says itself, which rules overrule."""
        if self._patterns:
            address = canonical.partition("://")[2]
            for pattern, kind in self._patterns:
                if fnmatchcase(address, pattern):
                    return kind
        if self._hosts:
            found = self._hosts.get(urlsplit(canonical).hostname or "")
            if found:
                return found
        return stated or self._crawl_kind or default
