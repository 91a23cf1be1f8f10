"""Pruning Dagster's history: old runs go with their events and logs; what asset pages show stays."""

import dagster as dg
import pytest

from llm_assets.commands.run_history import prune
from tests.defs.test_skin import QUIET

CRAWLS = dg.DynamicPartitionsDefinition(name="crawl")
CHECKS = {"data": ("passes",), "model": ("good",)}
FAR = 1e12


class DataConfig(dg.Config):
    version: str = "1"
    fail: bool = False


@dg.asset(partitions_def=CRAWLS, check_specs=[dg.AssetCheckSpec("passes", asset="data")])
def data(context: dg.AssetExecutionContext, config: DataConfig):
    context.log_event(dg.AssetObservation("data", partition=context.partition_key, metadata={"step": 1}))
    yield dg.AssetCheckResult(passed=not config.fail, check_name="passes")
    if config.fail:
        raise dg.Failure("refused", allow_retries=False)
    yield dg.MaterializeResult(data_version=dg.DataVersion(config.version), metadata={"version": config.version})


@dg.asset(check_specs=[dg.AssetCheckSpec("good", asset="model")])
def model(config: DataConfig):
    yield dg.MaterializeResult(
        data_version=dg.DataVersion(config.version), check_results=[dg.AssetCheckResult(passed=True, check_name="good")]
    )


@pytest.fixture
def instance(tmp_path):
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        instance.add_dynamic_partitions("crawl", ["one", "two"])
        yield instance


def run(instance, asset, version, key=None, fail=False):
    name = asset.key.to_user_string()
    config = {**QUIET, "ops": {name: {"config": {"version": version, "fail": fail}}}}
    result = dg.materialize([asset], instance=instance, partition_key=key, run_config=config, raise_on_error=False)
    assert result.success != fail
    return result.run_id


def seen(instance):
    """What the UI's asset pages are made of."""
    found = {}
    for name, key in (("data", "one"), ("data", "two"), ("model", None)):
        asset = dg.AssetKey(name)
        where = dg.AssetRecordsFilter(asset, asset_partitions=[key]) if key else asset
        newest = instance.fetch_materializations(where, limit=1).records
        observed = instance.fetch_observations(where, limit=1).records
        version = instance.get_latest_data_version_record(asset, partition_key=key)
        found[name, key] = [(r.storage_id, r.run_id) for r in (*newest, *observed, version) if r is not None]
    for name, checks in CHECKS.items():
        for info in instance.event_log_storage.get_asset_check_partition_info([dg.AssetCheckKey(dg.AssetKey(name), checks[0])]):
            found[name, info.partition_key, "check"] = (info.latest_execution_status, info.latest_planned_run_id)
    found["partitions"] = instance.get_materialized_partitions(dg.AssetKey("data"))
    records = instance.get_asset_records([dg.AssetKey("data"), dg.AssetKey("model")])
    found["records"] = [(r.asset_entry.last_run_id, r.asset_entry.last_materialization_record.storage_id) for r in records]
    return found


def runs(instance):
    return {run.run_id for run in instance.get_runs()}


def test_the_newest_of_every_asset_and_crawl_stays(instance):
    old = [run(instance, data, "1", "one"), run(instance, model, "1")]
    kept = [run(instance, data, "2", "one"), run(instance, data, "1", "two"), run(instance, model, "2")]
    refused = [run(instance, data, "3", "two", fail=True), run(instance, data, "4", "two", fail=True)]
    before = seen(instance)
    told = prune(instance, CHECKS, before=FAR, keep=100, dry_run=True)
    assert runs(instance) == {*old, *kept, *refused}
    assert prune(instance, CHECKS, before=FAR, keep=100) == told
    assert set(told.run_ids) == {*old, refused[0]}
    assert runs(instance) == {*kept, refused[1]}
    assert seen(instance) == before
    assert told.kept == 4
    assert prune(instance, CHECKS, before=FAR, keep=100).run_ids == ()


def test_runs_go_with_their_events_and_logs(instance, tmp_path):
    old, new = run(instance, model, "1"), run(instance, model, "2")
    assert [path.name for path in tmp_path.rglob(f"*{old}*")] != []
    prune(instance, CHECKS, before=FAR, keep=100)
    assert [path.name for path in tmp_path.rglob(f"*{old}*")] == []
    assert {r.run_id for r in instance.fetch_materializations(dg.AssetKey("model"), limit=9).records} == {new}
    assert instance.all_logs(new) != []
    with dg.DagsterInstance.local_temp(str(tmp_path)) as again:  # as a UI that starts later reads it
        assert again.all_logs(old) == []


def test_age_and_number_are_limits_by_themselves(instance):
    first, second, third, last = (run(instance, model, version) for version in "1234")
    assert prune(instance, CHECKS, before=0.0, keep=4).run_ids == ()
    assert prune(instance, CHECKS, before=0.0, keep=3, dry_run=True).run_ids == (first,)
    [record] = instance.get_run_records(dg.RunsFilter(run_ids=[third]))
    assert prune(instance, CHECKS, before=record.end_time, keep=99).run_ids == (second, first)
    assert prune(instance, CHECKS, before=0.0, keep=0).run_ids == (third,)
    assert runs(instance) == {last}


def test_runs_that_go_on_and_runs_of_a_back_fill_that_goes_on_stay(instance):
    from dagster._core.execution.backfill import BulkActionStatus, PartitionBackfill

    tags = {"dagster/backfill": "fill"}
    config = {**QUIET, "ops": {"model": {"config": {"version": "1", "fail": False}}}}
    filled = dg.materialize([model], instance=instance, run_config=config, tags=tags).run_id
    job = dg.Definitions([model], jobs=[dg.define_asset_job("job", [model])]).resolve_job_def("job")
    going = instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED).run_id
    run(instance, model, "2")
    fill = PartitionBackfill(
        backfill_id="fill",
        status=BulkActionStatus.REQUESTED,
        from_failure=False,
        tags={},
        backfill_timestamp=0.0,
        asset_selection=[model.key],
    )
    instance.add_backfill(fill)
    assert prune(instance, CHECKS, before=FAR, keep=0).run_ids == ()
    instance.update_backfill(fill.with_status(BulkActionStatus.COMPLETED_SUCCESS))
    assert prune(instance, CHECKS, before=FAR, keep=0).run_ids == (filled,)
    assert going in runs(instance)
