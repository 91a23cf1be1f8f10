"""From a spec to a Dagster asset: config in, one ``produce`` call, check results and a ``MaterializeResult`` out.

Gates run in the asset's body: on a block the body yields every check result and raises ``Failure``, so nothing is
materialised and ``CURRENT`` stays (a blocking ``@asset_check`` would still record the materialisation).
"""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import dagster as dg
from dagster._core.errors import DagsterExecutionInterruptedError

from llm_assets.core.errors import LlmAssetsError, WorkerDied
from llm_assets.core.produce import Outcome, produce
from llm_assets.core.spec import AssetSpec, Input
from llm_assets.core.store import UNPARTITIONED
from llm_assets.defs import automation_conditions as conditions
from llm_assets.defs import metadata, settings
from llm_assets.defs.config import config_class, section_from
from llm_assets.defs.pipes import launcher
from llm_assets.defs.progress import LISTENERS, DagsterProgress
from llm_assets.stages import spec_of


@dataclass(frozen=True)
class Skin:
    """How one asset looks in the UI. Everything that decides its content is in its spec."""

    asset: str
    group: str
    description: str
    kinds: frozenset[str] = field(default_factory=frozenset)
    pool: str | None = None
    condition: Any = None


def checks(spec: AssetSpec) -> list[dg.AssetCheckSpec]:
    """The check specs of an asset's gates. ``partitions_def`` on checks is in preview: this is the one place that knows."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=dg.PreviewWarning)
        return [
            dg.AssetCheckSpec(
                name,
                asset=spec.name,
                blocking=True,
                partitions_def=settings.crawls if spec.partitioned else None,
            )
            for name in spec.checks
        ]


def dependencies(spec: AssetSpec, section: Any) -> list[dg.AssetDep]:
    """The edges that Dagster can draw. Earlier crawls of a dynamic partition are none of them; the manifest records them."""
    found: dict[str, dg.AssetDep] = {}
    for rule in spec.inputs:
        if rule.which != "earlier" and rule.asset != spec.name:
            found[rule.asset] = dg.AssetDep(rule.asset, partition_mapping=_mapping(rule, spec, section))
        if rule.by:
            found.setdefault(rule.by, dg.AssetDep(rule.by))
    return list(found.values())


def _mapping(rule: Input, spec: AssetSpec, section: Any) -> dg.PartitionMapping | None:
    if not spec_of(rule.asset).partitioned or rule.which == "same":
        return None
    if rule.which == "named" and section.crawls:
        return dg.SpecificPartitionsPartitionMapping(list(section.crawls))
    return dg.AllPartitionMapping()


def asset(skin: Skin) -> dg.AssetsDefinition:
    """The Dagster asset of a skin."""
    spec = spec_of(skin.asset)
    section = settings.recipe().section(spec.name)
    config_type = config_class(spec.name, section)

    def materialise(context: dg.AssetExecutionContext, config: Any) -> Iterator[Any]:
        partition = context.partition_key if spec.partitioned else UNPARTITIONED
        for listener in LISTENERS:
            listener.on_start(spec.name, partition)
        try:
            chosen, force = section_from(config, section)
            outcome = produce(
                settings.store(),
                spec,
                chosen,
                partition=partition,
                progress=DagsterProgress(context, spec.name),
                launcher=launcher(context),
                force=force,
                run_id=context.run.run_id,
            )
        except BaseException as error:
            for listener in LISTENERS:
                listener.on_fail(spec.name, partition, _said(error))
            if isinstance(error, WorkerDied):  # it goes on from what it has kept; a second death is final
                raise dg.RetryRequested(max_retries=1) from error
            if isinstance(error, LlmAssetsError):
                raise dg.Failure(description=str(error), allow_retries=False) from error
            raise
        for listener in LISTENERS:
            listener.on_finish(spec.name, partition, outcome)
        yield from _results(outcome)

    materialise.__annotations__ = {"context": dg.AssetExecutionContext, "config": config_type, "return": Iterator[Any]}
    return dg.asset(
        name=spec.name,
        group_name=skin.group,
        description=skin.description,
        kinds=set(skin.kinds) or None,
        deps=dependencies(spec, section),
        partitions_def=settings.crawls if spec.partitioned else None,
        check_specs=checks(spec) or None,
        code_version=spec.code_version,
        pool=skin.pool or ("gpu" if spec.process else None),
        automation_condition=skin.condition or conditions.default(spec),
        output_required=False,
        tags=spec.tags or None,
    )(materialise)


def _said(error: BaseException) -> str:
    if isinstance(error, KeyboardInterrupt | DagsterExecutionInterruptedError):
        return "interrupted; what it had done is kept: say the same again and it goes on"
    return str(error) or type(error).__name__


def _results(outcome: Outcome) -> Iterator[Any]:
    name = outcome.artefact.asset
    for gate in outcome.gates:
        yield metadata.check_result(outcome.artefact, gate)
    if outcome.failed:
        refused = "; ".join(f"{gate.name}: {gate.message}" for gate in outcome.gates if gate.name in outcome.failed)
        raise dg.Failure(
            description=f"{name} was refused by its gates and CURRENT stays as it was. {refused}",
            metadata=metadata.of_outcome(outcome),
            allow_retries=False,
        )
    yield dg.MaterializeResult(
        asset_key=name, metadata=metadata.of_outcome(outcome), data_version=dg.DataVersion(outcome.manifest.digest[:32])
    )
