"""The ledger of ``instruction_dataset``: of every page that deduplication kept, whether questions were made of it, or why not.

Interface strings come from a package and not from a crawl, so they have no line.
"""

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from llm_assets.core.artefact import Inputs
from llm_assets.core.ledger import Verdict, ledger_frame, ledger_row
from llm_assets.stages.sft.articles import plain

if TYPE_CHECKING:
    from llm_assets.stages.sft.instructions import Row


@dataclass(frozen=True)
class Choice:
    """What was chosen step by step: pages by doc_id, then rows before and after equal questions became one."""

    languages: Set[str]
    superseded: Mapping[str, str]  # doc_id → the newer page
    clear: Set[str]  # pages of articles that the evaluation does not ask about
    taken: Set[str]  # of these, the pages of the articles that were taken
    made: Sequence["Row"]
    kept: Sequence["Row"]
    splits: Mapping[str, str]  # article → split


def ledger(inputs: Inputs, choice: Choice, max_articles: int) -> pl.DataFrame:
    """A line a page, by crawl."""
    rows: dict[str, list[Row]] = {}
    for row in choice.kept:
        rows.setdefault(row.doc_id, []).append(row)
    stays = {(row.task, plain(row.prompt)): row.doc_id for row in choice.kept}
    twins = {row.doc_id: stays[row.task, plain(row.prompt)] for row in choice.made if row.doc_id not in rows}

    def verdict(doc: str, lang: str) -> Verdict:
        if doc in choice.superseded:
            return Verdict(False, "superseded", related_doc=choice.superseded[doc] or None)
        if lang not in choice.languages:
            return Verdict(False, "language_not_asked", detail=lang)
        if doc not in choice.clear:
            return Verdict(False, "held_out", detail="the evaluation asks about its article")
        if doc not in choice.taken:
            return Verdict(False, "over_max_articles", None, max_articles)
        if doc in twins:
            return Verdict(False, "repeated_question", related_doc=twins[doc])
        if doc not in rows:
            return Verdict(False, "no_question", detail="no title, description, topic or text to ask about")
        own = rows[doc]
        return Verdict(True, detail=f"{', '.join(sorted({row.task for row in own}))}; {choice.splits[own[0].article]}")

    pages = _pages(inputs)
    return ledger_frame(
        ledger_row(crawl, "instruction_dataset", doc, url, verdict(doc, lang)) for crawl, doc, url, lang in pages
    )


def _pages(inputs: Inputs) -> Iterator[tuple[str, str, str, str]]:
    """(crawl, doc_id, url, lang) of every page of every crawl, each once."""
    seen: set[str] = set()
    for crawl in inputs.many("deduped_shards"):
        for shard in crawl.shards():
            for doc, url, lang in pl.read_parquet(shard, columns=["doc_id", "url", "lang"]).iter_rows():
                if doc not in seen:
                    seen.add(doc)
                    yield crawl.partition, doc, url, lang


def superseded(inputs: Inputs) -> dict[str, str]:
    """doc_id of every page that a later crawl replaced → the page that it did."""
    found: dict[str, str] = {}
    for crawl in inputs.many("deduped_shards"):
        path = crawl.files / "superseded.parquet"
        if path.exists():
            found.update(pl.read_parquet(path, columns=["doc_id", "by_doc_id"]).iter_rows())
    return found
