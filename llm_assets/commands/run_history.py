"""Dagster's history of runs, cut down: what asset pages show stays, and so does what a back-fill that goes on must know.

Deleting a run deletes its events, materialisations and checks among them. So a run stays where it holds the newest
materialisation, observation, check evaluation, failed attempt or plan of any asset and crawl. Of the others go those older
than a limit, and those beyond a number of each job.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
from dagster import AssetRecordsFilter, DagsterEventType, DagsterInstance, RunRecord, RunsFilter
from dagster._core.execution.backfill import BulkActionsFilter, BulkActionStatus
from dagster._core.storage.event_log.sqlite import SqliteEventLogStorage

_PAGE = 500
_BACKFILL_TAG = "dagster/backfill"
_FINISHED = (dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED)


@dataclass(frozen=True)
class Pruned:
    """Runs that were, or would be, deleted, and those that stay."""

    run_ids: tuple[str, ...]
    kept: int


def prune(
    instance: DagsterInstance, checks: Mapping[str, Iterable[str]], *, before: float, keep: int, dry_run: bool = False
) -> Pruned:
    """Delete finished runs that ended before a moment (seconds since the epoch) or are beyond the newest ``keep`` of their job.

    ``checks``: the names of each asset's checks, since the history can't list them.
    """
    records = _finished(instance)
    numbered: dict[str, int] = {}
    old = []
    for record in records:
        number = numbered[record.dagster_run.job_name] = numbered.get(record.dagster_run.job_name, 0) + 1
        if number > keep or (record.end_time or record.create_timestamp.timestamp()) < before:
            old.append(record.dagster_run)
    going = _backfills_that_go_on(instance)
    needed = _needed(instance, checks) if old else set()
    doomed = [run.run_id for run in old if run.run_id not in needed and run.tags.get(_BACKFILL_TAG) not in going]
    for run_id in doomed if not dry_run else ():
        _delete(instance, run_id)
    return Pruned(tuple(doomed), len(records) - len(doomed))


def _finished(instance: DagsterInstance) -> list[RunRecord]:
    """Newest first."""
    found: list[RunRecord] = []
    cursor = None
    while page := instance.get_run_records(RunsFilter(statuses=list(_FINISHED)), limit=_PAGE, cursor=cursor):
        found += page
        cursor = page[-1].dagster_run.run_id
    return found


def _backfills_that_go_on(instance: DagsterInstance) -> set[str]:
    open_ones = [BulkActionStatus.REQUESTED, BulkActionStatus.CANCELING, BulkActionStatus.FAILING]
    return {one.backfill_id for one in instance.get_backfills(filters=BulkActionsFilter(statuses=open_ones))}


def _needed(instance: DagsterInstance, checks: Mapping[str, Iterable[str]]) -> set[str]:
    """Runs that hold the newest of anything, for each asset and each of its partitions."""
    found: set[str] = set()
    log = instance.event_log_storage
    for key in instance.all_asset_keys():
        for kind, fetch in (
            (DagsterEventType.ASSET_MATERIALIZATION, instance.fetch_materializations),
            (DagsterEventType.ASSET_OBSERVATION, instance.fetch_observations),
            (DagsterEventType.ASSET_FAILED_TO_MATERIALIZE, instance.fetch_failed_materializations),
        ):
            found |= {record.run_id for record in fetch(key, limit=1).records}  # an asset without partitions
            newest = list(instance.get_latest_storage_id_by_partition(key, kind).values())
            for start in range(0, len(newest), _PAGE):
                part = newest[start : start + _PAGE]
                found |= {r.run_id for r in fetch(AssetRecordsFilter(key, storage_ids=part), limit=len(part)).records}
        attempts = log.get_latest_asset_partition_materialization_attempts_without_materializations(key)
        found |= {run_id for run_id, _ in attempts.values()}
        planned = instance.get_latest_planned_materialization_info(key)
        found |= {planned.run_id} if planned else set()
    keys = [dg.AssetCheckKey(dg.AssetKey(asset), name) for asset, names in checks.items() for name in names]
    return found | {info.latest_planned_run_id for info in log.get_asset_check_partition_info(keys)}


def _delete(instance: DagsterInstance, run_id: str) -> None:
    instance.delete_run(run_id)
    instance.compute_log_manager.delete_logs(prefix=[run_id])
    log = instance.event_log_storage
    if isinstance(log, SqliteEventLogStorage):  # it leaves the run's own file behind, empty
        Path(log.path_for_shard(run_id)).unlink(missing_ok=True)
