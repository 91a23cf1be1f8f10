"""The audit group: one asset for each SQL model of ``dbt_like_sql/``, and what stands before and after them.

A new ``.sql`` file needs no Python.
"""

from llm_assets.defs.skin import Skin
from llm_assets.stages import all_specs
from llm_assets.stages.audit.project import description

BESIDES = (
    Skin(
        "dagster_events",
        "audit",
        "What Dagster remembers of its runs, as tables: runs that ended, what they made, where they failed, what checks said. "
        "Each run of it looks again.",
        frozenset({"sqlite", "parquet"}),
    ),
    Skin(
        "training_content_summary",
        "audit",
        "The public summary of training content that Article 53(1)(d) of the EU's AI Act asks for, for each model.",
        frozenset({"markdown", "html"}),
    ),
)


def skins() -> tuple[Skin, ...]:
    """One skin for each SQL model, whose description comes from ``schema.yml``, and the two that are none."""
    models = (spec for spec in all_specs().values() if spec.room == "audit" and "sql" in spec.tags)
    return (*(Skin(spec.name, "audit", description(spec.name), frozenset({"duckdb", "sql"})) for spec in models), *BESIDES)
