"""What the marts know of the training content of one model: sizes, languages, licences, domains, crawls, opt-outs.

Figures are sums of ``model_contribution``, ``crawl_account``, ``dropped_by_rule`` and ``stg_trainings``.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from llm_assets.core.domains import registered_domain
from llm_assets.core.errors import InputError

MIX = "training_mix"
NO_MODELS = ("eval_report", "deployment")  # they go back to models, and are none
# Ranges of the Commission's template (C(2025) 8311, section 1.3) for text, in tokens.
TEXT_RANGES = ((10**9, "less than 1 billion tokens"), (10**13, "1 billion to 10 trillion tokens"))
TEXT_ABOVE = "more than 10 trillion tokens"
# Share of the domains that are listed, and for small and medium enterprises share and number, whichever is fewer (section 2.3).
SHARE_LISTED, SMALL_SHARE, SMALL_MOST = 0.1, 0.05, 1_000

Row = dict[str, Any]


@dataclass(frozen=True)
class Facts:
    """One model's content. ``tokens``: what all its trainings read, repeats and passes counted, as far as they count tokens;
    ``tokens_a_pass``: of the mix, in one pass; the lists are rows for tables."""

    model: str
    identity: str
    trainings: list[Row]
    tokens: int
    tokens_a_pass: int
    documents: int
    generated_tokens: int
    languages: list[Row]
    licences: list[Row]
    kinds: list[Row]
    domains: list[Row]
    domains_in_all: int
    crawls: list[Row]
    refused: list[Row]

    @property
    def text_range(self) -> str:
        """The template's range that the size of the text falls into."""
        return next((name for bound, name in TEXT_RANGES if self.tokens_a_pass < bound), TEXT_ABOVE)


def models(marts: Mapping[str, pl.DataFrame]) -> list[str]:
    """Models that there are, in the order of their names; ``described`` tells whether the marts know what they were made of."""
    return sorted({str(name) for name in marts["model_genealogy"]["model"].unique() if name not in NO_MODELS})


def described(marts: Mapping[str, pl.DataFrame]) -> list[str]:
    """Models whose content the marts know."""
    return sorted(map(str, marts["model_contribution"]["model"].unique()))


def facts(marts: Mapping[str, pl.DataFrame], model: str, small_enterprise: bool) -> Facts:
    """The facts of one model. ``InputError`` naming the models that there are where the marts don't know it."""
    mine = marts["model_contribution"].filter(pl.col("model") == model)
    if mine.is_empty():
        known = ", ".join(described(marts)) or "none; run: llm-assets run --select audit"
        raise InputError(f"no model {model!r} is in the mart model_contribution; there are: {known}")
    identity = str(mine["model_identity"][0])
    mix = mine.filter(pl.col("data") == MIX)
    size = mix if mix.height else mine
    made = marts["stg_trainings"].join(mine.select("trained_by", "trained_identity").unique(), **_ON, how="semi")
    crawls = marts["crawl_account"].filter(pl.col("crawl").is_in(mine["crawl"].unique().to_list())).sort("crawl")
    domains = _domains(mine)
    return Facts(
        model=model,
        identity=identity,
        trainings=_trainings(mine, made),
        tokens=int(mine["tokens_seen"].sum()),
        tokens_a_pass=int(mix["tokens_a_pass"].sum()),
        documents=int(size["documents"].sum()),
        generated_tokens=int(made["tokens_generated"].sum()),
        languages=_by(size, "lang"),
        licences=_by(size, "license"),
        kinds=_by(size, "source_kind"),
        domains=domains[: listed(len(domains), small_enterprise)],
        domains_in_all=len(domains),
        crawls=list(crawls.iter_rows(named=True)),
        refused=_refused(marts["dropped_by_rule"], crawls["crawl"].to_list()),
    )


_ON: dict[str, Any] = {"left_on": ["asset", "identity"], "right_on": ["trained_by", "trained_identity"]}


def listed(domains: int, small_enterprise: bool) -> int:
    """How many of so many domains the template wants, at least one."""
    if small_enterprise:
        return min(domains, max(1, min(math.ceil(domains * SMALL_SHARE), SMALL_MOST)))
    return min(domains, max(1, math.ceil(domains * SHARE_LISTED)))


def _trainings(mine: pl.DataFrame, made: pl.DataFrame) -> list[Row]:
    """One row a training and its data: documents, rows, tokens that it read, and when it began."""
    rows = mine.group_by("trained_by", "trained_identity", "data").agg(
        pl.col("documents").sum(), pl.col("n_rows").sum(), pl.col("tokens_seen").sum()
    )
    when = made.select(trained_by="asset", trained_identity="identity", started_at="started_at")
    known = rows.join(when, on=["trained_by", "trained_identity"], how="left")
    return list(known.sort("started_at", "trained_by", "data").iter_rows(named=True))


def _by(rows: pl.DataFrame, column: str) -> list[Row]:
    """Documents and share of what one pass reads, by a column, most first."""
    weight = pl.coalesce("tokens_a_pass", "bytes_a_pass")
    found = rows.group_by(name=pl.col(column)).agg(documents=pl.col("documents").sum(), weight=weight.sum())
    total = max(1, int(found["weight"].sum()))
    return [
        {"name": str(name), "documents": int(documents), "share": weight / total}
        for name, documents, weight in found.sort("weight", "name", descending=[True, False]).iter_rows()
    ]


def _domains(rows: pl.DataFrame) -> list[Row]:
    """Registered domains, the largest first: by tokens of the mix, then by bytes of pairs. Documents: of the data with most."""
    hosts = rows["domain"].unique().to_list()
    named = rows.with_columns(domain=pl.col("domain").replace_strict(hosts, [registered_domain(host) for host in hosts]))
    by_data = named.group_by("domain", "trained_by", "data").agg(pl.col("documents", "tokens_a_pass", "bytes_a_pass").sum())
    found = by_data.group_by("domain").agg(
        pl.col("documents").max(), tokens=pl.col("tokens_a_pass").sum(), bytes=pl.col("bytes_a_pass").sum()
    )
    return list(found.sort("tokens", "bytes", "domain", descending=[True, True, False]).iter_rows(named=True))


def _refused(dropped: pl.DataFrame, crawls: Iterable[str]) -> list[Row]:
    """What every rule left out of these crawls, in the order of the stages."""
    rows = (
        dropped.filter(pl.col("crawl").is_in(list(crawls)))
        .group_by("stage_order", "stage", "rule")
        .agg(pl.col("documents").sum())
    )
    return list(rows.sort("stage_order", "rule").iter_rows(named=True))
