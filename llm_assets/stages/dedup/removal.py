"""How much of each source goes as a duplicate: written beside the survivors, read by the gate and by later crawls' gates.

A source is a host, its registered domain (by the public suffix list that ships with tldextract: no network), a language, or a
kind of source. Exact copies of what an older crawl holds don't count as a loss: that is what a re-crawl mostly is.
"""

from dataclasses import dataclass

import polars as pl

from llm_assets.core.artefact import Artefact
from llm_assets.core.domains import registered_domain
from llm_assets.core.recipe.corpus import DedupedShardsConfig

TABLE = "removal.parquet"
KINDS = ("host", "domain", "language", "source_kind")
SOURCES = pl.Schema({"doc_id": pl.String, "host": pl.String, "language": pl.String, "source_kind": pl.String})
SCHEMA = pl.Schema(
    {
        "kind": pl.String,
        "source": pl.String,
        "documents": pl.Int64,
        "near": pl.Int64,  # near-duplicates, of any crawl's text
        "own_copies": pl.Int64,  # exact copies within the crawl
        "older_copies": pl.Int64,  # exact copies of an older crawl's text: no loss
        "contaminated": pl.Int64,
    }
)


def count(documents: pl.DataFrame) -> pl.DataFrame:
    """The table, from a row a document: ``host``, ``language``, ``source_kind``, and ``near``, ``own_copies``, … as bools."""
    hosts = documents["host"].unique()
    domains = hosts.map_elements(registered_domain, return_dtype=pl.String)
    joined = documents.join(pl.DataFrame({"host": hosts, "domain": domains}), on="host", how="left")
    sums = [pl.col(name).sum().cast(pl.Int64) for name in SCHEMA.names()[3:]]
    tables = [
        joined.group_by(pl.col(kind).fill_null("").alias("source"))
        .agg(pl.len().cast(pl.Int64).alias("documents"), *sums)
        .with_columns(kind=pl.lit(kind))
        .sort("source")
        for kind in KINDS
    ]
    # a domain of one host says nothing new
    of_hosts = tables[0].select("source", "documents")
    tables[1] = tables[1].join(of_hosts, on=["source", "documents"], how="anti", maintain_order="left")
    return pl.concat(tables).select(SCHEMA.names()).cast(SCHEMA)


def earlier(artefacts: list[Artefact]) -> pl.DataFrame:
    """The sums of older crawls."""
    tables = [pl.read_parquet(artefact.file(TABLE)) for artefact in artefacts]
    return pl.concat([pl.DataFrame(schema=SCHEMA), *tables]).group_by("kind", "source").sum()


@dataclass(frozen=True)
class Losses:
    """What the gate has to say of the sources of one crawl."""

    judged: pl.DataFrame  # kind, source, documents, removed, share, earlier_share, abnormal, reason
    refused: list[str]
    excused: list[str]
    unused: list[str]  # overrides that name nothing abnormal


def losses(now: pl.DataFrame, before: pl.DataFrame, crawl: str, config: DedupedShardsConfig) -> Losses:
    """Which sources lose an abnormal share, in itself or compared with the older crawls, and which of them are excused."""
    lost = pl.col("near") + pl.col("own_copies")
    enough = pl.col("documents") >= config.min_source_documents
    known = before.filter(enough).select("kind", "source", earlier_share=lost / pl.col("documents"))
    judged = (
        now.filter(enough)
        .select("kind", "source", "documents", removed=lost, share=lost / pl.col("documents"))
        .join(known, on=["kind", "source"], how="left", maintain_order="left")
        .with_columns(
            abnormal=(pl.col("share") > config.max_removal_share)
            | (pl.col("share") > pl.col("earlier_share") + config.max_removal_rise).fill_null(False)
        )
        .sort(["share", "kind", "source"], descending=[True, False, False])
    )
    reasons = [_reason(source, crawl, config) for source in judged["source"]]
    judged = judged.with_columns(reason=pl.Series(reasons, dtype=pl.String))
    abnormal = judged.filter("abnormal")
    excused = abnormal.filter(pl.col("reason").is_not_null())
    names = set(excused["source"]) | {f"{crawl}/{source}" for source in excused["source"]}
    return Losses(
        judged,
        [_said(row) for row in abnormal.filter(pl.col("reason").is_null()).iter_rows(named=True)],
        [f"{_said(row)}; allowed: {row['reason']}" for row in excused.iter_rows(named=True)],
        sorted(set(config.removal_overrides) - names),
    )


def _reason(source: str, crawl: str, config: DedupedShardsConfig) -> str | None:
    overrides = config.removal_overrides
    return overrides.get(f"{crawl}/{source}") or overrides.get(source)


def _said(row: dict[str, object]) -> str:
    before = "" if row["earlier_share"] is None else f" (older crawls: {row['earlier_share']:.0%})"
    return f"{row['removed']:,} of {row['documents']:,} documents of the {row['kind']} {row['source']}{before}"
