"""The audit group: one asset for each SQL model of ``dbt_like_sql/``. A new ``.sql`` file needs no Python."""

from llm_assets.defs.skin import Skin
from llm_assets.stages import all_specs
from llm_assets.stages.audit.project import description


def skins() -> tuple[Skin, ...]:
    """One skin for each SQL model; its description comes from ``schema.yml``."""
    return tuple(
        Skin(spec.name, "audit", description(spec.name), frozenset({"duckdb", "sql"}))
        for spec in all_specs().values()
        if spec.room == "audit"
    )
