"""Training byte-level BPE: our merges (numba) against the tokenizers library, on the same texts. Prints seconds and a ratio.

    python benchmarks/tokenizer_training.py [--megabytes 36] [--vocabulary 16384] [--repeats 2]

Both are given the same batches and limits (the recipe's) and use all cores. What is timed runs from the texts in memory to a
trained ``Tokenizer``. Ours is compiled once a machine, before the clock starts; the time that takes is printed. The files
must be equal byte for byte, or the script fails. The best of the repeats counts.
"""

import argparse
import time
from collections.abc import Iterator

from _real_texts import real_texts
from _results import record, table, versions

from llm_assets.core.recipe.tokens import TokenizerConfig
from llm_assets.stages.tokens.train import trained

BATCH = 1_000


def batches(texts: list[str]) -> Iterator[list[str]]:
    for first in range(0, len(texts), BATCH):
        yield texts[first : first + BATCH]


def once(texts: list[str], engine: str, vocabulary: int) -> tuple[float, str]:
    config = TokenizerConfig(vocab_size=vocabulary, engine=engine)
    start = time.perf_counter()
    tokenizer = trained(batches(texts), config, 0)
    return time.perf_counter() - start, tokenizer.to_str()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=float, default=36)
    parser.add_argument("--vocabulary", type=int, default=16_384)
    parser.add_argument("--repeats", type=int, default=2)
    asked = parser.parse_args()
    texts = real_texts(int(asked.megabytes * 1e6))
    size = sum(len(text.encode()) for text in texts)
    compiling, _ = once(texts[:20], "numba", 288)
    best = {"numba": float("inf"), "tokenizers": float("inf")}
    files = {}
    for _ in range(asked.repeats):
        for engine in best:
            seconds, files[engine] = once(texts, engine, asked.vocabulary)
            best[engine] = min(best[engine], seconds)
    if files["numba"] != files["tokenizers"]:
        raise SystemExit("the two tokenizer files differ")
    ratio = best["tokenizers"] / best["numba"]
    rows = [{"engine": engine, "seconds": seconds, "MB/s": size / 1e6 / seconds} for engine, seconds in best.items()]
    for row in rows:
        print(row)
    said = (
        f"ratio {ratio:.1f}; the files are equal byte for byte. Compiling or loading the kernels took {compiling:.1f} s before."
    )
    print(said)
    text = f"{size / 1e6:.1f} MB in {len(texts):,} texts, vocabulary {asked.vocabulary:,}; {versions('tokenizers', 'numba')}."
    record(__file__, f"{text}\n\n{table(rows)}\n\n{said}")


if __name__ == "__main__":
    main()
