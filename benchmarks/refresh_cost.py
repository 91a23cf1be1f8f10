"""What one new crawl costs over a history of 1, 4 and 16 crawls as large as itself: signing, look-up, comparison, writing.

    python benchmarks/refresh_cost.py [--documents 10000]

The history is deduplicated crawl by crawl, as it would grow. Then the same new crawl is run over its first 1, 4 and 16
crawls, in turns, each time in a process of its own; the fastest of three counts. A fifth of the new crawl are pages of the
history, with a few words changed or none.
"""

import argparse
import shutil
import tempfile
from pathlib import Path

import polars as pl
from _results import record, table
from _texts import shards, suite
from scaling import once

HISTORIES = (1, 4, 16)
GOAL = 1.5


def with_old_pages(cleaned: Path, history: list[Path]) -> None:
    """Put texts of older crawls in the place of every fifth text, the older crawls in turn; half of them lose their last
    word.
    """
    old = [pl.read_parquet(sorted(crawl.glob("shards/*.parquet"))[0], columns=["text"])["text"].to_list() for crawl in history]
    number = 0
    for shard in sorted(cleaned.glob("shards/*.parquet")):
        frame = pl.read_parquet(shard)
        texts = frame["text"].to_list()
        for place in range(0, len(texts), 5):
            crawl = old[number % len(old)]
            text = crawl[number // len(old) % len(crawl)]
            texts[place] = text if number % 2 else text.rsplit(" ", 1)[0]
            number += 1
        frame.with_columns(text=pl.Series(texts)).write_parquet(shard, compression="zstd")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=10_000)
    arguments = parser.parse_args()
    runs: dict[int, list[dict[str, float]]] = {size: [] for size in HISTORIES}
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        held_out = suite(root / "suite")
        older: list[Path] = []
        for number in range(max(HISTORIES)):
            cleaned = shards(root / f"in/old-{number:02d}", arguments.documents, seed=number)
            once(root / f"out/old-{number:02d}", cleaned, held_out, older)
            older.append(root / f"out/old-{number:02d}")
            shutil.rmtree(cleaned)
        new = shards(root / "in/new", arguments.documents, seed=99)
        with_old_pages(new, older)
        for _ in range(3):
            for size in HISTORIES:
                runs[size].append(once(root / "out/new", new, held_out, older[:size]))
    rows = []
    for size in HISTORIES:
        best = min(runs[size], key=lambda run: run["seconds"])
        peak = min(run["peak_bytes"] for run in runs[size]) / 2**20
        rows.append({"older crawls": size, "their documents": size * arguments.documents, "new documents": arguments.documents})
        rows[-1] |= {"seconds": best["seconds"], "CPU seconds": best["cpu_seconds"], "peak MiB": peak}
        rows[-1] |= {"kept": best["counts"]["kept"]}
        print(rows[-1])
    ratio, cpu = (rows[-1][key] / rows[0][key] for key in ("seconds", "CPU seconds"))
    said = (
        f"Cost over 16 crawls to cost over 1: {ratio:.2f} (processor time {cpu:.2f}; the goal is at most {GOAL}). "
        f"Peak memory: {rows[-1]['peak MiB'] / rows[0]['peak MiB']:.2f} times."
    )
    print(said)
    record(__file__, f"{table(rows)}\n\n{said}")


if __name__ == "__main__":
    main()
