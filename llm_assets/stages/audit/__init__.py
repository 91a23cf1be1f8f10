"""Audit: an asset for each SQL model of ``dbt_like_sql/``, the history of runs that some read, and the summary made of them.

``explain`` tells what became of a page. A new ``.sql`` file with its entry in ``schema.yml`` is a new asset; nothing here needs
a change. Reading the project takes some milliseconds; DuckDB and sqlglot are imported when a model runs.
"""

from llm_assets.core.spec import AssetSpec, Input
from llm_assets.stages.audit.project import specs

EVENTS = AssetSpec(
    name="dagster_events",
    entry="llm_assets.stages.audit.events:run",
    gates="llm_assets.stages.audit.events:gates",
    gate_names=("history_was_read",),
    source=True,
    tags={"read_again": "yes"},
)
SUMMARY = AssetSpec(
    name="training_content_summary",
    entry="llm_assets.stages.audit.summary:run",
    gates="llm_assets.stages.audit.summary:gates",
    gate_names=("every_model_is_described", "provider_is_stated"),
    inputs=tuple(
        Input(name) for name in ("model_genealogy", "model_contribution", "crawl_account", "dropped_by_rule", "stg_trainings")
    ),
    code=("llm_assets.stages.audit.summary_page", "llm_assets.stages.audit.summary_facts"),
)
SPECS: tuple[AssetSpec, ...] = (EVENTS, *specs(), SUMMARY)
