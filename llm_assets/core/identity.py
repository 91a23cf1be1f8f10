"""Identity: what an artefact is a function of, as one hash. Paths, hosts, workers and devices are never part of it."""

import time
from fnmatch import fnmatchcase
from functools import cache
from importlib.metadata import PackageNotFoundError, version

from llm_assets.core.artefact import Artefact, Inputs, Waiting
from llm_assets.core.errors import MissingInput
from llm_assets.core.jsonio import digest
from llm_assets.core.manifest import InputEntry
from llm_assets.core.recipe.base import Section, identity_values
from llm_assets.core.spec import AssetSpec, Input, load_entry
from llm_assets.core.store import Store

# 64 bits: the store would need 2^32 artefacts of one asset before two are likely to meet.
IDENTITY_HEX = 16


@cache
def library_version(name: str) -> str:
    """The installed version, or "absent" (which then decides too)."""
    try:
        return version(name)
    except PackageNotFoundError:
        return "absent"


def find_inputs(
    store: Store, spec: AssetSpec, partition: str, config: Section, *, everything: bool = False, now: float | None = None
) -> Inputs:
    """The artefacts that a run of this asset would read, in crawl order.

    ``everything``: also the crawls that the asset would leave for later. ``now``: seconds since the epoch, by default the
    clock's. Raises ``MissingInput``.
    """
    found: dict[str, list[Artefact]] = {}
    for rule in spec.inputs:
        if rule.which == "used":
            found.setdefault(rule.asset, []).extend(store.used(rule.asset, rule.holders))
            continue
        if rule.which == "read_by":
            found.setdefault(rule.asset, []).extend(_read_by(store, spec, rule))
            continue
        partitions = _partitions(store, rule.asset, rule.which, partition, config)
        artefacts = [store.current(rule.asset, name) for name in partitions]
        present = [artefact for artefact in artefacts if artefact is not None]
        if not rule.optional and (not present or len(present) < len(partitions)):
            missing = [name for name, artefact in zip(partitions, artefacts, strict=True) if artefact is None]
            of = f"[{', '.join(missing)}]" if missing and missing != ["all"] else ""
            raise MissingInput(
                f"{spec.name} needs {rule.asset}{of}, which has not been materialised under the recipe "
                f"{store.recipe!r}; run: llm-assets run --select {rule.asset}",
                f"{rule.asset}{of}",
            )
        found.setdefault(rule.asset, []).extend(a for a in present if a not in found.get(rule.asset, []))
    current = store.current(spec.name, partition) if spec.holds_back and not everything else None
    if current is None:
        return Inputs(found, store.root)
    inputs = Inputs(found, store.root)
    waiting: Waiting | None = load_entry(spec.holds_back)(current, inputs, config, time.time() if now is None else now)
    late = waiting.crawls if waiting else ()
    taken = {asset: [one for one in artefacts if one.partition not in late] for asset, artefacts in found.items()}
    return Inputs(taken, store.root, waiting)


def _read_by(store: Store, spec: AssetSpec, rule: Input) -> list[Artefact]:
    """What the current artefact of ``rule.by`` names of an asset in its manifest."""
    reader = store.current(rule.by)
    named = [entry for entry in reader.manifest().inputs if entry.asset == rule.asset] if reader else []
    artefacts = [store.find(entry.asset, entry.partition, entry.identity) for entry in named]
    present = [artefact for artefact in artefacts if artefact is not None]
    if not rule.optional and (not present or len(present) < len(named)):
        raise MissingInput(
            f"{spec.name} reads the {rule.asset} that {rule.by} was made of, and that is not in the store under the recipe "
            f"{store.recipe!r}; run: llm-assets run --select {rule.by}",
            rule.by,
        )
    return present


def _partitions(store: Store, asset: str, which: str, partition: str, config: Section) -> list[str]:
    if which == "one":
        return ["all"]
    if which == "same":
        return [partition]
    if which == "named":
        named: list[str] = list(getattr(config, "crawls", []))
        return named or store.partitions(asset)[:1]
    complete = store.partitions(asset)
    if which == "all":
        return complete
    order = store.crawl_order()
    mine = order.get(partition, len(order) + 1)
    patterns: list[str] = list(getattr(config, "against", ["*"]))
    return [
        name
        for name in complete
        if name != partition
        and order.get(name, len(order) + 1) < mine
        and any(fnmatchcase(name, pattern) for pattern in patterns)
    ]


def input_entries(spec: AssetSpec, inputs: Inputs, config: Section) -> list[InputEntry]:
    """What each input adds to the identity."""
    entries = []
    for rule in spec.inputs:
        for artefact in inputs.many(rule.asset):
            content = artefact.manifest().digest
            mark = load_entry(rule.fingerprint)(artefact, inputs, config) if rule.fingerprint else content
            entries.append(
                InputEntry(
                    asset=rule.asset,
                    partition=artefact.partition,
                    identity=artefact.identity,
                    digest=content,
                    fingerprint=str(mark),
                )
            )
    return entries


def identity_of(spec: AssetSpec, partition: str, config: Section, entries: list[InputEntry]) -> str:
    """Hash of asset, partition, section (without execution fields), code version, libraries and inputs: 16 hex digits."""
    return digest(
        {
            "asset": spec.name,
            "partition": partition,
            "config": identity_values(config),
            "code_version": spec.code_version,
            "libraries": {name: library_version(name) for name in spec.libraries},
            "inputs": [[entry.asset, entry.partition, entry.fingerprint] for entry in entries],
        }
    )[:IDENTITY_HEX]
