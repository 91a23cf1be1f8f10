"""Jobs, and the list of what runs them by itself: doors for new crawls (``doors``), and what follows from them."""

import dagster as dg

from llm_assets.defs import doors
from llm_assets.defs.jobs import audit, data_refresh, evaluate, foundations, release, train, vocabulary

JOBS = (foundations, data_refresh, vocabulary, train, evaluate, release, audit)
SENSORS = (
    doors.inbox_sensor,
    doors.common_crawl_releases,
    dg.AutomationConditionSensorDefinition("follow_the_data", target=dg.AssetSelection.all()),
)
SCHEDULES = (doors.weekly_refresh,)
