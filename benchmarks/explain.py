"""``llm-assets explain`` over a million ledger rows: the whole command, the question alone, and DuckDB asked the same.

    python benchmarks/explain.py [--documents 135000] [--crawls 2] [--repeats 5]

A store is built whose crawls have a ledger each for fetching, extraction, cleaning and deduplication: 1,000,000 rows by
default. Four questions are asked: a dropped duplicate by its address, a kept page by its id, an address that was never stored,
and one with another scheme and a closing slash, which no crawl met. Ours is timed as a user has it (start of the interpreter
included) and by itself; DuckDB filters the same Parquet files by document and address, in one statement. The median of the
repeats counts.
"""

import argparse
import hashlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import polars as pl
from _results import record, table, versions

from llm_assets.core import rowindex
from llm_assets.core.documents import RAW_INDEX
from llm_assets.core.errors import InputError
from llm_assets.core.ledger import LEDGER, write_ledger
from llm_assets.core.manifest import Manifest
from llm_assets.core.store import Store
from llm_assets.stages.audit.lookup import current_inputs, look_up

STAGES = ("raw_crawl", "extracted_pages", "cleaned_corpus", "deduped_shards")
DROPPED = {
    "raw_crawl": ("robots", 11),  # of these nothing was stored
    "extracted_pages": ("extract_no_text", 9),
    "cleaned_corpus": ("gopher_min_words", 7),
    "deduped_shards": ("near_duplicate", 5),
}
RECIPE = "demo"
UNMET = "another scheme and a slash"


def doc(crawl: int, number: int) -> str:
    return hashlib.blake2b(f"{crawl} {number}".encode(), digest_size=16).hexdigest()


def url(number: int) -> str:
    return f"https://host{number % 997}.example/section-{number % 31}/{doc(-1, number)[:10]}/page-{number}"


def build(root: Path, documents: int, crawls: int) -> int:
    """Publish the artefacts that ``explain`` reads; returns the rows of all ledgers."""
    store, rows = Store(root, RECIPE), 0
    for crawl in range(crawls):
        name = f"crawl-{crawl}"
        store.number_crawl(name)
        ids = [doc(crawl, number) for number in range(documents)]
        whole = pl.DataFrame({"doc_id": ids, "url": [url(crawl * documents // 2 + n) for n in range(documents)]})
        fetched = whole.filter(~_dropped("raw_crawl"))
        for stage in STAGES:
            files = store.folder(stage, name, "made")
            files.mkdir(parents=True)
            rows += ledger(files, stage, name, whole if stage == "raw_crawl" else fetched)
            if stage == "raw_crawl":
                index(fetched).write_parquet(files / "index.parquet", compression="zstd", row_group_size=rowindex.GROUP_ROWS)
            if stage == "deduped_shards":
                empty = pl.DataFrame(schema={"doc_id": pl.String, "by_doc_id": pl.String, "crawl": pl.String})
                empty.write_parquet(files / "superseded.parquet")
            rowindex.write(files)
            Manifest(asset=stage, partition=name, identity="made", digest="d", code_version="1", recipe=RECIPE).save(files)
            found = store.find(stage, name, "made")
            assert found is not None
            store.accept(found)
    return rows


def _dropped(stage: str) -> pl.Expr:
    return pl.int_range(pl.len()) % DROPPED[stage][1] == 3


def ledger(files: Path, stage: str, crawl: str, whole: pl.DataFrame) -> int:
    rule, _ = DROPPED[stage]
    dropped = _dropped(stage)
    frame = whole.select(
        "url",
        crawl=pl.lit(crawl),
        stage=pl.lit(stage),
        doc_id=pl.when(dropped & (pl.lit(stage) == "raw_crawl")).then(None).otherwise("doc_id"),
        kept=~dropped,
        rule=pl.when(dropped).then(pl.lit(rule)).otherwise(pl.lit("kept")),
        value=pl.when(dropped).then(0.91),
        threshold=pl.when(dropped).then(0.8),
        related_doc=pl.when(dropped & (pl.lit(stage) == "deduped_shards")).then(pl.col("doc_id").shift(1)),
        detail=pl.lit(None, pl.String),
    )
    write_ledger(files, frame.select(LEDGER.names()).cast(LEDGER))
    return frame.height


def index(whole: pl.DataFrame) -> pl.DataFrame:
    empty = {name: pl.lit(None, kind).alias(name) for name, kind in RAW_INDEX.items()}
    given = {"canonical_url": pl.col("url"), "fetched_at": pl.lit(datetime(2026, 11, 1, tzinfo=UTC))}
    frame = whole.with_columns(expr for name, expr in empty.items() if name not in ("doc_id", "url"))
    return frame.with_columns(**given)[RAW_INDEX.names()]


def questions(root: Path) -> dict[str, str]:
    path = next(root.glob("deduped_shards/crawl-0/*/ledger.parquet"))
    found = pl.read_parquet(path)
    raw = pl.read_parquet(next(root.glob("raw_crawl/crawl-0/*/ledger.parquet")))
    duplicate = found.filter(pl.col("rule") == "near_duplicate")["url"][1000]
    return {
        "a duplicate by its address": duplicate,
        "a kept page by its id": found.filter("kept")["doc_id"][2000],
        "an address never stored": raw.filter(pl.col("doc_id").is_null())["url"][500],
        UNMET: duplicate.replace("https:", "http:") + "/",
    }


def asked(root: Path, what: str) -> bool:
    """Ask; whether some crawl met it."""
    inputs = current_inputs(Store(root, RECIPE))
    try:
        return bool(look_up(inputs, what).judgements)
    except InputError:
        return False


def duck(root: Path, what: str) -> None:
    files = [str(path) for path in root.glob("*/*/*/ledger.parquet")]
    rows = "select doc_id from read_parquet($files) where url = $what or doc_id = $what"
    sql = f"select * from read_parquet($files) where url = $what or doc_id in ({rows})"
    duckdb.connect().execute(sql, {"files": files, "what": what}).fetchall()


def command(root: Path, what: str) -> None:
    environment = {**os.environ, "LLM_ASSETS_STORE": str(root), "LLM_ASSETS_RECIPE": RECIPE}
    subprocess.run([sys.executable, "-m", "llm_assets.cli", "explain", what], env=environment, capture_output=True, check=False)


def median(run: Callable[[Path, str], object], root: Path, what: str, repeats: int) -> float:
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        run(root, what)
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--documents", type=int, default=135_000, help="of each crawl")
    parser.add_argument("--crawls", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        rows = build(root, given.documents, given.crawls)
        lines: list[dict[str, object]] = []
        for name, what in questions(root).items():
            assert asked(root, what) == (name != UNMET), name
            whole, alone, theirs = (median(run, root, what, given.repeats) for run in (command, asked, duck))
            line = {"question": name, "command s": whole, "alone s": alone, "DuckDB s": theirs, "ratio": theirs / alone}
            lines.append(line)
            print("  ".join(f"{key} {value:.3f}" if isinstance(value, float) else str(value) for key, value in line.items()))
    slowest = max(float(str(line["command s"])) for line in lines)
    said = f"{rows:,} ledger rows in {given.crawls} crawls; the slowest command took {slowest:.2f} s"
    print(said)
    record(__file__, f"{said}. DuckDB scans the same ledgers ({versions('duckdb', 'polars')}).\n\n{table(lines)}")


if __name__ == "__main__":
    main()
