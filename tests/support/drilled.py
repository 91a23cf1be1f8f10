"""A small real store to take things down from: three crawls of one's own files, made by the real stages up to the mix.

The victim's page has a word-for-word copy and a changed one in its own crawl; the second crawl meets it unchanged, and another
copy of it; the third has nothing to do with it.
"""

import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from llm_assets.core import embedded
from llm_assets.core.freshness import standings
from llm_assets.core.manifest import Manifest, content_digest, hash_files
from llm_assets.core.produce import accept_or_raise, produce
from llm_assets.core.recipe import Recipe, load_recipe
from llm_assets.core.store import Store
from llm_assets.stages import all_specs, spec_of
from tests.support import articles

FIRST, SECOND, THIRD = CRAWLS = ("one", "two", "three")
VICTIM = "http://victim.example/page"
BELOW = "http://sub.victim.example/other"
EXACT, NEAR, LATER = "http://wcopy.example/page", "http://xnear.example/page", "http://zlater.example/page"
ONCE = ("tombstones",)
OF_CRAWL = ("raw_crawl", "extracted_pages", "cleaned_corpus", "deduped_shards")
OF_ALL = ("training_mix",)
_DATE = "2026-10-01T00:00:00Z"


@cache
def texts() -> tuple[str, ...]:
    """English texts that pass the filters, each of its own article."""
    found = [one.text for one in embedded.articles() if one.lang == "en" and 90 < len(one.text.split()) < 140]
    return tuple(found[::23])


def victim() -> str:
    return texts()[0]


def rows(crawl: str, without: Sequence[str] = ()) -> list[dict[str, str]]:
    """The documents of a crawl, but for some addresses."""
    number = CRAWLS.index(crawl)
    pages = {f"http://site{number}.example/{at}": texts()[2 + 8 * number + at] for at in range(8)}
    if crawl == FIRST:
        changed = victim().split()
        changed[40] = changed[70] = "elsewhere"
        pages |= {VICTIM: victim(), BELOW: texts()[1], EXACT: victim(), NEAR: " ".join(changed)}
    if crawl == SECOND:
        pages |= {LATER: victim(), VICTIM: victim(), "http://site0.example/3": texts()[5]}
    return [{"url": url, "text": text, "date": _DATE} for url, text in pages.items() if url not in without]


class World:
    """A store, its inbox beside it, and a recipe."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.recipe: Recipe = load_recipe(
            "smoke",
            {
                "raw_crawl": {"inbox": str(folder / "inbox"), "snapshots": {"replace": True}},
                "tokenizer": {"vocab_size": 512, "crawls": [FIRST]},
                "training_mix": {"min_train_tokens": 100, "validation_fraction": 0.2},
            },
        )
        self.store = Store(folder / "store", self.recipe.name)

    def fill(self, crawl: str, without: Sequence[str] = ()) -> None:
        """Put a crawl's file into the inbox."""
        path = self.folder / "inbox" / crawl / "pages.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(json.dumps(row) + "\n" for row in rows(crawl, without)), "utf-8")

    def suite(self) -> None:
        """An evaluation suite of one page that no crawl has."""
        with self.store.work("eval_suite", "all", "suite") as work:
            articles.suite(work.files, [articles.article(1)])
            files = hash_files(work.files)
            about = {"asset": "eval_suite", "partition": "all", "identity": "suite", "digest": content_digest(files)}
            self.store.accept(self.store.publish(work, Manifest(**about, code_version="1", files=files)))

    def make(self, names: Sequence[str], crawl: str) -> None:
        """Materialise assets without Dagster."""
        for name in [one for one in all_specs() if one in names]:
            accept_or_raise(produce(self.store, spec_of(name), self.recipe.section(name), partition=crawl or "all"))

    def build(self, crawls: Sequence[str] = CRAWLS, without: Sequence[str] = ()) -> None:
        """Everything up to the mix."""
        self.make(ONCE, "")
        self.suite()
        for crawl in crawls:
            self.fill(crawl, without)
            for name in OF_CRAWL:
                self.make([name], crawl)
        self.make(["tokenizer"], "")
        for crawl in crawls:
            self.make(["tokenized_dataset"], crawl)
        self.make(OF_ALL, "")

    def standings(self):
        specs = all_specs()
        return standings(self.store, specs, {name: self.recipe.section(name) for name in specs})


class Hands:
    """Makes assets by ``produce`` alone, and keeps what it was told. ``stop_at``: raises before it makes this asset."""

    def __init__(self, world: World, stop_at: str = "") -> None:
        self.world, self.stop_at = world, stop_at
        self.made: list[tuple[str, str]] = []
        self.told = []

    def make(self, names, crawl):
        ordered = [one for one in (*ONCE, *OF_CRAWL, "tokenized_dataset", *OF_ALL) if one in names]
        for name in ordered:
            if name == self.stop_at:
                raise KeyboardInterrupt
            self.world.make([name], crawl)
            self.made.append((name, crawl))

    def tell(self, request):
        self.told.append(request.id)

    def history(self):
        return []

    def clean(self, change):
        self.cleaned = change(f"sample: {victim()}"), change("sample: another")
