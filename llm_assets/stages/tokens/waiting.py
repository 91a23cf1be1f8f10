"""Whether the mix takes new crawls in, by the recipe: enough new tokens, and a mix that is old enough.

Until then the mix is made of the crawls that it has, so its content is the same and no model goes stale. A crawl of the mix
that changes (a removal, better cleaning) is followed at once.
"""

from datetime import datetime

import polars as pl

from llm_assets.core.artefact import Artefact, Inputs, Waiting
from llm_assets.core.recipe.tokens import TrainingMixConfig
from llm_assets.stages.tokens.encode import DOCUMENTS_FILE

_HOUR = 3600.0


def new_crawls(current: Artefact, inputs: Inputs, config: TrainingMixConfig, now: float) -> Waiting | None:
    """The crawls that the current mix does not know and that wait; None where none does. ``now``: seconds since the epoch."""
    if not config.minimum_new_tokens and not config.minimum_age_hours:
        return None
    manifest = current.manifest()
    known = {entry.partition for entry in manifest.inputs}
    tokenised = [crawl for crawl in inputs.many("tokenized_dataset") if crawl.partition not in known]
    new = {crawl.partition: None for crawl in (*tokenised, *inputs.many("deduped_shards")) if crawl.partition not in known}
    if not new:
        return None
    tokens = sum(_tokens(crawl, config) for crawl in tokenised)
    age = (now - datetime.fromisoformat(manifest.started_at).timestamp()) / _HOUR
    reasons = []
    if tokens < config.minimum_new_tokens:
        reasons.append(f"at least {config.minimum_new_tokens:,} are asked for (training_mix.minimum_new_tokens)")
    if age < config.minimum_age_hours:
        reasons.append(f"the mix is {age:.1f} of {config.minimum_age_hours:g} hours old (training_mix.minimum_age_hours)")
    return Waiting(tuple(new), tokens, tuple(reasons)) if reasons else None


def _tokens(crawl: Artefact, config: TrainingMixConfig) -> int:
    """Tokens of the languages that the mix takes, times the epochs of each."""
    table = pl.scan_parquet(crawl.file(DOCUMENTS_FILE)).group_by("lang").agg(pl.col("length").sum()).collect()
    return int(sum(length * config.languages.get(lang, 0.0) for lang, length in table.iter_rows()))
