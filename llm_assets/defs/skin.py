"""From a spec to a Dagster asset: config in, one ``produce`` call, check results and a ``MaterializeResult`` out.

Gates run in the asset's body: on a block the body yields every check result and raises ``Failure``, so nothing is
materialised and ``CURRENT`` stays (a blocking ``@asset_check`` would still record the materialisation).
"""

import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

import dagster as dg
from dagster._core.errors import DagsterExecutionInterruptedError

from llm_assets.core import pages
from llm_assets.core.errors import LlmAssetsError, RecipeError, WorkerDied
from llm_assets.core.produce import COUNTS_GATE, Outcome, produce
from llm_assets.core.recipe.base import Section
from llm_assets.core.recipe.catalogue import CatalogueConfig, Presentation
from llm_assets.core.spec import FOLLOWS_GATE, AssetSpec, Input
from llm_assets.core.store import UNPARTITIONED
from llm_assets.defs import automation_conditions as conditions
from llm_assets.defs import metadata, settings
from llm_assets.defs.config import config_class, section_from
from llm_assets.defs.history import held_open
from llm_assets.defs.pipes import launcher
from llm_assets.defs.progress import LISTENERS, DagsterProgress
from llm_assets.stages import all_specs, spec_of

MOST_KINDS = 10  # Dagster refuses more
_ABOUT = {
    COUNTS_GATE: "Documents in = kept + dropped by each rule.",
    FOLLOWS_GATE: "What the stage before kept is what came in: none lost, none from elsewhere, none twice.",
}


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
                description=_ABOUT.get(name, f"Judged by {spec.gates} when {spec.name} is made, before it becomes current."),
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
        with held_open(context.instance, context.run.run_id):
            yield from make(context, config)

    def make(context: dg.AssetExecutionContext, config: Any) -> Iterator[Any]:
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
                coming=_selected(context),
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
    shown = presented(skin, settings.recipe().catalogue)
    return dg.asset(
        name=spec.name,
        group_name=skin.group,
        description=shown.description,
        kinds=set(shown.kinds) or None,
        owners=shown.owners or None,
        metadata={"pages": dg.MetadataValue.url(f"{pages.docs_url()}/{pages.INDEX}"), "made_by": spec.module},
        deps=dependencies(spec, section),
        partitions_def=settings.crawls if spec.partitioned else None,
        check_specs=checks(spec) or None,
        code_version=spec.code_version,
        pool=skin.pool or ("gpu" if spec.process else None),
        automation_condition=skin.condition or conditions.default(spec),
        output_required=False,
        tags={**spec.tags, **shown.tags} or None,
    )(materialise)


def presented(skin: Skin, catalogue: CatalogueConfig) -> Presentation:
    """What the UI shows of an asset: its skin, and what the recipe's catalogue adds. ``RecipeError`` for too many kinds."""
    told = catalogue.of(skin.asset, skin.group)
    kinds = sorted(skin.kinds | set(told.kinds))
    if len(kinds) > MOST_KINDS:
        raise RecipeError(
            f"catalogue: {skin.asset} would have the kinds {', '.join(kinds)}; at most {MOST_KINDS} are shown, name fewer"
        )
    said = "\n\n".join(part for part in (told.description, skin.description) if part)
    return told.model_copy(update={"description": said, "kinds": kinds})


def check_catalogue(skins: Iterable[Skin], catalogue: CatalogueConfig) -> None:
    """``RecipeError`` naming the near miss where the catalogue speaks of a group or an asset that isn't there."""
    known = {"groups": {skin.group for skin in skins}, "assets": {skin.asset for skin in skins}}
    for kind, names in known.items():
        for name in getattr(catalogue, kind):
            if name not in names:
                near = get_close_matches(name, names, n=1)
                hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(sorted(names))}"
                raise RecipeError(f"catalogue.{kind}.{name}: no such {kind.removesuffix('s')}; {hint}")


def _selected(context: dg.AssetExecutionContext) -> list[tuple[AssetSpec, Section]]:
    """The assets of this run, with their sections of the recipe."""
    names = {key.to_user_string() for key in context.job_def.asset_layer.selected_asset_keys}
    specs = [spec for name, spec in all_specs().items() if name in names and spec.loads]
    return [(spec, settings.recipe().section(spec.name)) for spec in specs]


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
