"""Audit tables: one asset for each SQL model of ``dbt_like_sql/``, and ``explain``, which tells what became of a page.

A new ``.sql`` file with its entry in ``schema.yml`` is a new asset; nothing here needs a change. Reading the project takes some
milliseconds; DuckDB and sqlglot are imported when a model runs.
"""

from llm_assets.core.spec import AssetSpec
from llm_assets.stages.audit.project import specs

SPECS: tuple[AssetSpec, ...] = specs()
