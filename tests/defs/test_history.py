"""The history is held open while an asset is made: events are written as ever, and nothing stays open."""

import dagster as dg
import psutil

from llm_assets.defs.history import held_open

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


def opened():
    return [file.path for file in psutil.Process().open_files() if file.path.endswith(".db")]


def test_events_are_written_and_nothing_stays_open(tmp_path):
    seen = []

    @dg.asset
    def noted(context: dg.AssetExecutionContext) -> None:
        before = len(opened())
        with held_open(context.instance, context.run.run_id) as held:
            seen.append((held, len(opened()) - before))
            context.log_event(dg.AssetObservation("noted", metadata={"n": 1}))
        seen.append(len(opened()) - before)

    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        assert dg.materialize([noted], instance=instance, run_config=QUIET).success
        (event,) = instance.fetch_observations(dg.AssetKey("noted"), limit=2).records
        assert event.asset_observation.metadata["n"].value == 1
    assert seen == [(2, 2), 0]


def test_another_storage_is_left_alone():
    with dg.DagsterInstance.ephemeral() as instance, held_open(instance, "run") as held:
        assert held == 0
