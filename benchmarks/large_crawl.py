"""A crawl of more than a gigabyte of HTML through the data stages, and halves of it: seconds, slope, memory of all processes.

    python benchmarks/large_crawl.py [--megabytes 1040] [--halvings 3] [--pages FOLDER]

Real documentation pages (``_pages``), one WARC file a size; import, extraction, cleaning, deduplication and encoding as the
demo makes them, in a process of its own for each size, which makes a crawl of 1,000 pages first: that loads what is loaded once
a process (compiled loops, language model, plots), and its seconds are told apart. Memory is the sum over that process and all
it starts, looked at every quarter of a second.
"""

import argparse
import json
import math
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import _pages
from _results import record, table

CRAWL, WARM_PAGES = "docs-2026-11", 1_000
STAGES = ("raw_crawl", "extracted_pages", "cleaned_corpus", "deduped_shards", "tokenizer", "tokenized_dataset")


def whole(root: Path) -> dict[str, float]:
    """Make the crawl below ``root``: seconds of each stage, peak bytes of the process tree, documents kept.

    ``first``: seconds of the small crawl before it.
    """
    first = line(root / "warm")
    return {**line(root / "all"), "first": sum(first[name] for name in STAGES if name in first)}


def line(root: Path) -> dict[str, float]:
    """All stages of one crawl."""
    from llm_assets.core.memory import PeakMemory
    from llm_assets.core.produce import produce
    from llm_assets.core.recipe import Recipe
    from llm_assets.core.store import Store
    from llm_assets.stages import all_specs

    recipe = Recipe.model_validate({"name": "benchmark", "raw_crawl": {"snapshots": {}, "inbox": str(root / "inbox")}})
    store, specs = Store(root / "store", recipe.name), all_specs()
    coming = [(specs[name], recipe.section(name)) for name in STAGES]
    seconds, kept = {}, 0
    with PeakMemory(interval_s=0.25) as memory:
        for name in ("tombstones", "eval_suite", *STAGES):
            start = time.perf_counter()
            partition = {"partition": CRAWL} if specs[name].partitioned else {}
            outcome = produce(store, specs[name], recipe.section(name), coming=coming, **partition)
            if outcome.failed:
                print(f"{name}: {', '.join(outcome.failed)}", file=sys.stderr)
                store.accept(outcome.artefact)
            seconds[name] = time.perf_counter() - start
            kept = outcome.report.counts.get("kept", kept)
    return {
        **{name: seconds[name] for name in STAGES if name != "tokenizer"},
        "peak_bytes": float(memory.peak_bytes),
        "kept": kept,
    }


def one_size(root: Path, files: list[Path]) -> dict[str, object]:
    shutil.rmtree(root, ignore_errors=True)
    for name, chosen in (("warm", files[:WARM_PAGES]), ("all", files)):
        inbox = root / name / "inbox" / CRAWL
        inbox.mkdir(parents=True)
        count, size = _pages.warc(chosen, inbox / "docs.warc.gz")
    done = subprocess.run([sys.executable, __file__, "--root", str(root)], stdout=subprocess.PIPE, text=True, check=True)
    found = json.loads(done.stdout.splitlines()[-1])
    stages = {name.removesuffix("_dataset"): found[name] for name in STAGES if name in found}
    total = sum(stages.values())
    row = {"MB of HTML": round(size / 1e6), "pages": count, "first": found["first"], **stages}
    row |= {"seconds": total, "MB/s": size / 1e6 / total}
    return {**row, "peak MiB": round(found["peak_bytes"] / 2**20), "kept": int(found["kept"])}


def slope(rows: list[dict[str, object]]) -> float:
    """Least squares of log seconds over log bytes."""
    points = [(math.log(float(str(row["MB of HTML"]))), math.log(float(str(row["seconds"])))) for row in rows]
    mean_x, mean_y = (sum(values) / len(points) for values in zip(*points, strict=True))
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / sum((x - mean_x) ** 2 for x, _ in points)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=1_040, help="HTML of the largest crawl")
    parser.add_argument("--halvings", type=int, default=3)
    parser.add_argument("--pages", default="", help="a folder with .html files, instead of Debian's documentation")
    parser.add_argument("--root", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.root:
        print(json.dumps(whole(Path(arguments.root))))
        return
    files = _pages.pages((*_pages.MANUALS, *_pages.LARGE), arguments.pages)
    sizes = [page.stat().st_size for page in files]
    rows: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory() as name:
        for halving in reversed(range(arguments.halvings + 1)):
            wanted, chosen, filled = arguments.megabytes * 1e6 / 2**halving, [], 0
            for page, size in zip(files, sizes, strict=True):
                if filled < wanted:
                    chosen.append(page)
                    filled += size
            if filled < wanted:
                raise SystemExit(
                    f"the pages have {filled / 1e6:.0f} MB of HTML; {wanted / 1e6:.0f} are needed: lower --megabytes"
                )
            rows.append(one_size(Path(name) / "crawl", chosen))
            print(rows[-1], flush=True)
    least, most = rows[0], rows[-1]
    said = f"Slope of log seconds over log bytes: {slope(rows):.2f} (the goal is 0.95 to 1.1). Peak memory of all processes "
    said += f"together: {least['peak MiB']} MiB at {least['MB of HTML']} MB, {most['peak MiB']} MiB at {most['MB of HTML']} MB."
    print(said)
    record(__file__, f"{table(rows)}\n\n{said}")


if __name__ == "__main__":
    main()
