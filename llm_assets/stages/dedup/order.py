"""The order in which the texts of one crawl are judged: of copies, the first is kept.

It depends on the crawl alone, never on other crawls, so whatever is preferred, crawl by crawl gives what all at once would
have given: older crawls first, this order within each.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from llm_assets.core.artefact import Artefact, Inputs
from llm_assets.core.documents import canonical_url
from llm_assets.core.recipe.corpus import DedupedShardsConfig

Array = npt.NDArray[Any]
LINKS_FILE = "captures.parquet"
NAMES_ITSELF, NAMES_NONE, NAMES_ANOTHER = 0, 1, 2


def links_fingerprint(artefact: Artefact, inputs: Inputs, config: DedupedShardsConfig) -> str:
    """What ``extracted_pages`` adds to the identity: the digest of its canonical links, where the recipe asks for them."""
    if "self_canonical" not in config.prefer:
        return ""
    entry = artefact.manifest().files.get(LINKS_FILE)
    return entry.sha256 if entry else ""


def judging_order(facts: pl.DataFrame, pages: Artefact | None, config: DedupedShardsConfig) -> Array:
    """Numbers of the documents, first judged first: by what is preferred, fetch time, canonical URL, id.

    ``facts``: a row a document (``signing.FACTS``); ``pages``: the crawl's extracted_pages, for the canonical links.
    """
    keys: dict[str, pl.Series | pl.Expr] = {}
    for preferred in config.prefer:
        keys[preferred] = canonical_classes(facts, pages) if preferred == "self_canonical" else -pl.col("n_bytes")
    names = [*keys, "fetched_at", "canonical_url", "doc_id"]
    ranked = facts.with_columns(**keys).with_row_index("number").sort(names)
    return ranked["number"].to_numpy().astype(np.int64)


def canonical_classes(facts: pl.DataFrame, pages: Artefact | None) -> pl.Series:
    """NAMES_ITSELF, NAMES_NONE or NAMES_ANOTHER, by document. A link that is no web address counts as none."""
    if pages is None or not (pages.files / LINKS_FILE).is_file():
        return pl.repeat(NAMES_NONE, facts.height, dtype=pl.Int8, eager=True)
    links = pl.read_parquet(pages.files / LINKS_FILE, columns=["doc_id", "rel_canonical"])
    joined = facts.select("doc_id", "canonical_url").join(links, on="doc_id", how="left", maintain_order="left")
    raw = joined.filter(pl.col("rel_canonical") != pl.col("canonical_url"))["rel_canonical"].unique().to_list()
    spelled = pl.DataFrame({"rel_canonical": raw, "spelled": [_canonical(link) for link in raw]}, schema_overrides=_LINKS)
    joined = joined.join(spelled, on="rel_canonical", how="left", maintain_order="left")
    link = pl.when(pl.col("rel_canonical") == pl.col("canonical_url")).then("rel_canonical").otherwise("spelled")
    classes = joined.select(
        pl.when(link.is_null())
        .then(NAMES_NONE)
        .when(link == pl.col("canonical_url"))
        .then(NAMES_ITSELF)
        .otherwise(NAMES_ANOTHER)
        .cast(pl.Int8)
        .alias("class")
    )
    return classes["class"]


_LINKS = {"rel_canonical": pl.String, "spelled": pl.String}


def _canonical(link: str) -> str | None:
    try:
        return canonical_url(link)
    except ValueError:  # no absolute address, or one that cannot be split
        return None
