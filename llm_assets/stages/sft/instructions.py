"""``instruction_dataset``: four tasks made of the pages' own titles, descriptions, sections and texts, and of strings.

Every row keeps the ``doc_id`` of the page it was made of, so that lineage and take-downs reach it. The answers are what people
wrote: the page's meta description, its ``article:section``, a translator's French. Nothing is generated.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import polars as pl

from llm_assets.core import embedded, prompts
from llm_assets.core.artefact import Inputs, WorkDir
from llm_assets.core.documents import canonical_url, doc_id, payload_digest
from llm_assets.core.errors import InputError
from llm_assets.core.jsonio import read_json
from llm_assets.core.ledger import write_ledger
from llm_assets.core.progress import Progress
from llm_assets.core.recipe.post_training import InstructionDatasetConfig
from llm_assets.core.report import Report
from llm_assets.stages.sft.articles import SPLITS, group, keyed_hash, keys_of, plain, split_of
from llm_assets.stages.sft.fates import Choice, ledger, superseded
from llm_assets.stages.sft.overlap import HeldOut

TASKS = ("describe", "summarise", "topic", "translate")
STRINGS_HOST = "pypi://jupyterlab-language-pack-fr-fr"
_NO_TIME = datetime(1970, 1, 1, tzinfo=UTC)  # the strings come from a package, not from a fetch

INSTRUCTIONS = pl.Schema(
    {
        "id": pl.String,  # hash of task, doc_id and prompt
        "doc_id": pl.String,
        "url": pl.String,
        "article": pl.String,  # what the split goes by: all pages of an article share it
        "task": pl.String,
        "prompt": pl.String,
        "answer": pl.String,
    }
)
_PAGE_COLUMNS = ["doc_id", "url", "canonical_url", "title", "description", "section", "text", "lang"]


@dataclass(frozen=True, slots=True)
class Row:
    """One instruction before it is given an id."""

    doc_id: str
    url: str
    article: str
    task: str
    prompt: str
    answer: str

    def values(self) -> tuple[str, ...]:
        """In the order of ``INSTRUCTIONS``."""
        number = f"{keyed_hash(self.task, self.doc_id, self.prompt):016x}"
        return (f"{self.task}-{number}", self.doc_id, self.url, self.article, self.task, self.prompt, self.answer)


def run(inputs: Inputs, out: WorkDir, config: InstructionDatasetConfig, progress: Progress) -> Report:
    """Write the three splits. Raises ``InputError`` where no page gives a task."""
    suite = inputs.one("eval_suite")
    held_out = HeldOut.of(suite, config.overlap_words)
    topics = list(read_json(suite.file("suite.json"))["classes"])
    pages = read_pages(inputs, config.languages)
    addresses, titles = pages["canonical_url"].to_list(), pages["title"].to_list()
    articles = group([keys_of(*page) for page in zip(addresses, titles, strict=True)], addresses, config.max_shared_keys)
    pages = pages.with_columns(article=pl.Series(articles, dtype=pl.String))
    clear, n_held_out = _clear_of(pages, held_out, suite_titles(inputs), config)
    taken = _chosen(clear, config)
    asked = list(_page_rows(taken, set(topics), config))
    rows, n_repeated = _distinct([*asked, *string_rows(held_out, config)])
    if not rows:
        raise InputError(
            f"no page in {', '.join(config.languages)} has a title, a description or a topic; "
            "check instruction_dataset.languages and the pages' meta tags"
        )
    frame = pl.DataFrame([row.values() for row in rows], schema=INSTRUCTIONS, orient="row")
    order = [keyed_hash("order", config.seed, number) for number in frame["id"]]
    split = [split_of(article, config.seed) for article in frame["article"]]
    frame = frame.with_columns(order=pl.Series(order, dtype=pl.UInt64), split=pl.Series(split, dtype=pl.String)).sort(
        "order", "id"
    )
    for done, name in enumerate(SPLITS, 1):
        frame.filter(pl.col("split") == name).select(INSTRUCTIONS.names()).write_parquet(
            out.files / f"{name}.parquet", compression="zstd"
        )
        progress.update(done, len(SPLITS), "splits")
    choice = Choice(
        languages=set(config.languages),
        superseded=superseded(inputs),
        clear=set(clear["doc_id"]),
        taken=set(taken["doc_id"]),
        made=asked,
        kept=rows,
        splits=dict(frame.select("article", "split").iter_rows()),
    )
    told = write_ledger(out.files, ledger(inputs, choice, config.max_articles))
    counts = {f"rows_{name}": split.count(name) for name in SPLITS}
    return Report(
        counts={
            **told,
            "pages_read": pages.height,
            "pages_held_out": n_held_out,
            "articles": frame["article"].n_unique(),
            "rows": frame.height,
            "rows_repeated": n_repeated,
            **counts,
        },
        metrics={"share_train": counts["rows_train"] / frame.height},
        tables={"rows by task and split": _table(frame)},
        samples={
            row["task"]: f"{row['prompt']}\n→ {row['answer']}"
            for row in frame.unique("task", keep="first", maintain_order=True).to_dicts()
        },
    )


def read_pages(inputs: Inputs, languages: Iterable[str]) -> pl.DataFrame:
    """Pages of all crawls in these languages that no later crawl superseded, sorted by doc_id; each doc_id once."""
    shards = [shard for crawl in inputs.many("deduped_shards") for shard in crawl.shards()]
    if not shards:
        raise InputError("there is no deduped crawl; materialise deduped_shards first")
    frame = pl.concat(
        pl.scan_parquet(shard).filter(pl.col("lang").is_in(list(languages))).select(_PAGE_COLUMNS) for shard in shards
    ).collect()
    gone = superseded(inputs)
    texts = [pl.col(name).fill_null("").str.strip_chars() for name in ("title", "description", "section", "text")]
    return frame.filter(~pl.col("doc_id").is_in(list(gone))).unique("doc_id").sort("doc_id").with_columns(texts)


def suite_titles(inputs: Inputs) -> set[str]:
    """Names of the held-out articles, plain, from the addresses of the suite's items."""
    import orjson

    suite = inputs.one("eval_suite")
    names: set[str] = set()
    for task, entry in read_json(suite.file("suite.json"))["tasks"].items():
        if task != "translate":
            for line in suite.file(entry["file"]).read_bytes().splitlines():
                names.update(keys_of(orjson.loads(line)["url"], ""))
    return names


def _clear_of(
    pages: pl.DataFrame, held_out: HeldOut, titles: set[str], config: InstructionDatasetConfig
) -> tuple[pl.DataFrame, int]:
    """Without the articles that the suite asks about: by text (deduplication should have dropped them) and by name."""
    bad = {
        article
        for article, title, text in pages.select("article", "title", "text").iter_rows()
        if plain(title) in titles or article in titles or held_out.overlap(text) > config.max_overlap
    }
    clear = pages.filter(~pl.col("article").is_in(list(bad)))
    return clear, pages.height - clear.height


def _chosen(pages: pl.DataFrame, config: InstructionDatasetConfig) -> pl.DataFrame:
    if not config.max_articles:
        return pages
    names = sorted(set(pages["article"]), key=lambda name: (keyed_hash("choose", config.seed, name), name))
    return pages.filter(pl.col("article").is_in(names[: config.max_articles]))


def _page_rows(pages: pl.DataFrame, topics: set[str], config: InstructionDatasetConfig) -> Iterator[Row]:
    for page in pages.iter_rows(named=True):
        origin = (page["doc_id"], page["url"], page["article"])
        n_words = len(page["description"].split())
        described = config.min_description_words <= n_words <= config.max_description_words
        has_text = len(page["text"].split()) >= config.min_text_words
        if described and page["title"]:
            yield Row(*origin, "describe", prompts.describe_prompt(page["title"]), page["description"])
        if described and has_text:
            yield Row(*origin, "summarise", prompts.summarise_prompt(page["text"]), page["description"])
        if has_text and page["section"] in topics:
            yield Row(*origin, "topic", prompts.topic_prompt(page["text"]), page["section"])


def string_rows(held_out: HeldOut, config: InstructionDatasetConfig) -> Iterator[Row]:
    """English interface strings and their French, without what the suite holds out on either side."""
    for english, french in embedded.interface_strings():
        long = max(len(english.split()), len(french.split())) > config.max_string_words
        if long or not plain(english) or held_out.has_string(english) or held_out.has_string(french):
            continue
        digest = payload_digest(f"{english}\n{french}".encode())
        url = canonical_url(f"{STRINGS_HOST}/strings/{keyed_hash(english):016x}")
        yield Row(
            doc_id(url, _NO_TIME, digest),
            url,
            f"string {plain(english)}",
            "translate",
            prompts.translate_prompt(english),
            french,
        )


def _distinct(rows: Iterable[Row]) -> tuple[list[Row], int]:
    """Each prompt once within a task (pages that differ beyond the clip only ask the same twice); the smallest doc_id stays."""
    kept: dict[tuple[str, str], Row] = {}
    total = 0
    for row in sorted(rows, key=lambda row: (row.task, row.doc_id, row.prompt)):
        total += 1
        kept.setdefault((row.task, plain(row.prompt)), row)
    return list(kept.values()), total - len(kept)


def _table(frame: pl.DataFrame) -> list[dict[str, object]]:
    counts = Counter(frame.select("task", "split").iter_rows())
    return [{"task": task, **{name: counts[task, name] for name in SPLITS}} for task in TASKS]
