"""Encoding: fastokens, as tokenized_dataset uses it, against the tokenizers library's ``encode_batch_fast``. Prints a ratio.

    python benchmarks/encoding.py [--megabytes 36] [--vocabulary 16384] [--repeats 3]

Needs the extra ``[fast]``. Both read the same ``tokenizer.json``, are given the same batches of 1,000 texts and use all cores.
Two ratios: to the encodings that the library returns (ids not yet taken out of them), and to the ids as one array, which is
what the stage needs. Every id must be equal, or the script fails. The best of the repeats counts.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from _real_texts import real_texts
from _results import record, table, versions

from llm_assets.core.recipe.tokens import TokenizerConfig
from llm_assets.lm.encoding import BatchEncoder
from llm_assets.stages.tokens.train import trained, write_folder

BATCH = 1_000


def timed(work: Callable[[list[str]], object], batches: list[list[str]]) -> tuple[float, list[object]]:
    start = time.perf_counter()
    found = [work(batch) for batch in batches]
    return time.perf_counter() - start, found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=float, default=36)
    parser.add_argument("--vocabulary", type=int, default=16_384)
    parser.add_argument("--repeats", type=int, default=3)
    asked = parser.parse_args()
    texts = real_texts(int(asked.megabytes * 1e6))
    size = sum(len(text.encode()) for text in texts)
    batches = [texts[first : first + BATCH] for first in range(0, len(texts), BATCH)]
    with tempfile.TemporaryDirectory() as name:
        config = TokenizerConfig(vocab_size=asked.vocabulary, engine="numba")
        write_folder(Path(name), trained(iter(batches), config, size))
        fast, library = BatchEncoder(Path(name), "fastokens"), BatchEncoder(Path(name), "tokenizers")
    engines: dict[str, Callable[[list[str]], object]] = {
        "ours (fastokens, ids as an array)": fast.encode,
        "encode_batch_fast": lambda batch: library.oracle.encode_batch_fast(batch, add_special_tokens=False),
        "encode_batch_fast, ids as an array": library.encode,
    }
    best = dict.fromkeys(engines, float("inf"))
    found: dict[str, list[object]] = {}
    for _ in range(asked.repeats):
        for label, work in engines.items():
            seconds, found[label] = timed(work, batches)
            best[label] = min(best[label], seconds)
    ours, _, theirs = found.values()
    if not all(np.array_equal(one, other) for pair in zip(ours, theirs, strict=True) for one, other in zip(*pair, strict=True)):
        raise SystemExit("the ids differ")
    tokens = sum(ids.size for ids, _ in ours)
    quick, bare, whole = best.values()
    rows = [{"engine": label, "seconds": seconds, "MB/s": size / 1e6 / seconds} for label, seconds in best.items()]
    for row in rows:
        print(row)
    said = f"ratio {bare / quick:.1f} to encode_batch_fast alone, {whole / quick:.1f} with its ids taken out; "
    said += f"all {tokens:,} ids are equal."
    print(said)
    text = (
        f"{size / 1e6:.1f} MB in {len(texts):,} texts, vocabulary {asked.vocabulary:,}; {versions('tokenizers', 'fastokens')}."
    )
    record(__file__, f"{text}\n\n{table(rows)}\n\n{said}")


if __name__ == "__main__":
    main()
