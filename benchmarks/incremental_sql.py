"""A crawl more in the warehouse: incremental models against building them in full.

    python benchmarks/incremental_sql.py [--crawls 20] [--documents 20000] [--repeats 2]

A store of so many crawls is built, each with the ledgers of four stages and an index of what was fetched (the store of
``benchmarks/explain.py``). ``stg_crawl_ledger`` and ``stg_raw_index`` are made of all crawls but the last; then the last comes.
Ours makes its rows and takes the others over; the peer is the same model built in full. The files must be equal, byte for byte.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import explain
from _results import best_of, record, table, versions

from llm_assets.core.artefact import Artefact
from llm_assets.core.manifest import hash_files
from llm_assets.core.store import Store
from llm_assets.sql import incremental
from llm_assets.sql.build import Sources, build
from llm_assets.stages.audit.project import project

MODELS = ("stg_crawl_ledger", "stg_raw_index")


def sources(store: Store, model: str, crawls: list[str]) -> Sources:
    found: dict[str, list[Artefact]] = {}
    for asset in project().source_assets(project().model(model)):
        current = [store.current(asset, crawl) for crawl in crawls]
        found[asset] = [artefact for artefact in current if artefact is not None]
    return found


def made(store: Store, model: str, crawls: list[str], target: Path, before: Path | None) -> int:
    """Build a model into a folder, with the table of another folder before it or none; returns the crawls taken over."""
    spec, read = project().model(model), sources(store, model, crawls)
    now = incremental.marks(project(), spec, read, {})
    known: frozenset[str] = frozenset()
    if before is not None:
        known = incremental.earlier(before, spec, f"{model}.parquet", now).crawls
    files = target / model / "all" / "made"
    earlier = before / model / "all" / "made" / f"{model}.parquet" if before is not None else None
    build(project(), spec, read, {}, files / f"{model}.parquet", {}, earlier, known)
    incremental.write_marks(files, now)
    (files / "manifest.json").write_text("{}")
    return len(known)


def main() -> int:
    """Run, print, record; 1 if the files differ or nothing was taken over."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--crawls", type=int, default=20)
    parser.add_argument("--documents", type=int, default=20_000)
    parser.add_argument("--repeats", type=int, default=2)
    given = parser.parse_args()
    rows, good = [], True
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        explain.build(root / "store", given.documents, given.crawls)
        store = Store(root / "store", explain.RECIPE)
        crawls = [f"crawl-{number}" for number in range(given.crawls)]
        for model in MODELS:
            made(store, model, crawls[:-1], root / "before", None)
            ours, known = best_of(given.repeats, lambda m=model: made(store, m, crawls, root / "ours", root / "before"))
            full, _ = best_of(given.repeats, lambda m=model: made(store, m, crawls, root / "full", None))
            tables = [hash_files(root / side / model / "all/made" / f"{model}.parquet") for side in ("ours", "full")]
            equal = tables[0] == tables[1]
            good = good and equal and known == given.crawls - 1
            rows.append(
                {"model": model, "incremental s": ours, "full s": full, "ratio": full / ours, "equal": "yes" if equal else "NO"}
            )
            print(f"{model}: {full / ours:.1f} × (full {full:.2f} s, incremental {ours:.2f} s), equal: {equal}")
    record(
        __file__,
        f"One crawl more after {given.crawls - 1}, {given.documents:,} documents each; {versions('duckdb')}.\n\n{table(rows)}",
    )
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
