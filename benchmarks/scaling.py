"""Doubling the input of deduplication three times: seconds, slope of their logarithms, peak memory.

    python benchmarks/scaling.py [--documents 37500]

Each size runs in a process of its own (the smaller two twice: the faster counts), after a run on 200 documents that loads
what is loaded once. The largest default is 300,000 documents, some twenty times the demo. Memory is the peak of the whole
process, interpreter and libraries included.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from _results import record, table
from _texts import shards, suite

ONCE = Path(__file__).with_name("_dedup_once.py")


def once(out: Path, cleaned: Path, held_out: Path, older: list[Path], warm: Path | None = None) -> dict[str, float]:
    """One measured run; what it wrote stays in ``out``."""
    command = [sys.executable, str(ONCE), str(warm or "-"), *map(str, (out, cleaned, held_out, *older))]
    found: dict[str, float] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=37_500)
    arguments = parser.parse_args()
    rows: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        held_out, warm = suite(root / "suite"), shards(root / "small", 200, seed=0)
        for size in (arguments.documents << step for step in range(4)):
            cleaned = shards(root / f"in-{size}", size, seed=size)
            repeats = 2 if size <= 2 * arguments.documents else 1
            runs = [once(root / f"out-{size}", cleaned, held_out, [], warm) for _ in range(repeats)]
            best = min(runs, key=lambda run: run["seconds"])
            rows.append({"documents": size, "seconds": best["seconds"], "CPU seconds": best["cpu_seconds"]})
            rows[-1]["peak MiB"] = min(run["peak_bytes"] for run in runs) / 2**20
            rows[-1]["documents/s"] = size / best["seconds"]
            print(rows[-1], flush=True)
            shutil.rmtree(cleaned)
    sizes, seconds, cpu, peak = (
        np.array([row[key] for row in rows], float) for key in ("documents", "seconds", "CPU seconds", "peak MiB")
    )
    slope, cpu_slope = (np.polyfit(np.log(sizes), np.log(values), 1)[0] for values in (seconds, cpu))
    growth = np.polyfit(sizes, peak * 2**20, 1)[0]
    said = (
        f"Slope of log seconds over log documents: {slope:.2f} (processor time {cpu_slope:.2f}). Peak memory grows by "
        f"{growth:.0f} bytes a document, from {peak[0]:.0f} MiB at {sizes[0]:,.0f} documents to {peak[-1]:.0f} MiB at "
        f"{sizes[-1]:,.0f}."
    )
    print(said)
    record(__file__, f"deduped_shards alone, no older crawl.\n\n{table(rows)}\n\n{said}")


if __name__ == "__main__":
    main()
