"""Large corpora made of real words: what the data benchmarks read. The same on every machine that has the demo's texts.

A text mixes the words of two Wikipedia introductions, position by position, by a seeded coin: the words, their frequencies
and the lengths are real, and hardly any five words in a row stand in two texts. Some texts are copies of earlier ones, exact
or with a few words changed. ``shards`` writes them as ``cleaned_corpus``.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

import numpy as np
import orjson
import polars as pl

from llm_assets.core.documents import CLEANED, canonical_url, doc_id, payload_digest
from llm_assets.core.embedded import articles

EXACT, NEAR = 0.03, 0.12  # shares of the texts that are copies, or copies with up to 3 % of the words changed
SHARD = 1_000
_START = datetime(2026, 1, 1, tzinfo=UTC)


@cache
def _words() -> tuple[np.ndarray, list[np.ndarray]]:
    """The vocabulary, and each English introduction as numbers of words."""
    split = [article.text.split() for article in articles() if article.lang == "en"]
    vocabulary, numbers = np.unique(np.concatenate([np.array(text, object) for text in split]), return_inverse=True)
    return vocabulary, np.split(numbers, np.cumsum([len(text) for text in split])[:-1])


def texts(count: int, seed: int, parts: int = 1) -> Iterator[str]:
    """``count`` texts, each of ``parts`` mixed introductions (some 75 words each)."""
    vocabulary, known = _words()
    rng = np.random.default_rng(seed)
    recent: list[np.ndarray] = []
    for _ in range(count):
        kind = rng.random()
        if recent and kind < EXACT + NEAR:
            words = recent[rng.integers(len(recent))]
            if kind >= EXACT:
                words = words.copy()
                changed = rng.random(words.size) < rng.random() * 0.03
                words[changed] = rng.integers(vocabulary.size, size=int(changed.sum()))
        else:
            words = np.concatenate([_mixed(known, rng) for _ in range(parts)])
            recent = [*recent[-1999:], words] if len(recent) < 2000 else recent
            if len(recent) == 2000:
                recent[rng.integers(2000)] = words
        yield " ".join(vocabulary[words])


def _mixed(known: list[np.ndarray], rng: np.random.Generator) -> np.ndarray:
    one, other = (known[number] for number in rng.integers(len(known), size=2))
    size = min(one.size, other.size) if min(one.size, other.size) > 20 else max(one.size, other.size)
    one, other = np.resize(one, size), np.resize(other, size)
    return np.where(rng.random(size) < 0.5, one, other)


def shards(folder: Path, count: int, seed: int, parts: int = 1) -> Path:
    """``cleaned_corpus`` of one crawl below ``folder``, whose name is the crawl; every tenth page of a host of its own."""
    (folder / "shards").mkdir(parents=True)
    batch: list[dict[str, object]] = []
    for number, text in enumerate(texts(count, seed, parts)):
        batch.append(_row(folder.name, number, text))
        if len(batch) == SHARD or number == count - 1:
            frame = pl.DataFrame(batch, schema=CLEANED, orient="row")
            frame.write_parquet(folder / f"shards/{number // SHARD:05d}.parquet", compression="zstd")
            batch = []
    return folder


def _row(crawl: str, number: int, text: str) -> dict[str, object]:
    host = f"host-{number % 40}.test"
    url = canonical_url(f"http://{host}/{crawl}/{number}")
    fetched = _START + timedelta(seconds=number)
    size = len(text.encode())
    known = {"url": url, "canonical_url": url, "host": host, "fetched_at": fetched, "source_kind": "web", "lang": "en"}
    sizes = {"text": text, "lang_score": 0.9, "n_words": text.count(" ") + 1, "n_bytes": size, "n_pii": 0}
    return dict.fromkeys(CLEANED.names()) | known | sizes | {"doc_id": doc_id(url, fetched, payload_digest(text.encode()))}


def suite(folder: Path, items: int = 400) -> Path:
    """An ``eval_suite`` of real introductions, so that looking for them costs what it costs in the demo."""
    (folder / "tasks").mkdir(parents=True)
    chosen = [article for article in articles() if article.lang == "en"][::17][:items]
    lines = [orjson.dumps({"item_id": f"d-{n}", "text": article.text, "url": ""}) for n, article in enumerate(chosen)]
    (folder / "tasks/describe.jsonl").write_bytes(b"\n".join(lines))
    (folder / "suite.json").write_bytes(orjson.dumps({"tasks": {}}))
    return folder
