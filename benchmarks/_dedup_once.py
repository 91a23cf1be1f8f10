"""One run of ``deduped_shards`` in a process of its own, so that peak memory is its own: prints seconds and bytes as JSON.

    python benchmarks/_dedup_once.py WARM OUT CLEANED SUITE [OLDER …]

OUT, CLEANED and OLDER are folders named after crawls; the clock starts after the imports and stops when all files are
written. WARM is "-", or a small cleaned crawl that is run first: loading compiled code takes three tenths of a
second, once a process.
"""

import json
import resource
import shutil
import sys
import time
from pathlib import Path

from llm_assets.core.artefact import Inputs, WorkDir
from llm_assets.core.progress import Silent
from llm_assets.core.recipe.corpus import DedupedShardsConfig
from llm_assets.stages.dedup.run import run


def main(arguments: list[str]) -> None:
    out, cleaned, suite, *older = (Path(argument) for argument in arguments[1:])
    if arguments[0] != "-":
        measured(out.with_name("warm"), Path(arguments[0]), suite, [])
    print(json.dumps(measured(out, cleaned, suite, older)))


def measured(out: Path, cleaned: Path, suite: Path, older: list[Path]) -> dict[str, object]:
    """Run once; what it wrote stays in ``out``, an old ``out`` doesn't."""
    shutil.rmtree(out, ignore_errors=True)
    inputs = Inputs.of({"cleaned_corpus": [cleaned], "eval_suite": [suite], "deduped_shards": older})
    private = out.with_name(f"{out.name}.private")
    out.mkdir(parents=True)
    before = resource.getrusage(resource.RUSAGE_SELF)
    start = time.perf_counter()
    report = run(inputs, WorkDir(out, private, out.name, "deduped_shards"), DedupedShardsConfig(), Silent())
    seconds = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_SELF)
    shutil.rmtree(private)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    peak = after.ru_maxrss * 1024
    return {"seconds": seconds, "cpu_seconds": cpu, "peak_bytes": peak, "counts": report.counts}


if __name__ == "__main__":
    main(sys.argv[1:])
