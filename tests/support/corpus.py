"""Small corpora in the shapes of the data artefacts, made from word lists: the same on every machine."""

import random
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from llm_assets.core.artefact import Inputs, WorkDir
from llm_assets.core.documents import CLEANED, canonical_url, doc_id, payload_digest
from llm_assets.core.progress import Silent
from llm_assets.core.recipe.tokens import TokenizedDatasetConfig, TokenizerConfig, TrainingMixConfig
from llm_assets.stages.tokens import encode, mix, train

_STEMS = {
    "en": ["river", "mountain", "city", "history", "music", "planet", "engine", "forest", "ocean", "winter", "science"],
    "fr": ["rivière", "montagne", "ville", "histoire", "musique", "planète", "moteur", "forêt", "océan", "hiver", "île"],
}
_SMALL = {"en": ["the", "of", "and", "in", "was", "is", "it's"], "fr": ["le", "la", "de", "et", "dans", "était", "l'on"]}

TOKENIZER = TokenizerConfig(vocab_size=512, languages={"en": 1.0, "fr": 1.0})


def sentence(rng: random.Random, lang: str, words: int) -> str:
    picked = [
        _name(rng) if rng.random() < 0.3 else rng.choice((_STEMS if rng.random() < 0.6 else _SMALL)[lang]) for _ in range(words)
    ]
    return " ".join(picked).capitalize() + "."


def _name(rng: random.Random) -> str:
    return "".join(rng.choice("bcdfglmnprstv") + rng.choice("aeiou") for _ in range(rng.randint(2, 4)))


def row(url: str, text: str, lang: str = "en", day: int = 1, **over: object) -> dict[str, object]:
    """One row of cleaned_corpus, fetched on a day of November 2026."""
    fetched = datetime(2026, 11, day, tzinfo=UTC)
    canonical = canonical_url(url)
    values: dict[str, object] = dict.fromkeys(CLEANED.names())
    values |= {
        "doc_id": doc_id(canonical, fetched, payload_digest(text.encode())),
        "url": url,
        "canonical_url": canonical,
        "host": "a.test",
        "fetched_at": fetched,
        "source_kind": "web",
        "title": url.rsplit("/", 1)[-1],
        "text": text,
        "lang": lang,
        "lang_score": 0.9,
        "n_words": len(text.split()),
        "n_bytes": len(text.encode()),
        "n_pii": 0,
    }
    return values | over


def rows(
    count: int, lang: str = "en", seed: int = 0, prefix: str = "p", day: int = 1, words: int = 60
) -> list[dict[str, object]]:
    rng = random.Random(f"{seed} {lang}")
    return [
        row(f"http://a.test/{lang}/{prefix}{number}", " ".join(sentence(rng, lang, 12) for _ in range(words // 12)), lang, day)
        for number in range(count)
    ]


def shards(folder: Path, *parts: list[dict[str, object]]) -> Path:
    """An artefact folder with one Parquet shard a part; returns the folder, whose name is the crawl."""
    (folder / "shards").mkdir(parents=True, exist_ok=True)
    for number, part in enumerate(parts):
        pl.DataFrame(part, schema=CLEANED, orient="row").write_parquet(folder / f"shards/{number:05d}.parquet")
    return folder


def make_tokenizer(folder: Path, survivors: Path, config: TokenizerConfig = TOKENIZER) -> Path:
    out = WorkDir.at(folder)
    train.run(Inputs.of({"deduped_shards": [survivors]}), out, config, Silent())
    return out.files


def make_tokens(folder: Path, survivors: Path, tokenizer: Path, config: TokenizedDatasetConfig | None = None) -> Path:
    """tokenized_dataset of one crawl, in a folder named after the crawl."""
    inputs = Inputs.of({"deduped_shards": [survivors], "tokenizer": [tokenizer]})
    files = folder / survivors.name
    files.mkdir(parents=True, exist_ok=True)
    out = WorkDir(files, folder / "private", survivors.name)
    encode.run(inputs, out, config or TokenizedDatasetConfig(), Silent())
    return files


def two_crawls(root: Path, pages: int = 120) -> tuple[Inputs, str, str]:
    """A mix of c1 and of a later c2 that replaced c1's first page; with its tokenizer. Also the old and the new document's id."""
    first = shards(root / "d/c1", rows(pages))
    tokenizer = make_tokenizer(root / "tokenizer", first)
    old = pl.read_parquet(first / "shards/*.parquet").row(0, named=True)
    changed = row(old["url"], "A new text of the same page, the river and the sea and the mill.", day=2)
    second = shards(root / "d/c2", [changed, *rows(pages // 2, seed=5, prefix="n", day=2)])
    pl.DataFrame({"doc_id": [old["doc_id"]], "by_doc_id": [changed["doc_id"]], "crawl": ["c1"]}).write_parquet(
        second / "superseded.parquet"
    )
    tokens = [make_tokens(root / f"t{number}", crawl, tokenizer) for number, crawl in enumerate((first, second))]
    config = TrainingMixConfig(languages={"en": 1.0}, validation_fraction=0.1)
    _, found = make_mix(root / "mix", [first, second], tokens, config)
    folders = {name: [a.files for a in artefacts] for name, artefacts in found.artefacts.items()}
    return Inputs.of({**folders, "tokenizer": [tokenizer]}), str(old["doc_id"]), str(changed["doc_id"])


def make_mix(folder: Path, survivors: list[Path], tokens: list[Path], config: TrainingMixConfig) -> tuple[Path, Inputs]:
    """training_mix, and the inputs from which a training reads it."""
    out = WorkDir.at(folder)
    mix.run(Inputs.of({"deduped_shards": survivors, "tokenized_dataset": tokens}), out, config, Silent())
    return out.files, Inputs.of({"training_mix": [out.files], "tokenized_dataset": tokens})
