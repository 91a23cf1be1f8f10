"""Jobs, and the list of what runs them by itself: doors for new crawls (``doors``), and what follows from them."""

import dagster as dg

from llm_assets.core.identity import find_inputs, identity_of, input_entries
from llm_assets.core.store import UNPARTITIONED
from llm_assets.defs import doors, settings
from llm_assets.defs.jobs import audit, data_refresh, evaluate, foundations, refresh_check, release, train, vocabulary
from llm_assets.stages import spec_of

MIX = "training_mix"


@dg.sensor(name="mix_is_due", asset_selection=dg.AssetSelection.assets(MIX), minimum_interval_seconds=600)
def mix_is_due(context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
    """Asks for the training mix when it has become old enough to take the crawls that waited (``minimum_age_hours``).

    Data and code that change start it by its condition; that time has passed, no condition sees.
    """
    spec, config, store = spec_of(MIX), settings.recipe().section(MIX), settings.store()
    current = store.current(MIX)
    if current is None:
        return dg.SkipReason("there is no mix yet")
    inputs = find_inputs(store, spec, UNPARTITIONED, config)
    if inputs.waiting:
        return dg.SkipReason(f"left for later: {inputs.waiting}")
    identity = identity_of(spec, UNPARTITIONED, config, input_entries(spec, inputs, config))
    if current.identity.partition(".")[0] == identity:
        return dg.SkipReason("the mix has all crawls")
    return dg.RunRequest(run_key=identity)


JOBS = (foundations, data_refresh, vocabulary, train, evaluate, refresh_check, release, audit)
SENSORS = (
    doors.inbox_sensor,
    doors.common_crawl_releases,
    dg.AutomationConditionSensorDefinition("follow_the_data", target=dg.AssetSelection.all()),
    mix_is_due,
)
SCHEDULES = (doors.weekly_refresh,)
