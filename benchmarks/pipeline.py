"""WARC file → clean text → deduplicated → token shards, end to end: our stages, and datatrove's stock blocks. Pages a second.

    python benchmarks/pipeline.py [--documents 4000] [--pages FOLDER]

Both get the same WARC file of real documentation pages (``_pages``), the same tokenizer file and all cores; each runs in a
process of its own, and the clock runs between its imports and the last file. Ours is the five assets as the demo makes them:
crawl imported and each record's digest checked, identities and manifests, ledgers, samples, gates, great-expectations,
decontamination. Not timed: the evaluation suite, and the training of the tokenizer, which the peer gets.

The peer is the job as FineWeb's was: WarcReader, Trafilatura, LanguageFilter, the Gopher, C4 and FineWeb filters, MinHash in
its four steps, PIIFormatter, DocumentTokenizer, with their defaults, each step on as many tasks as there are cores (or bands).
Its language model is the file that ours uses, as its own would be fetched from the net. Each keeps by its own rules; what they
kept is printed.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import _pages
from _peers import FASTTEXT, SPACY, WARC, XXHASH, environment, packages
from _results import record, table, versions

from llm_assets.core.machine import available_cores

CRAWL = "docs-2026-11"
FILES = 4
PAGES = ("raw_crawl", "extracted_pages", "cleaned_corpus", "deduped_shards")


def ours(root: Path) -> dict[str, float]:
    """Seconds, and documents after each step."""
    from llm_assets.core.produce import produce
    from llm_assets.core.recipe import Recipe
    from llm_assets.core.spec import AssetSpec
    from llm_assets.core.store import Store
    from llm_assets.stages import all_specs

    recipe = Recipe.model_validate(
        {
            "name": "benchmark",
            "raw_crawl": {"snapshots": {}, "inbox": str(root / "inbox")},
            "tokenizer": {"crawls": [CRAWL]},
        }
    )
    store, specs, counts = Store(root / "store", recipe.name), all_specs(), {}
    coming = [(specs[name], recipe.section(name)) for name in PAGES]

    def make(name: str) -> None:
        spec: AssetSpec = specs[name]
        partition = {"partition": CRAWL} if spec.partitioned else {}
        outcome = produce(store, spec, recipe.section(name), coming=coming, **partition)
        if outcome.failed:
            store.accept(outcome.artefact)  # gates are judged; which of them a page set of this size passes is not asked
        counts[name] = float(outcome.report.counts.get("kept", 0))

    make("tombstones")
    make("eval_suite")
    start = time.perf_counter()
    for name in PAGES:
        make(name)
    seconds = time.perf_counter() - start
    make("tokenizer")
    tokenizer = store.current("tokenizer")
    assert tokenizer is not None
    (root / "tokenizer.json").write_bytes((tokenizer.files / "tokenizer.json").read_bytes())
    start = time.perf_counter()
    make("tokenized_dataset")
    return {
        "seconds": seconds + time.perf_counter() - start,
        "clean": counts["cleaned_corpus"],
        "kept": counts["deduped_shards"],
    }


def datatrove(root: Path) -> dict[str, float]:
    """The same from datatrove's blocks."""
    from datatrove.executor import LocalPipelineExecutor
    from datatrove.pipeline import filters
    from datatrove.pipeline.dedup import MinhashDedupCluster, MinhashDedupFilter, MinhashDedupSignature
    from datatrove.pipeline.dedup.minhash import MinhashConfig, MinhashDedupBuckets
    from datatrove.pipeline.extractors import Trafilatura
    from datatrove.pipeline.formatters import PIIFormatter
    from datatrove.pipeline.readers import JsonlReader, WarcReader
    from datatrove.pipeline.tokens import DocumentTokenizer
    from datatrove.pipeline.writers import JsonlWriter
    from fasttext.FastText import _FastText

    from llm_assets.stages.clean.language import model_file

    class Identified(filters.LanguageFilter):
        """The stock filter, with a model file that is here already; opened in the process that uses it."""

        def filter(self, doc):  # type: ignore[no-untyped-def]  # noqa: ANN001
            if self.model._model is None:
                self.model._model = _FastText(str(model_file()))
            return super().filter(doc)

    cores, config = available_cores(), MinhashConfig()
    folders = {name: str(root / "datatrove" / name) for name in ("clean", "signed", "buckets", "removed", "kept", "tokens")}

    def step(pipeline: list[object], tasks: int = cores) -> None:
        LocalPipelineExecutor(pipeline, tasks=tasks, workers=min(cores, tasks), logging_dir=None, skip_completed=False).run()

    start = time.perf_counter()
    step(
        [
            WarcReader(str(root / "inbox" / CRAWL)),
            Trafilatura(),
            Identified(),
            filters.GopherRepetitionFilter(),
            filters.GopherQualityFilter(),
            filters.C4QualityFilter(filter_no_terminal_punct=False),
            filters.FineWebQualityFilter(),
            JsonlWriter(folders["clean"]),
        ]
    )
    step([JsonlReader(folders["clean"]), MinhashDedupSignature(folders["signed"], config)])
    step([MinhashDedupBuckets(folders["signed"], folders["buckets"], config=config)], config.num_buckets)
    step([MinhashDedupCluster(folders["buckets"], folders["removed"], config=config)], 1)
    step([JsonlReader(folders["clean"]), MinhashDedupFilter(folders["removed"]), PIIFormatter(), JsonlWriter(folders["kept"])])
    step(
        [
            JsonlReader(folders["kept"]),
            DocumentTokenizer(folders["tokens"], str(root / "tokenizer.json"), shuffle_documents=False),
        ]
    )
    seconds = time.perf_counter() - start
    return {"seconds": seconds, "clean": float(_lines(folders["clean"])), "kept": float(_lines(folders["kept"]))}


def _lines(folder: str) -> int:
    import gzip

    return sum(sum(1 for _ in gzip.open(path)) for path in Path(folder).glob("*.jsonl.gz"))


ENGINES = {"ours": ours, "datatrove": datatrove}


def run_one(engine: str, root: Path) -> dict[str, float]:
    """One engine in a process of its own."""
    path = packages(*XXHASH, *SPACY, *WARC, *FASTTEXT) if engine == "datatrove" else None
    command = [sys.executable, __file__, "--engine", engine, str(root)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment(path))
    if done.returncode:
        raise SystemExit(f"{engine} ended with exit code {done.returncode}:\n{done.stderr[-3000:]}")
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=4_000)
    parser.add_argument("--pages", default="", help="a folder with .html files, instead of Debian's documentation")
    parser.add_argument("--engine", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.engine:
        engine, root = arguments.engine
        print(json.dumps(ENGINES[engine](Path(root))))
        return
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        (root / "inbox" / CRAWL).mkdir(parents=True)
        files = _pages.pages(folder=arguments.pages)[: arguments.documents]
        count = size = 0
        for part in range(FILES):  # the peer reads a file on one core
            pages, html = _pages.warc(files[part::FILES], root / "inbox" / CRAWL / f"docs-{part}.warc.gz")
            count, size = count + pages, size + html
        rows: list[dict[str, object]] = []
        for engine in ENGINES:
            found = run_one(engine, root)
            rows.append({"engine": engine, "pages/s": count / found["seconds"], **found})
            print(rows[-1], flush=True)
    said = f"Ours: {rows[1]['seconds'] / rows[0]['seconds']:.1f}x as fast as datatrove's blocks."  # type: ignore[operator]
    print(said)
    described = f"{count:,} documentation pages, {size / 1e6:.0f} MB of HTML; {versions('datatrove', 'trafilatura')}."
    record(__file__, f"{described}\n\n{table(rows)}\n\n{said}")


if __name__ == "__main__":
    main()
