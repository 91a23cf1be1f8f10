"""Running assets from the command line: the same jobs, in the same instance, that the UI shows.

A whole run is a few Dagster runs in order: the tokenizer needs the first crawl's shards, and token shards need the tokenizer.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from llm_assets.commands.console import ConsoleListener, quiet_descriptors
from llm_assets.core.errors import LlmAssetsError
from llm_assets.core.store import check_partition_key
from llm_assets.stages import all_specs, spec_of

DATA_PARTITIONED = ("raw_crawl", "extracted_pages", "cleaned_corpus", "deduped_shards", "image_dataset", "tokenized_dataset")

# Dagster's own logger would print every event; the console listener says what matters, the UI has it all.
_QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@dataclass(frozen=True)
class Part:
    """One Dagster run: a job and the assets of it (empty: all)."""

    job: str
    assets: tuple[str, ...] = ()
    partitioned: bool = False


def data_parts() -> tuple[Part, ...]:
    """From fetching to token shards."""
    before = DATA_PARTITIONED[:-1]
    return (
        Part("foundations"),
        Part("data_refresh", before, partitioned=True),
        Part("vocabulary"),
        Part("data_refresh", DATA_PARTITIONED[-1:], partitioned=True),
    )


def all_parts() -> tuple[Part, ...]:
    """From fetching to a served model and the audit tables."""
    return (*data_parts(), Part("train"), Part("evaluate"), Part("refresh_check"), Part("release"), Part("audit"))


def selected(parts: Sequence[Part], names: Sequence[str]) -> list[Part]:
    """The parts cut down to the named assets. Raises ``LlmAssetsError`` with near misses for an unknown name."""
    for name in names:
        try:
            spec_of(name)
        except ValueError as error:
            raise LlmAssetsError(str(error)) from error
    wanted = set(names)
    found = []
    for part in parts:
        assets = tuple(name for name in (part.assets or _assets_of(part.job)) if name in wanted)
        if assets:
            found.append(Part(part.job, assets, part.partitioned))
    return found


def _assets_of(job: str) -> tuple[str, ...]:
    from llm_assets.definitions import defs

    keys = defs.resolve_job_def(job).asset_layer.selected_asset_keys
    return tuple(name for name in all_specs() if any(key.to_user_string() == name for key in keys))


def run_parts(parts: Sequence[Part], crawl: str, listener: ConsoleListener, *, force: bool = False) -> bool:
    """Run the parts in order; stops at the first that fails. Returns whether all succeeded."""
    from llm_assets.commands.instance import dagster_home, instance
    from llm_assets.definitions import defs
    from llm_assets.defs.launching import process_tag
    from llm_assets.defs.settings import CRAWLS

    check_partition_key(crawl)
    with instance() as dagster, quiet_descriptors(dagster_home() / "console.log"):
        if not dagster.has_dynamic_partition(CRAWLS, crawl):
            dagster.add_dynamic_partitions(CRAWLS, [crawl])
        for part in parts:
            chosen = part.assets or _assets_of(part.job)
            config: dict[str, Any] = dict(_QUIET)
            if force:
                config["ops"] = {name: {"config": {"force_rebuild": True}} for name in chosen}
            result = defs.resolve_job_def(part.job).execute_in_process(
                run_config=config,
                instance=dagster,
                partition_key=crawl if part.partitioned else None,
                asset_selection=_keys(part.assets) if part.assets else None,
                tags=process_tag(),
                raise_on_error=False,
            )
            if not result.success:
                return False
    return True


def _keys(names: Sequence[str]) -> list[Any]:
    import dagster as dg

    return [dg.AssetKey(name) for name in names]
