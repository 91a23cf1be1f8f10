"""MinHash deduplication, from Parquet texts to Parquet survivors: ours, datatrove's pipeline, datasketch. Seconds and accuracy.

    python benchmarks/dedup.py [--documents 8000] [--parts 8]

Same texts for all (mixed Wikipedia introductions of some 600 words, 15 % of them copies, see ``_texts``), each engine in a
process of its own, the clock between the imports and the last file. Our compiled loops count as imports, as the peers' do: a
run on 200 texts loads them before the clock starts; the row "ours, unloaded" goes without. Ours does more in that time: exact
copies, measured similarity, decontamination, index, ledger. datatrove runs its four steps as documented, with its default 14
buckets of 8 hashes, on all cores, and with its default words for English (spaCy's); a second time with words cut at white
space, which is faster. datasketch has 125 permutations in 25 bands of 5, as ours, and drops a text whose estimated similarity
to a kept one is 0.8. Both compare runs of five words.

The peers are fetched into a temporary folder at the first run: datatrove needs an older xxhash than the rest of the project.
Accuracy is judged against the exact Jaccard similarity of all pairs that share a run of five words: of the pairs at 0.8 or more
the share of which one went (recall), and of the texts that went the share that had such a partner (precision).
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from pathlib import Path

import polars as pl
from _peers import DATASKETCH, SPACY, XXHASH, environment, packages
from _results import record, table
from _texts import shards, suite

from llm_assets.core.machine import available_cores

THRESHOLD, WIDTH = 0.8, 5


def ours(cleaned: Path, out: Path) -> float:
    from _dedup_once import measured

    measured(out / "small", cleaned.parent / "small", cleaned.parent / "suite", [])
    return unloaded(cleaned, out)


def unloaded(cleaned: Path, out: Path) -> float:
    from _dedup_once import measured

    return float(measured(out / "files", cleaned, cleaned.parent / "suite", [])["seconds"])  # type: ignore[arg-type]


def datatrove(cleaned: Path, out: Path) -> float:
    from datatrove.utils.typeshelper import Languages

    return _datatrove(cleaned, out, Languages.english)


def datatrove_white_space(cleaned: Path, out: Path) -> float:
    from datatrove.utils.word_tokenizers import WhitespaceTokenizer

    return _datatrove(cleaned, out, WhitespaceTokenizer())


def _datatrove(cleaned: Path, out: Path, language: object) -> float:
    from datatrove.executor import LocalPipelineExecutor
    from datatrove.pipeline.dedup import MinhashDedupCluster, MinhashDedupFilter, MinhashDedupSignature
    from datatrove.pipeline.dedup.minhash import MinhashConfig, MinhashDedupBuckets
    from datatrove.pipeline.readers import ParquetReader
    from datatrove.pipeline.writers import ParquetWriter

    config, cores = MinhashConfig(), available_cores()

    def step(pipeline: list[object], tasks: int) -> None:
        LocalPipelineExecutor(pipeline, tasks=tasks, workers=min(cores, tasks), logging_dir=None, skip_completed=False).run()

    def reader() -> ParquetReader:
        return ParquetReader(str(cleaned / "shards"), id_key="doc_id")

    folders = [str(out / name) for name in ("signatures", "buckets", "removed", "survivors")]
    start = time.perf_counter()
    step([reader(), MinhashDedupSignature(folders[0], config, language=language)], cores)
    step([MinhashDedupBuckets(folders[0], folders[1], config=config)], config.num_buckets)
    step([MinhashDedupCluster(folders[1], folders[2], config=config)], 1)
    step([reader(), MinhashDedupFilter(folders[2]), ParquetWriter(folders[3])], cores)
    return time.perf_counter() - start


def datasketch(cleaned: Path, out: Path) -> float:
    from datasketch import MinHash, MinHashLSH

    start = time.perf_counter()
    frame = pl.read_parquet(cleaned / "shards/*.parquet", columns=["doc_id", "text"])
    index = MinHashLSH(threshold=THRESHOLD, num_perm=125, params=(25, 5))
    kept, known = [], {}
    for name, text in frame.iter_rows():
        words = text.lower().split()
        sketch = MinHash(num_perm=125)
        sketch.update_batch([" ".join(words[at : at + WIDTH]).encode() for at in range(len(words) - WIDTH + 1)])
        if all(sketch.jaccard(known[other]) < THRESHOLD for other in index.query(sketch)):
            index.insert(name, sketch)
            known[name] = sketch
            kept.append(name)
    survivors = frame.filter(pl.col("doc_id").is_in(kept)).rename({"doc_id": "id"})
    (out / "survivors").mkdir()
    survivors.write_parquet(out / "survivors/00000.parquet")
    return time.perf_counter() - start


OURS = ("ours", "ours, unloaded")
ENGINES = {
    "ours": ours,
    "ours, unloaded": unloaded,
    "datatrove": datatrove,
    "datatrove, white space": datatrove_white_space,
    "datasketch": datasketch,
}


def survivors(engine: str, out: Path) -> set[str]:
    folder, column = ("files/shards", "doc_id") if engine in OURS else ("survivors", "id")
    return set(pl.read_parquet(f"{out}/{folder}/**/*.parquet", columns=[column])[column])


def similar_pairs(cleaned: Path) -> list[tuple[str, str]]:
    """All pairs at the threshold, by plain sets of runs of words."""
    frame = pl.read_parquet(cleaned / "shards/*.parquet", columns=["doc_id", "text"])
    sets: dict[str, set[str]] = {}
    holders: defaultdict[str, list[str]] = defaultdict(list)
    found = []
    for name, text in frame.iter_rows():
        words = text.lower().split()
        mine = {" ".join(words[at : at + WIDTH]) for at in range(len(words) - WIDTH + 1)}
        common = Counter(other for run in mine for other in holders[run])
        found += [(other, name) for other, n in common.items() if n / (len(mine) + len(sets[other]) - n) >= THRESHOLD]
        for run in mine:
            if len(holders[run]) < 50:  # a run of so many texts tells nothing
                holders[run].append(name)
        sets[name] = mine
    return found


def run_one(engine: str, cleaned: Path, out: Path) -> float:
    """Seconds of one engine in a process of its own."""
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    path = None if engine in OURS else packages(*XXHASH, *DATASKETCH, *SPACY)
    command = [sys.executable, __file__, "--engine", engine, str(cleaned), str(out)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment(path))
    return float(json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=8_000)
    parser.add_argument("--parts", type=int, default=8, help="introductions a text, some 75 words each")
    parser.add_argument("--engine", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.engine:
        engine, cleaned, out = arguments.engine
        print(json.dumps(ENGINES[engine](Path(cleaned), Path(out))))
        return
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        suite(root / "suite")
        shards(root / "small", 200, seed=0)
        cleaned = shards(root / "c1", arguments.documents, seed=7, parts=arguments.parts)
        near = similar_pairs(cleaned)
        partners = {doc for pair in near for doc in pair}
        ids = set(pl.read_parquet(cleaned / "shards/*.parquet", columns=["doc_id"])["doc_id"])
        rows: list[dict[str, object]] = []
        for engine in ENGINES:
            repeats = 3 if engine in OURS else 1
            seconds = min(run_one(engine, cleaned, root / engine) for _ in range(repeats))
            kept = survivors(engine, root / engine)
            gone = ids - kept
            if engine in OURS:
                gone -= contaminated(root / engine)
            recall = sum(bool(gone & set(pair)) for pair in near) / max(1, len(near))
            rows.append({"engine": engine, "seconds": seconds, "documents/s": len(ids) / seconds, "dropped": len(gone)})
            rows[-1] |= {"recall": recall, "precision": len(gone & partners) / max(1, len(gone))}
            print(rows[-1], flush=True)
    first = rows[0]
    said = "; ".join(
        f"{row['seconds'] / first['seconds']:.0f}x as fast as {row['engine']}, "  # type: ignore[operator]
        f"which kept {100 * (first['dropped'] - row['dropped']) / (len(ids) - first['dropped']):+.1f} % more"  # type: ignore[operator]
        for row in rows[2:]
    )
    print(said)
    record(__file__, f"{len(ids):,} documents, {len(near):,} pairs at {THRESHOLD} or more.\n\n{table(rows)}\n\nOurs: {said}.")


def contaminated(out: Path) -> set[str]:
    """What ours dropped for another reason than being a copy."""
    ledger = pl.read_parquet(out / "files/ledger.parquet")
    return set(ledger.filter(pl.col("rule") == "contaminated")["doc_id"])


if __name__ == "__main__":
    main()
