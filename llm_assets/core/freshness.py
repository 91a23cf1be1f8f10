"""Whether each artefact is what its recipe, code and inputs would give now, and if not, why. Reads manifests; makes nothing.

An artefact is ``stale`` where its identity would be another one today: the reasons are the parts of the identity that
differ. It is ``behind`` where it is what its inputs give, but one of these, or of theirs, is not fresh: whether it will be made
anew depends on what that turns out to be, since equal content triggers nothing. Named are the first of such a chain.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from llm_assets.core.artefact import Artefact
from llm_assets.core.errors import MissingInput
from llm_assets.core.identity import find_inputs, identity_of, input_entries, library_version
from llm_assets.core.last_run import Ended, newest
from llm_assets.core.manifest import MANIFEST_FILE, InputEntry, Manifest
from llm_assets.core.oneline import shortened
from llm_assets.core.recipe.base import Section, identity_values
from llm_assets.core.spec import AssetSpec
from llm_assets.core.store import INCOMING, UNPARTITIONED, Store, named
from llm_assets.core.takedowns import Takedowns

_VALUE_CHARS = 60
_RUNNING = "a process is making it now"
State = Literal["fresh", "behind", "stale", "refused", "failed", "missing", "running"]


@dataclass(frozen=True)
class Standing:
    """One asset of one crawl (``all`` where it has none).

    ``refused``: the artefact that would be current was made, and gates stopped it; ``failed``: its last run raised;
    ``missing``: nothing was accepted yet; ``running``: a process holds its lock. ``reasons`` say why, or what is left to note.
    ``identity``: what readers see, "" for nothing. ``ready``: what would be made is in the store already, and is taken at once.
    ``roots``: the first that are not fresh, by name. ``seconds``, ``gpu_hours``: what it cost when it was made last under this
    or another recipe, 0 if never. ``affected_by``: take-downs of documents that it was trained on, which it still bears.
    """

    asset: str
    partition: str
    state: State
    reasons: tuple[str, ...] = ()
    identity: str = ""
    ready: bool = False
    roots: tuple[str, ...] = ()
    seconds: float = 0.0
    gpu_hours: float = 0.0
    affected_by: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """``asset[crawl]``, or ``asset``."""
        return named(self.asset, self.partition)


def in_order(specs: Mapping[str, AssetSpec]) -> list[AssetSpec]:
    """Assets after all that they read."""
    ordered: dict[str, AssetSpec] = {}

    def add(spec: AssetSpec) -> None:
        for name in (name for rule in spec.inputs for name in (rule.asset, rule.by)):
            if name in specs and name != spec.name and name not in ordered:
                add(specs[name])
        ordered.setdefault(spec.name, spec)

    for spec in specs.values():
        add(spec)
    return list(ordered.values())


def standings(
    store: Store, specs: Mapping[str, AssetSpec], sections: Mapping[str, Section], crawls: Iterable[str] = ()
) -> list[Standing]:
    """Every asset × crawl, inputs before readers. ``sections``: by asset; ``crawls``: those that the store may not have yet."""
    known = [name for spec in specs.values() if spec.partitioned for name in store.partitions(spec.name)]
    partitions = store.in_crawl_order({*known, *crawls})
    found: dict[tuple[str, str], Standing] = {}
    for spec in in_order(specs):
        for partition in partitions if spec.partitioned else [UNPARTITIONED]:
            found[spec.name, partition] = _standing(store, spec, partition, sections[spec.name], found)
    affected = Takedowns(store.root).affected()
    return [_affected(one, affected.get(f"{one.asset}/{one.partition}/{one.identity}", ())) for one in found.values()]


def _affected(one: Standing, takedowns: Iterable[str]) -> Standing:
    those = tuple(takedowns)
    told = (f"affected by the take-down {', '.join(those)}",) if those else ()
    return replace(one, affected_by=those, reasons=(*told, *one.reasons))


def _standing(
    store: Store, spec: AssetSpec, partition: str, config: Section, before: Mapping[tuple[str, str], Standing]
) -> Standing:
    current = store.current(spec.name, partition)
    manifest = current.manifest() if current else None
    cost = manifest or _last(store, spec.name, partition)
    known: dict[str, Any] = {"identity": current.identity if current else ""}
    if cost is not None:
        known |= {"seconds": cost.seconds, "gpu_hours": cost.gpu_hours}

    def standing(state: State, *reasons: str, ready: bool = False, roots: Iterable[str] = ()) -> Standing:
        return Standing(spec.name, partition, state, reasons, ready=ready, roots=tuple(roots), **known)

    try:
        inputs = find_inputs(store, spec, partition, config)
    except MissingInput as error:
        return standing("stale" if current else "missing", f"waits for {error.what}")
    raised = _raised(store, spec, partition, manifest)
    if spec.source:
        return standing(*_source(store, spec, partition, config, manifest, raised))
    waits = [f"leaves for later {inputs.waiting}"] if inputs.waiting else []
    entries = input_entries(spec, inputs, config)
    identity = identity_of(spec, partition, config, entries)
    if store.is_held(spec.name, partition, identity):
        return standing("running", _RUNNING)
    failure = [f"the last run failed: {raised.error}"] if raised else []
    if current is not None and manifest is not None and current.identity.partition(".")[0] == identity:
        late = [one for entry in entries if (one := before.get((entry.asset, entry.partition))) and one.state != "fresh"]
        late += _awaited(spec, entries, before)
        late += [one for rule in spec.inputs if (one := before.get((rule.by, UNPARTITIONED))) and one.state != "fresh"]
        roots = dict.fromkeys(root for one in late for root in (one.roots or (one.name,)))
        if roots:
            return standing("behind", *(f"{name} is not fresh" for name in roots), *failure, roots=roots)
        return standing("fresh", *waits, *failure)
    made = store.rebuilds(spec.name, partition, identity)
    if refused := _refusals(store, made):
        return standing("refused", *refused)
    begun = store.is_begun(spec.name, partition, identity)
    left = ["an unfinished run is there, which the next one goes on with"] if begun else []
    changes = differences(spec, config, entries, manifest) if manifest else []
    if raised and raised.identity.partition(".")[0] == identity:
        return standing("failed", *failure, *changes, *left, ready=bool(made))
    return standing("stale" if manifest else "missing", *changes, *failure, *left, ready=bool(made))


def _raised(store: Store, spec: AssetSpec, partition: str, manifest: Manifest | None) -> Ended | None:
    """The end of the last run, where it raised and nothing was accepted since."""
    last = newest(store.work_folder(spec.name, partition), store.recipe)
    stands = last is not None and last.error and (manifest is None or last.at > manifest.started_at)
    return last if stands else None


def _refusals(store: Store, made: list[Artefact]) -> list[str]:
    """What gates said of the last of some artefacts, where they stopped it."""
    gates = store.gates(made[-1]) if made else []
    return [f"{gate.name}: {gate.message}" for gate in gates if gate.blocking and not gate.passed]


def _source(
    store: Store, spec: AssetSpec, partition: str, config: Section, manifest: Manifest | None, raised: Ended | None
) -> tuple[Any, ...]:
    """State and reasons of a source, which is what it is: only a fetch that goes on, failed or was refused counts."""
    if any(store.is_held(spec.name, partition, name) for name in (INCOMING, *([manifest.identity] if manifest else []))):
        return ("running", _RUNNING)
    if raised:
        return ("failed", f"the last run failed: {raised.error}")
    last = _newest(store, spec.name, partition)
    if refused := _refusals(store, [last] if last else []):
        return ("refused", *refused)
    if manifest is None:
        left = ["an unfinished run is there, which the next one goes on with"]
        return ("missing", *(left if store.is_begun(spec.name, partition, INCOMING) else []))
    changed = _config_differences(spec.name, identity_values(config), manifest.config)
    return ("fresh", *changed, *(["a source, which stays as it is until it is forced"] if changed else []))


def _awaited(spec: AssetSpec, entries: list[InputEntry], before: Mapping[tuple[str, str], Standing]) -> list[Standing]:
    """Crawls that a reader of all of them does not have yet, since they are not made."""
    read = {(entry.asset, entry.partition) for entry in entries}
    return [
        one
        for rule in spec.inputs
        if rule.which == "all"
        for (asset, _), one in before.items()
        if asset == rule.asset
        and (one.asset, one.partition) not in read
        and one.state in ("missing", "running", "refused", "failed")
    ]


def differences(spec: AssetSpec, config: Section, entries: list[InputEntry], manifest: Manifest) -> list[str]:
    """In which parts of its identity an artefact differs from what would be made now, as sentences."""
    found = []
    if manifest.code_version != spec.code_version:
        found.append(f"code version {manifest.code_version} → {spec.code_version}")
    for name in sorted({*spec.libraries, *manifest.libraries}):
        old, new = manifest.libraries.get(name, "none"), library_version(name) if name in spec.libraries else "none"
        if old != new:
            found.append(f"library {name} {old} → {new}")
    found += _config_differences(spec.name, identity_values(config), manifest.config)
    return found + _input_differences(entries, manifest.inputs)


def _config_differences(asset: str, now: Mapping[str, Any], then: Mapping[str, Any]) -> list[str]:
    new, old = dict(_leaves(now)), dict(_leaves(then))
    changed = [name for name in new if name not in old or old[name] != new[name]]
    return [f"{asset}.{name}: {_value(old.get(name, 'not there'))} → {_value(new[name])}" for name in changed]


def _leaves(tree: Mapping[str, Any], above: str = "") -> Iterable[tuple[str, Any]]:
    for name, value in tree.items():
        if isinstance(value, dict) and value:
            yield from _leaves(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", value


def _value(value: Any) -> str:
    return shortened(str(value), _VALUE_CHARS)


def _input_differences(now: list[InputEntry], then: list[InputEntry]) -> list[str]:
    old, new = ({named(entry.asset, entry.partition): entry.fingerprint for entry in entries} for entries in (then, now))
    changed = [f"{name} has other content" for name in new if name in old and old[name] != new[name]]
    added = [f"{name} is a new input" for name in new if name not in old]
    return changed + added + [f"{name} is no input any more" for name in old if name not in new]


def _last(store: Store, asset: str, partition: str) -> Manifest | None:
    """The newest manifest of an asset and crawl, of whatever recipe; of another crawl where there is none."""
    found = _newest(store, asset, partition) or _newest(store, asset)
    return found.manifest() if found else None


def _newest(store: Store, asset: str, partition: str = "") -> Artefact | None:
    """The artefact that was made last, of one partition or of all."""
    folders = [path.parent for path in store.manifests(asset) if partition in ("", path.parents[1].name)]
    newest = max(folders, key=lambda folder: (folder / MANIFEST_FILE).stat().st_mtime, default=None)
    return store.find(asset, newest.parent.name, newest.name) if newest else None


@dataclass(frozen=True)
class Plan:
    """What a run would do. ``certain`` is made anew; ``possible`` only if what it reads comes out otherwise than before."""

    certain: tuple[Standing, ...]
    possible: tuple[Standing, ...]

    @property
    def seconds(self) -> tuple[float, float]:
        """By the last time each was made: of what is certain, and of all."""
        least = sum(one.seconds for one in self.certain if not one.ready)
        return least, least + sum(one.seconds for one in self.possible)

    @property
    def gpu_hours(self) -> tuple[float, float]:
        """The same in hours of a GPU."""
        least = sum(one.gpu_hours for one in self.certain if not one.ready)
        return least, least + sum(one.gpu_hours for one in self.possible)


def plan(found: Iterable[Standing]) -> Plan:
    """What a run of everything would make of these standings."""
    found = list(found)
    return Plan(
        tuple(one for one in found if one.state in ("stale", "missing", "refused", "failed")),
        tuple(one for one in found if one.state == "behind"),
    )
