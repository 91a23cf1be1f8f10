"""``training_mix``: which complete crawls a training reads, at which versions, in what proportions; and who is held out.

It holds no tokens: a table of documents that names token shards by ref. A crawl that is missing, or was tokenised with
another tokenizer, is named and left out; it never stops the others. A page that a later crawl of the mix replaced is left
out. Split and sample are hashes of the URL, so a page stays on its side of the split in every refresh.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from llm_assets.core import plots
from llm_assets.core.artefact import Artefact, Inputs, WorkDir
from llm_assets.core.errors import InputError
from llm_assets.core.jsonio import read_json, write_json
from llm_assets.core.ledger import write_ledger
from llm_assets.core.progress import Progress
from llm_assets.core.recipe.tokens import TrainingMixConfig
from llm_assets.core.report import Report
from llm_assets.stages.tokens.encode import DOCUMENTS, DOCUMENTS_FILE, TOKENS_FILE
from llm_assets.stages.tokens.sampling import unit_intervals

MIX_FILE = "mix.json"
TRAIN, VALIDATION = "train", "validation"

MIX_DOCUMENTS = pl.Schema(
    [
        *DOCUMENTS.items(),
        ("ref", pl.String()),  # tokenized_dataset/<crawl>/<identity>
        ("split", pl.String()),  # train | validation
        ("epochs", pl.Int32()),  # how often one pass over the mix reads it
    ]
)


@dataclass(frozen=True)
class _Crawl:
    artefact: Artefact
    documents: pl.DataFrame
    about: dict[str, Any]


def run(inputs: Inputs, out: WorkDir, config: TrainingMixConfig, progress: Progress) -> Report:
    """Choose crawls and documents, split them, and write the table of documents.

    Raises ``InputError`` where no crawl is tokenised.
    """
    crawls, missing = _crawls(inputs)
    for entry in missing:
        progress.note(f"training_mix leaves out {entry['crawl']}: {entry['reason']}")
    documents = pl.concat(
        [
            crawl.documents.with_columns(ref=pl.lit(crawl.artefact.ref), crawl=pl.lit(crawl.artefact.partition))
            for crawl in crawls
        ]
    )
    documents = _decide(_superseded(inputs, documents, [crawl.artefact.partition for crawl in crawls]), config)
    kept = documents.filter(pl.col("rule") == "kept").select(MIX_DOCUMENTS.names()).cast(MIX_DOCUMENTS)
    kept.write_parquet(out.files / DOCUMENTS_FILE, compression="zstd")
    counts = write_ledger(out.files, _ledger(documents))
    mix = _describe(crawls, missing, kept, config)
    write_json(out.files / MIX_FILE, mix)
    progress.update(documents.height, documents.height, "documents")
    return _report(mix, counts, out.files)


def _crawls(inputs: Inputs) -> tuple[list[_Crawl], list[dict[str, str]]]:
    """Crawls that can be mixed, in crawl order, and those that can't, with the reason. The newest crawl's tokenizer counts."""
    found = [
        _Crawl(artefact, pl.read_parquet(artefact.file(DOCUMENTS_FILE)), read_json(artefact.file(TOKENS_FILE)))
        for artefact in inputs.many("tokenized_dataset")
    ]
    if not found:
        raise InputError("no crawl is tokenised yet; materialise tokenized_dataset of at least one crawl first")
    tokenizer = found[-1].about["tokenizer"]
    missing = [
        {
            "crawl": crawl.artefact.partition,
            "reason": "tokenised with another tokenizer; materialise its tokenized_dataset again",
        }
        for crawl in found
        if crawl.about["tokenizer"] != tokenizer
    ]
    missing += [
        {"crawl": crawl.artefact.partition, "reason": "tokenised without source kinds; materialise its tokenized_dataset again"}
        for crawl in found
        if crawl.about["tokenizer"] == tokenizer and "source_kind" not in crawl.documents.columns
    ]
    tokenised = {crawl.artefact.partition for crawl in found}
    missing += [
        {"crawl": artefact.partition, "reason": "not tokenised; materialise its tokenized_dataset"}
        for artefact in inputs.many("deduped_shards")
        if artefact.partition not in tokenised
    ]
    left_out = {entry["crawl"] for entry in missing}
    usable = [crawl for crawl in found if crawl.artefact.partition not in left_out]
    if not usable:
        reasons = "; ".join(f"{entry['crawl']} is {entry['reason']}" for entry in missing)
        raise InputError(f"no crawl can be mixed: {reasons}")
    return usable, missing


def _superseded(inputs: Inputs, documents: pl.DataFrame, crawls: list[str]) -> pl.DataFrame:
    """Add ``superseded_by``: the newer capture of the same page, where that one is in the mix too; else null."""
    pairs = [pl.DataFrame(schema={"doc_id": pl.String, "superseded_by": pl.String})]
    for artefact in inputs.many("deduped_shards"):
        path = artefact.files / "superseded.parquet"
        if artefact.partition in crawls and path.is_file():
            pairs.append(pl.read_parquet(path).select("doc_id", superseded_by=pl.col("by_doc_id")))
    known = pl.concat(pairs).join(documents.select(superseded_by=pl.col("doc_id")), on="superseded_by", how="semi")
    newest = known.unique("doc_id", keep="last", maintain_order=True)  # pairs are in crawl order
    return documents.join(newest, on="doc_id", how="left", maintain_order="left")


def factor(config: TrainingMixConfig) -> pl.Expr:
    """What the epochs of a document's language are multiplied by, for the kind of its source."""
    if not config.source_kinds:
        return pl.lit(1.0)
    return pl.col("source_kind").replace_strict(config.source_kinds, default=1.0, return_dtype=pl.Float64)


def _decide(documents: pl.DataFrame, config: TrainingMixConfig) -> pl.DataFrame:
    """Add split, epochs, and the rule that leaves a document out ("kept" where none does)."""
    urls = documents["canonical_url"]
    sample = pl.Series("sample", unit_intervals(urls, f"sample {config.seed}"), dtype=pl.Float64)
    side = pl.Series("side", unit_intervals(urls, f"split {config.seed}"), dtype=pl.Float64)
    asked = pl.col("lang").replace_strict(config.languages, default=0.0, return_dtype=pl.Float64) * factor(config)
    # 2.3 epochs: everything twice, and three tenths of the URLs once more
    reads = asked.floor() + (pl.col("sample") < asked - asked.floor()).cast(pl.Float64)
    held_out = pl.col("side") < config.validation_fraction
    return (
        documents.with_columns(sample, side)
        .with_columns(asked=asked, reads=reads)
        .with_columns(
            split=pl.when(held_out).then(pl.lit(VALIDATION)).otherwise(pl.lit(TRAIN)),
            epochs=pl.when(held_out).then(pl.col("reads").clip(upper_bound=1.0)).otherwise("reads").cast(pl.Int32),
            rule=pl.when(pl.col("superseded_by").is_not_null())
            .then(pl.lit("superseded"))
            .when(~pl.col("lang").is_in([lang for lang, epochs in config.languages.items() if epochs > 0]))
            .then(pl.lit("language_not_in_mix"))
            .when(pl.col("asked") <= 0)
            .then(pl.lit("source_kind_not_in_mix"))
            .when(pl.col("reads") == 0)
            .then(pl.lit("sampled_out"))
            .otherwise(pl.lit("kept")),
        )
    )


def _ledger(documents: pl.DataFrame) -> pl.DataFrame:
    sampled_out = pl.col("rule") == "sampled_out"
    return documents.select(
        "crawl",
        "doc_id",
        "url",
        "rule",
        stage=pl.lit("training_mix"),
        kept=pl.col("rule") == "kept",
        value=pl.when(sampled_out).then("sample"),
        threshold=pl.when(sampled_out).then("asked"),
        related_doc=pl.when(pl.col("rule") == "superseded").then("superseded_by"),
        detail=pl.when(pl.col("rule") == "language_not_in_mix")
        .then("lang")
        .when(pl.col("rule") == "source_kind_not_in_mix")
        .then("source_kind")
        .when(pl.col("rule") == "kept")
        .then("split"),
    )


def tokens_by(kept: pl.DataFrame, split: str, column: str) -> dict[str, int]:
    """Tokens by a column (``lang``, ``source_kind``) in one pass over a split, repeats counted."""
    mine = kept.filter(pl.col("split") == split).group_by(column).agg((pl.col("length") * pl.col("epochs")).sum()).sort(column)
    return {value: int(tokens) for value, tokens in mine.iter_rows()}


def _describe(
    crawls: list[_Crawl], missing: list[dict[str, str]], kept: pl.DataFrame, config: TrainingMixConfig
) -> dict[str, Any]:
    about = crawls[-1].about
    tokens = {split: tokens_by(kept, split, "lang") for split in (TRAIN, VALIDATION)}
    return {
        "crawls": [
            {
                "crawl": crawl.artefact.partition,
                "ref": crawl.artefact.ref,
                "documents": kept.filter(pl.col("ref") == crawl.artefact.ref).height,
                "tokens": int(kept.filter(pl.col("ref") == crawl.artefact.ref)["length"].sum()),
            }
            for crawl in crawls
        ],
        "missing": missing,
        "languages": config.languages,
        "validation_fraction": config.validation_fraction,
        "seed": config.seed,
        "tokens": {split: sum(found.values()) for split, found in tokens.items()},
        "tokens_by_language": tokens,
        "source_kinds": config.source_kinds,
        "tokens_by_source_kind": {split: tokens_by(kept, split, "source_kind") for split in (TRAIN, VALIDATION)},
        **{name: about[name] for name in ("dtype", "vocab_size", "separator", "separator_id", "tokenizer")},
    }


def _report(mix: dict[str, Any], counts: dict[str, int], files: Path) -> Report:
    (files / "plots").mkdir(exist_ok=True)
    train = mix["tokens_by_language"][TRAIN]
    shown = {f"{lang} train": tokens for lang, tokens in train.items()}
    shown |= {f"{lang} validation": tokens for lang, tokens in mix["tokens_by_language"][VALIDATION].items()}
    plots.bars(files / "plots/proportions.png", list(shown), list(shown.values()), title="Tokens of the mix", x="tokens")
    return Report(
        counts={**counts, "train_tokens": mix["tokens"][TRAIN], "validation_tokens": mix["tokens"][VALIDATION]},
        metrics={
            "crawls": [entry["crawl"] for entry in mix["crawls"]],
            "missing": [entry["crawl"] for entry in mix["missing"]],
        },
        plots={"Tokens of the mix": "plots/proportions.png"},
        tables={
            "Crawls": mix["crawls"],
            "Missing crawls": mix["missing"],
            "Tokens by source kind": [
                {"source kind": kind, "train": tokens, "validation": mix["tokens_by_source_kind"][VALIDATION].get(kind, 0)}
                for kind, tokens in mix["tokens_by_source_kind"][TRAIN].items()
            ],
        },
    )
