"""Which article is shown where, and in which snapshot: every choice is a keyed hash, so it is the same on every machine.

A snapshot is the same site at another time. Articles that are held back appear with the later one, some change their text
and some vanish. What links to what never depends on the snapshot, except on the index pages, so that a page
without an edit is the same to the byte.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from llm_assets.core import embedded
from llm_assets.core.embedded import Article
from llm_assets.core.recipe.crawl import SiteConfig

WIKI, MIRROR, PRESS = "wiki.example", "mirror.example", "press.example"
HOSTS = (WIKI, MIRROR, PRESS)
FIRST, LATER = 1, 2
_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[^a-z])")


def draw(key: str, *parts: str) -> float:
    """A number in [0, 1) that depends on the key and the parts alone."""
    value = hashlib.blake2b("\0".join((key, *parts)).encode(), digest_size=8).digest()
    return int.from_bytes(value, "big") / 2**64


def sentences(text: str) -> list[str]:
    """A rough split, good enough to take one out."""
    return _SENTENCE.split(text)


@dataclass(frozen=True)
class Plan:
    """The articles of one snapshot, and the choices for each."""

    config: SiteConfig
    snapshot: int
    articles: tuple[Article, ...]  # shown now, by language and title
    planned: tuple[Article, ...]  # of all snapshots

    @classmethod
    def of(cls, config: SiteConfig, snapshot: int, source: Sequence[Article] | None = None) -> "Plan":
        """Choose the articles. Without ``source``: the embedded ones."""
        chosen: list[Article] = []
        pool = embedded.articles() if source is None else source
        for lang, most in config.articles.items():
            ranked = sorted((draw(config.key, "in", lang, a.slug), a.slug, a) for a in pool if a.lang == lang)
            chosen += sorted((a for *_, a in ranked[:most]), key=lambda a: (a.title, a.slug))
        shown = tuple(a for a in chosen if _is_shown(config, snapshot, a))
        return cls(config, snapshot, shown, tuple(chosen))

    def draw(self, what: str, article: Article) -> float:
        """The article's number for one choice."""
        return draw(self.config.key, what, article.lang, article.slug)

    @cached_property
    def by_lang(self) -> dict[str, list[Article]]:
        """The articles shown, by language."""
        found: dict[str, list[Article]] = {lang: [] for lang in self.config.articles}
        for article in self.articles:
            found[article.lang].append(article)
        return {lang: shown for lang, shown in found.items() if shown}

    @cached_property
    def topics(self) -> dict[tuple[str, str], list[Article]]:
        """(language, slug of the topic) → the articles shown."""
        found: dict[tuple[str, str], list[Article]] = {}
        for article in self.articles:
            found.setdefault((article.lang, embedded.slugify(article.topic)), []).append(article)
        return dict(sorted(found.items()))

    @cached_property
    def navigation(self) -> dict[str, list[tuple[str, str]]]:
        """Language → (address, name) of its topics."""
        found: dict[str, list[tuple[str, str]]] = {}
        for (lang, topic), shown in self.topics.items():
            found.setdefault(lang, []).append((f"/{lang}/topic/{topic}/", shown[0].topic))
        return found

    @cached_property
    def related(self) -> dict[tuple[str, str], list[Article]]:
        """(language, slug) → four articles of the same topic that the first snapshot had: some links die with the later one."""
        groups: dict[tuple[str, str], list[Article]] = {}
        for article in self.planned:
            groups.setdefault((article.lang, article.topic), []).append(article)
        found = {}
        for group in groups.values():
            linked = [a for a in group if _is_shown(self.config, FIRST, a)]
            ring = sorted(linked, key=lambda a: self.draw("ring", a))
            place = {a.slug: number for number, a in enumerate(ring)}
            for article in group:
                start = place.get(article.slug, 0)
                step = [ring[(start + offset) % len(ring)] for offset in range(1, 5)] if ring else []
                found[article.lang, article.slug] = [a for a in dict.fromkeys(step) if a.slug != article.slug]
        return found

    def text(self, article: Article) -> str:
        """The text now: edited in the later snapshot where the article was chosen to change."""
        if self.snapshot == FIRST or not self.is_changed(article):
            return article.text
        parts = sentences(article.text)
        if len(parts) > 2:
            del parts[1 + int(self.draw("cut", article) * (len(parts) - 1))]
        donor = self.related[article.lang, article.slug]
        note = sentences(donor[0].text)[0] if donor else "This entry was revised."
        return " ".join((*parts, note))

    def is_changed(self, article: Article) -> bool:
        """Whether the later snapshot edits this article."""
        return self.draw("changed", article) < self.config.changed_share

    def near_copy(self, article: Article) -> str:
        """The text as another publisher prints it: about one word in sixty is dropped, doubled or swapped with the next."""
        words = article.text.split(" ")
        edits = max(1, len(words) // 60)
        for number in range(edits):
            place = int(self.draw(f"edit {number}", article) * max(1, len(words) - 1))
            kind = int(self.draw(f"kind {number}", article) * 3)
            if kind == 0 and len(words) > 5:
                del words[place]
            elif kind == 1:
                words.insert(place, words[place])
            else:
                words[place : place + 2] = reversed(words[place : place + 2])
        return " ".join(words)

    def chosen(self, what: str, share: float) -> list[Article]:
        """The articles shown whose draw is below the share."""
        return [a for a in self.articles if self.draw(what, a) < share]


def _is_shown(config: SiteConfig, snapshot: int, article: Article) -> bool:
    when = draw(config.key, "when", article.lang, article.slug)
    if when < config.held_back_share:
        return snapshot >= LATER
    if when < config.held_back_share + config.vanished_share:
        return snapshot < LATER
    return True
