"""``pipeline_status``: where every asset and crawl stands, on a page of the UI. A view of the moment; the store keeps none.

Its data version is that of the table: while nothing changes, nothing that watches it is told.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import dagster as dg

from llm_assets.core.jsonio import digest
from llm_assets.core.oneline import shortened
from llm_assets.core.pages import docs_url
from llm_assets.core.store import UNPARTITIONED
from llm_assets.defs import metadata, settings
from llm_assets.stages import all_specs

_REASON_CHARS = 300
_TROUBLE = ("refused", "failed")


@dg.asset(
    group_name="audit",
    kinds={"status"},
    description="Every asset and crawl: fresh, stale and why, behind, refused by which check, failed, missing, running.",
    check_specs=[
        dg.AssetCheckSpec(
            "nothing_refused_or_failed", asset="pipeline_status", description="Checks and runs that need a person"
        )
    ],
    automation_condition=dg.AutomationCondition.on_cron("0 * * * *"),
)
def pipeline_status(context: dg.AssetExecutionContext) -> Iterator[Any]:
    """What ``llm-assets status`` says, as a table, counts to plot, and a link to the page."""
    from llm_assets.core.freshness import plan, standings  # with polars, which a code server can do without
    from llm_assets.core.status_page import SIGNS, STATUS, summary

    recipe, specs = settings.recipe(), all_specs()
    crawls = context.instance.get_dynamic_partitions(settings.CRAWLS)
    found = standings(settings.store(), specs, {name: recipe.section(name) for name in specs}, crawls)
    rows = [
        {
            "state": f"{SIGNS[one.state]} {one.state}",
            "asset": one.asset,
            "crawl": "" if one.partition == UNPARTITIONED else one.partition,
            "why": shortened("; ".join(one.reasons), _REASON_CHARS),
            "seconds": one.seconds,
        }
        for one in found
    ]
    counts = Counter(one.state for one in found)
    trouble = [one.name for one in found if one.state in _TROUBLE]
    yield dg.AssetCheckResult(
        passed=not trouble,
        severity=dg.AssetCheckSeverity.WARN,
        check_name="nothing_refused_or_failed",
        description=", ".join(trouble) or None,
    )
    yield dg.MaterializeResult(
        data_version=dg.DataVersion(digest(rows)[:32]),
        metadata={
            **{state: dg.MetadataValue.int(counts[state]) for state in SIGNS},
            "plan": dg.MetadataValue.text(summary(plan(found))),
            "page": dg.MetadataValue.url(f"{docs_url()}/{STATUS}"),
            "standings": metadata.table(rows),
        },
    )
