"""The doors by which new data comes in unasked: the inbox, a schedule for seeds, and Common Crawl's list of releases.

Each asks for one run of ``data_refresh`` a crawl, once. What was asked for is in the sensor's cursor, which Dagster keeps only
when a tick is done, and in the run's key: a daemon that dies in mid-tick looks again with the old cursor, and a run that was
launched already is not launched twice. A crawl that came in by another door is left alone, and so is one whose run failed or
whose partition was deleted: start that one from the UI. All are off until turned on under Automation.
"""

import json
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError

import dagster as dg

from llm_assets.core import inbox
from llm_assets.core.errors import InputError, StoreError
from llm_assets.core.store import check_partition_key
from llm_assets.defs import settings
from llm_assets.defs.jobs import data_refresh

_LIST_BYTES = 4_194_304  # Common Crawl's list has some 120 entries of 300 bytes
_PARTITION_TAG = "dagster/partition"


def _fetched(crawl: str) -> str:
    """The identity of a crawl's raw crawl, "" where there is none."""
    current = settings.store().current("raw_crawl", crawl)
    return current.identity if current else ""


def _came_in(instance: dg.DagsterInstance, crawl: str) -> bool:
    """Whether a crawl is there, or a run was started for it, by whatever door."""
    return bool(_fetched(crawl)) or instance.get_runs_count(dg.RunsFilter(tags={_PARTITION_TAG: crawl})) > 0


def _asked(crawls: list[str], cursor: str) -> dg.SensorResult:
    return dg.SensorResult(
        run_requests=[dg.RunRequest(run_key=name, partition_key=name) for name in crawls],
        dynamic_partitions_requests=[settings.crawls.build_add_request(crawls)],
        cursor=cursor,
    )


def _state(cursor: str | None, sensor: str, *keys: str) -> dict[str, Any]:
    """The state in a cursor; ``InputError`` where somebody wrote something else there."""
    try:
        found = json.loads(cursor or "{}")
        return {key: dict(found.get(key, {})) for key in keys}
    except (ValueError, TypeError, AttributeError) as error:
        raise InputError(
            f"the cursor of the sensor {sensor} can't be read ({error}); reset it in the UI, under Automation"
        ) from error


# the inbox


@dataclass
class Look:
    """What a look at the inbox found: crawls to take, and sentences on the others; ``cursor`` remembers both."""

    take: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    cursor: str = ""


def inbox_folder() -> Path:
    """The inbox: a folder per crawl, with its WARC files or documents."""
    return inbox.folder(settings.recipe().raw_crawl.inbox, settings.store().root)


def look(place: Path, cursor: str | None, came_in: Callable[[str], bool], fetched: Callable[[str], str]) -> Look:
    """Which folders of the inbox are whole and new. Changes nothing; the same folders and cursor give the same answer.

    A folder is taken at the second look that finds the same files in it, so that one that is still being copied waits, and
    never again: ``taken`` remembers what was in it. ``came_in`` says whether a crawl is known elsewhere, ``fetched`` as which
    identity.
    """
    state = _state(cursor, "inbox", "taken", "seen")
    taken, before, seen = state["taken"], state["seen"], {}
    found = Look()
    folders = sorted(path for path in place.iterdir() if path.is_dir()) if place.is_dir() else []
    for name in (path.name for path in folders if not path.name.startswith(".")):
        try:
            check_partition_key(name)
        except StoreError as error:
            found.warnings.append(str(error))
            continue
        holds = inbox.contents(place / name)
        if name in taken:
            taken[name] = _still(found, name, holds, taken[name], fetched)
        elif not holds:
            found.notes.append(f"{name}: nothing whole in it yet")
        elif came_in(name):
            taken[name] = {"holds": holds, "as": fetched(name)}
        elif before.get(name) == holds:
            found.take.append(name)
            taken[name] = {"holds": holds, "as": ""}
        else:
            seen[name] = holds
            found.notes.append(f"{name}: taken at the next look, if nothing changes until then")
    found.cursor = json.dumps({"taken": taken, "seen": seen})
    return found


def _still(found: Look, name: str, holds: str, then: dict[str, str], fetched: Callable[[str], str]) -> dict[str, str]:
    """A folder that was taken: says so where it holds other files now, until its crawl is fetched again."""
    if not holds or holds == then["holds"]:
        return then
    now = fetched(name)
    if then["as"] and now not in ("", then["as"]):  # fetched again since
        return {"holds": holds, "as": now}
    found.warnings.append(
        f"{name} has changed since it was taken ({then['holds'].rpartition(',')[0]}; now {holds.rpartition(',')[0]}). A crawl "
        "is a snapshot: put what is new into a folder of another name, or read this one again with "
        f"'llm-assets run --crawl {name} --select raw_crawl --force'"
    )
    return {"holds": then["holds"], "as": then["as"] or now}


@dg.sensor(job=data_refresh, name="inbox", minimum_interval_seconds=30)
def inbox_sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult:
    """New folders in the inbox become crawls: the partition is added and ``data_refresh`` requested, once each."""
    place = inbox_folder()
    found = look(place, context.cursor, lambda crawl: _came_in(context.instance, crawl), _fetched)
    for sentence in found.warnings:
        context.log.warning(sentence)
    if found.take:
        return _asked(found.take, found.cursor)
    why = "; ".join([*found.warnings, *found.notes]) or f"nothing new in {place}"
    return dg.SensorResult(skip_reason=why, cursor=found.cursor)


# seeds


def refresh_keys(moment: datetime) -> list[str]:
    """The crawl keys of a scheduled refresh: one for each entry of ``raw_crawl.seeds``, and a day."""
    return [f"{name}-{moment:%Y-%m-%d}" for name in settings.recipe().raw_crawl.seeds]


@dg.schedule(job=data_refresh, cron_schedule="0 3 * * 1", name="weekly_refresh", execution_timezone="UTC")
def weekly_refresh(context: dg.ScheduleEvaluationContext) -> list[dg.RunRequest] | dg.SkipReason:
    """A new crawl of each of the recipe's seeds, every Monday at 03:00 UTC: what is unchanged costs a revisit record."""
    keys = [check_partition_key(key) for key in refresh_keys(context.scheduled_execution_time)]
    if not keys:
        return dg.SkipReason("raw_crawl.seeds of the recipe is empty: there is nothing to crawl again")
    context.instance.add_dynamic_partitions(settings.CRAWLS, keys)
    return [dg.RunRequest(run_key=key, partition_key=key) for key in keys]


# Common Crawl


def releases() -> list[str]:
    """The ids that the recipe's list of releases names, oldest first. ``InputError`` where it can't be had or read."""
    config = settings.recipe().raw_crawl
    url = config.common_crawl.releases_url
    request = urllib.request.Request(url, headers={"User-Agent": config.user_agent})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            listed = json.loads(answer.read(_LIST_BYTES))
        return [str(entry["id"]) for entry in reversed(listed)]
    except (URLError, TimeoutError, ConnectionError) as error:
        if isinstance(error, HTTPError):
            error.close()
        raise InputError(f"{url} can't be had ({error}); the next look tries again") from error
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{url} is no list of Common Crawl's releases ({error}); set raw_crawl.common_crawl.releases_url"
        ) from error


@dg.sensor(job=data_refresh, name="common_crawl_releases", minimum_interval_seconds=6 * 3600)
def common_crawl_releases(context: dg.SensorEvaluationContext) -> dg.SensorResult:
    """A new Common Crawl month becomes a crawl. The first look only notes what is there: old months are asked for by hand."""
    url = settings.recipe().raw_crawl.common_crawl.releases_url
    known = _state(context.cursor, "common_crawl_releases", "known")["known"]
    listed = []
    for name in releases():
        try:
            listed.append(check_partition_key(name))
        except StoreError as error:
            context.log.warning(f"{url}: {error}")
    first = url not in known
    before = set(known.get(url, ()))
    cursor = json.dumps({"known": {url: sorted({*before, *listed})}})
    new = [name for name in listed if name not in before and not _came_in(context.instance, name)]
    if first:
        return dg.SensorResult(
            skip_reason=f"first look: {len(listed)} months are there; the next new one is taken", cursor=cursor
        )
    return _asked(new, cursor) if new else dg.SensorResult(skip_reason=f"nothing new at {url}", cursor=cursor)
