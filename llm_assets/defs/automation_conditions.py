"""When assets materialise by themselves. ``eager()`` fires again for identical data; these do not.

Sources are asked for by a sensor or a schedule. Data assets follow a new crawl. Models rebuild on changed data or code, and
wait while anything above them is being made. What an asset reads only as the training mix does (``read_by``) neither starts nor
delays it: the mix decides.
"""

from typing import Any

import dagster as dg

from llm_assets.core.spec import AssetSpec

Condition = dg.AutomationCondition[dg.AssetKey]


def _once(trigger: Condition) -> Condition:
    return trigger.since(dg.AutomationCondition.newly_requested() | dg.AutomationCondition.newly_updated())


def default(spec: AssetSpec) -> Condition | None:
    """The condition of an asset, by what it is."""
    if spec.source:
        return None
    by = {rule.by for rule in spec.inputs}
    passive = {rule.asset for rule in spec.inputs if rule.by} - {rule.asset for rule in spec.inputs if not rule.by} - by

    def deps(condition: Any) -> Condition:
        return condition.ignore(dg.AssetSelection.assets(*passive)) if passive else condition  # type: ignore[no-any-return]

    changed = (
        deps(dg.AutomationCondition.any_deps_match(dg.AutomationCondition.data_version_changed()))
        | dg.AutomationCondition.code_version_changed()
        | dg.AutomationCondition.newly_missing()
    )
    condition = _once(changed) & ~deps(dg.AutomationCondition.any_deps_in_progress()) & ~dg.AutomationCondition.in_progress()
    # training_mix takes the crawls that are complete and names the missing ones: one bad crawl must not stop it, so it
    # waits for some dependency, not for all.
    if any(rule.which == "all" for rule in spec.inputs):
        return condition & dg.AutomationCondition.any_deps_match(~dg.AutomationCondition.missing())
    return condition & ~deps(dg.AutomationCondition.any_deps_missing())
