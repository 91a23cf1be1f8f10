"""Make one artefact: identity, reuse, run, manifest, gates, CURRENT. The one path that every artefact takes.

The Dagster skin, the command line and the tests call ``produce``; only how the entry is executed differs
(in this process, or in a subprocess whose launcher the caller passes in).
"""

import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from llm_assets.core import ahead, last_run, views
from llm_assets.core.artefact import Artefact, Inputs, Waiting, WorkDir
from llm_assets.core.errors import GateBlocked, StoreError
from llm_assets.core.identity import IDENTITY_HEX, find_inputs, identity_of, input_entries, library_version
from llm_assets.core.job import Job, run_job
from llm_assets.core.manifest import InputEntry, Manifest, content_digest, hash_files
from llm_assets.core.memory import PeakMemory
from llm_assets.core.mirror import mirror_folder
from llm_assets.core.progress import Progress, Silent
from llm_assets.core.readers import reading
from llm_assets.core.recipe.base import Section
from llm_assets.core.report import Gate, Report
from llm_assets.core.spec import AssetSpec, load_entry
from llm_assets.core.store import INCOMING, UNPARTITIONED, Store, check_partition_key

COUNTS_GATE = "counts_add_up"
Launcher = Callable[[Job, Progress], None]


@dataclass(frozen=True)
class Outcome:
    """What ``produce`` made or found. ``before``: the artefact to compare it with (``_before``), None for the first."""

    artefact: Artefact
    report: Report
    gates: list[Gate]
    manifest: Manifest
    reused: bool
    waiting: Waiting | None = None
    before: Artefact | None = None

    @property
    def failed(self) -> tuple[str, ...]:
        """Names of the blocking gates that did not pass."""
        return tuple(gate.name for gate in self.gates if gate.blocking and not gate.passed)


def produce(
    store: Store,
    spec: AssetSpec,
    config: Section,
    *,
    partition: str = UNPARTITIONED,
    progress: Progress | None = None,
    launcher: Launcher | None = None,
    force: bool = False,
    run_id: str = "",
    coming: Iterable[tuple[AssetSpec, Section]] = (),
) -> Outcome:
    """Materialise one asset (one partition of it) and, if its gates pass, make it current.

    An artefact of equal identity is reused at once; ``force`` builds ``<identity>.<n>``. The caller must look at
    ``Outcome.failed``: when a gate blocked, the artefact is in the store but not current (``accept_or_raise`` does both).
    ``coming``: assets that the caller makes after this one; what they need is loaded meanwhile (``ahead``).
    Raises ``StoreError`` for missing inputs, a busy lock or a full disk; whatever the stage raises passes through, and the work
    folder stays for the next try.
    """
    progress = progress or Silent()
    if spec.partitioned:
        check_partition_key(partition)
    force = force or (spec.source and "read_again" in spec.tags)
    inputs = find_inputs(store, spec, partition, config, everything=force)
    with reading(store.root, (artefact for artefacts in inputs.artefacts.values() for artefact in artefacts)):
        existing, identity, entries = _wanted(store, spec, partition, config, inputs, force=force)
        if existing is not None and not force:
            return _judged(store, spec, existing, inputs, config, Report.load(existing.about), reused=True)
        place = store.work_folder(spec.name, partition)
        with (
            last_run.noted(place, store.recipe, identity, run_id),
            store.work(spec.name, partition, identity or INCOMING) as work,
        ):
            found = store.finished(spec.name, partition, "" if spec.source else identity)
            if found is not None:  # another run finished it while we waited for nothing: look again under the lock
                store.drop(work)
                return _judged(store, spec, found, inputs, config, Report.load(found.about), reused=True)
            ahead.load(spec, coming)
            started, clock = datetime.now(UTC), time.perf_counter()
            job = Job.of(spec, inputs, work, config, store.root)
            with PeakMemory() as memory:
                if launcher is not None and spec.process:
                    launcher(job, progress)
                else:
                    run_job(job, progress)
                report = Report.load(work.files)
                from llm_assets.core import account  # with polars, which a code server can do without

                own = Artefact(spec.name, partition, identity, work.files)
                account.write(spec, own, inputs, report)
                views.write(store, own, report)
            manifest = _manifest(
                spec, partition, identity, config, entries, work, report, seconds=time.perf_counter() - clock, started=started
            ).model_copy(update={"run_id": run_id, "recipe": store.recipe, "peak_memory_bytes": memory.peak_bytes})
            known = store.find(spec.name, partition, manifest.identity) if spec.source else None
            if known is not None:  # fetched again, and nothing had changed: the next fetch must not go on from this one
                store.drop(work)
            artefact = known or store.publish(work, manifest)
            return _judged(store, spec, artefact, inputs, config, report, reused=known is not None)


def accept_or_raise(outcome: Outcome) -> Outcome:
    """Raise ``GateBlocked`` naming each gate that refused the artefact; return the outcome otherwise."""
    if outcome.failed:
        lines = "; ".join(f"{gate.name}: {gate.message}" for gate in outcome.gates if gate.name in outcome.failed)
        a = outcome.artefact
        raise GateBlocked(f"{a.asset}[{a.partition}] was refused and CURRENT stays as it was. {lines}", outcome.failed)
    return outcome


def _wanted(
    store: Store, spec: AssetSpec, partition: str, config: Section, inputs: Inputs, *, force: bool
) -> tuple[Artefact | None, str, list[InputEntry]]:
    """What is there already, the identity to make ("": what comes in decides it), and what the inputs add to it."""
    entries = input_entries(spec, inputs, config)
    if spec.source:
        existing = store.current(spec.name, partition)
        return existing, "" if existing is None or force else existing.identity, entries
    identity = identity_of(spec, partition, config, entries)
    existing = _latest(store, spec, partition, identity)
    if force and existing is not None:
        identity = store.next_rebuild(spec.name, partition, identity)
    return existing, identity, entries


def _latest(store: Store, spec: AssetSpec, partition: str, identity: str) -> Artefact | None:
    found = store.rebuilds(spec.name, partition, identity)
    current = store.current(spec.name, partition) if found else None
    return current if current in found else (found[-1] if found else None)


def _judged(
    store: Store, spec: AssetSpec, artefact: Artefact, inputs: Inputs, config: Section, report: Report, *, reused: bool
) -> Outcome:
    """Run the gates unless this very artefact has passed them already; swap CURRENT if none blocks."""
    gates = store.gates(artefact)
    if not gates or any(not gate.passed for gate in gates):
        gates = load_entry(spec.gates)(inputs, artefact.files, config, report) if spec.gates else []
        if "documents_in" in report.counts and COUNTS_GATE in spec.gate_names and all(g.name != COUNTS_GATE for g in gates):
            gates.append(counts_gate(report))
        returned = sorted(gate.name for gate in gates)
        if returned != sorted(spec.gate_names):
            raise TypeError(f"{spec.name}: gates returned {returned}, the spec promises {sorted(spec.gate_names)}")
        if spec.follows:
            from llm_assets.core import account

            gates.append(account.follows_gate(spec, artefact, inputs))
        store.judge(artefact, gates)
    before = _before(store, spec, artefact)
    outcome = Outcome(artefact, report, gates, artefact.manifest(), reused, inputs.waiting, before)
    if not outcome.failed:
        if store.current(spec.name, artefact.partition) != artefact:
            store.accept(artefact)
        if spec.tags.get("numbers_crawl"):
            store.number_crawl(artefact.partition)
    return outcome


def _before(store: Store, spec: AssetSpec, artefact: Artefact) -> Artefact | None:
    """What was current until now; where that is this very artefact or nothing, the crawl before it."""
    current = store.current(spec.name, artefact.partition)
    if current is not None and current != artefact:
        return current
    older = [crawl for crawl in store.partitions(spec.name) if crawl != artefact.partition] if spec.partitioned else []
    order = store.crawl_order()
    mine = order.get(artefact.partition, len(order) + 1)
    older = [crawl for crawl in older if order.get(crawl, mine) < mine]
    return store.current(spec.name, older[-1]) if older else None


def counts_gate(report: Report) -> Gate:
    """Documents in = kept + dropped by each rule."""
    from llm_assets.core.ledger import counts_add_up

    counts = report.counts
    kept = counts.get("kept", 0)
    dropped = sum(n for key, n in counts.items() if key.startswith("dropped:"))
    return Gate(
        COUNTS_GATE,
        counts_add_up(counts),
        f"{counts['documents_in']} documents in, {kept} kept, {dropped} dropped",
        {"documents_in": counts["documents_in"], "kept": kept, "dropped": dropped},
    )


def _manifest(
    spec: AssetSpec,
    partition: str,
    identity: str,
    config: Section,
    entries: list[InputEntry],
    work: WorkDir,
    report: Report,
    *,
    seconds: float,
    started: datetime,
) -> Manifest:
    files = hash_files(work.files)
    if not files:
        raise StoreError(f"{spec.name}[{partition}] wrote no file; this is a fault of the stage {spec.module}")
    content = content_digest(files)
    device = str(report.metrics.get("device", "cpu"))
    return Manifest(
        asset=spec.name,
        partition=partition,
        identity=identity or content[:IDENTITY_HEX],
        digest=content,
        code_version=spec.code_version,
        libraries={name: library_version(name) for name in spec.libraries},
        config=config.model_dump(mode="json"),
        inputs=entries,
        files=files,
        counts=report.counts,
        metrics=report.metrics,
        started_at=started.isoformat(timespec="seconds"),
        seconds=round(seconds, 3),
        device=device,
        gpu_hours=round(seconds / 3600, 6) if device.startswith("cuda") else 0.0,
    )


def store_root() -> Path:
    """``LLM_ASSETS_STORE``, else ``data/store`` of the checkout (or of the current folder for an installed package).

    Of a URL (``s3://bucket/prefix``): the folder of this machine that mirrors it.
    """
    chosen = os.environ.get("LLM_ASSETS_STORE")
    if chosen and "://" in chosen:
        return mirror_folder(chosen)
    if chosen:
        return Path(chosen).expanduser().resolve()
    return project_root() / "data" / "store"


def project_root() -> Path:
    """The checkout that this package runs from, else the current folder."""
    checkout = Path(__file__).parents[2]
    return checkout if (checkout / "pyproject.toml").is_file() else Path.cwd()
