"""Assembles ``defs/``, nothing else."""

import dagster as dg

from llm_assets.defs import (
    audit,
    automation,
    corpus,
    crawl,
    evaluation,
    post_training,
    pretraining,
    release,
    settings,
    skin,
    status,
    tokens,
)

SKINS = (
    *crawl.SKINS,
    *corpus.SKINS,
    *tokens.SKINS,
    *pretraining.SKINS,
    *post_training.SKINS,
    *evaluation.SKINS,
    *release.SKINS,
    *audit.skins(),
)

skin.check_catalogue(SKINS, settings.recipe().catalogue)

defs = dg.Definitions(
    assets=[*(skin.asset(item) for item in SKINS), status.pipeline_status],
    jobs=list(automation.JOBS),
    sensors=list(automation.SENSORS),
    schedules=list(automation.SCHEDULES),
    executor=dg.in_process_executor,
)
