"""Jobs, the inbox sensor and the refresh schedule."""

from datetime import datetime
from pathlib import Path

import dagster as dg

from llm_assets.core.errors import StoreError
from llm_assets.core.inbox import folder, is_being_written, is_whole
from llm_assets.core.store import check_partition_key
from llm_assets.defs import settings

DATA_ASSETS = ("raw_crawl", "extracted_pages", "cleaned_corpus", "deduped_shards", "image_dataset", "tokenized_dataset")

data_refresh = dg.define_asset_job(
    "data_refresh",
    selection=dg.AssetSelection.assets(*DATA_ASSETS),
    description="One crawl, from fetching to token shards. Run it for a new crawl key, or back-fill it over many.",
)
train = dg.define_asset_job(
    "train",
    selection=dg.AssetSelection.assets(
        "training_mix", "base_model", "instruction_dataset", "preference_dataset", "sft_model", "reward_model", "rlhf_model"
    ),
    description="From the mix of all complete crawls to the RLHF model.",
)
evaluate = dg.define_asset_job(
    "evaluate", selection=dg.AssetSelection.assets("eval_report"), description="All models side by side."
)
release = dg.define_asset_job(
    "release", selection=dg.AssetSelection.assets("quantized_export", "deployment"), description="Quantise, prove, serve."
)
audit = dg.define_asset_job("audit", selection=dg.AssetSelection.groups("audit"), description="All SQL models.")
foundations = dg.define_asset_job(
    "foundations",
    selection=dg.AssetSelection.assets("tombstones", "eval_suite"),
    description="What the data jobs need before the first crawl.",
)
vocabulary = dg.define_asset_job(
    "vocabulary", selection=dg.AssetSelection.assets("tokenizer"), description="The pinned tokenizer."
)

JOBS = (foundations, data_refresh, vocabulary, train, evaluate, release, audit)


def inbox() -> Path:
    """The inbox: a folder per crawl, with its WARC files or documents."""
    return folder(settings.recipe().raw_crawl.inbox, settings.store().root)


def new_in_inbox(place: Path, known: set[str]) -> tuple[list[str], list[str]]:
    """Crawl folders that hold whole files and are not yet known, and sentences on those with a bad name."""
    found, refused = [], []
    for path in sorted(p for p in place.iterdir() if p.is_dir()) if place.is_dir() else []:
        try:
            check_partition_key(path.name)
        except StoreError as error:
            refused.append(str(error))
            continue
        files = [file.relative_to(path) for file in path.rglob("*") if file.is_file()]
        if path.name not in known and any(map(is_whole, files)) and not any(map(is_being_written, files)):
            found.append(path.name)
    return found, refused


@dg.sensor(job=data_refresh, name="inbox", minimum_interval_seconds=30)
def inbox_sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
    """New folders in the inbox become crawls: the partition is added and ``data_refresh`` requested, once each."""
    known = set(context.instance.get_dynamic_partitions(settings.CRAWLS))
    found, refused = new_in_inbox(inbox(), known)
    for sentence in refused:
        context.log.warning(sentence)
    if not found:
        return dg.SkipReason(f"nothing new in {inbox()}")
    return dg.SensorResult(
        run_requests=[dg.RunRequest(run_key=name, partition_key=name) for name in found],
        dynamic_partitions_requests=[settings.crawls.build_add_request(found)],
    )


def refresh_key(moment: datetime) -> str:
    """The crawl key of a scheduled refresh: one a day."""
    return f"refresh-{moment:%Y-%m-%d}"


@dg.schedule(job=data_refresh, cron_schedule="0 3 * * 1", name="weekly_refresh", execution_timezone="UTC")
def weekly_refresh(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
    """A new crawl of the recipe's seeds, every Monday at 03:00 UTC: what is unchanged costs a revisit record."""
    key = refresh_key(context.scheduled_execution_time)
    context.instance.add_dynamic_partitions(settings.CRAWLS, [key])
    return dg.RunRequest(run_key=key, partition_key=key)


SENSORS = (inbox_sensor, dg.AutomationConditionSensorDefinition("follow_the_data", target=dg.AssetSelection.all()))
SCHEDULES = (weekly_refresh,)
