"""Retention: exactly what is reached stays, whatever is held stays, and a kill at any moment leaves whole artefacts."""

import multiprocessing
import os
import shutil
import signal

import pytest
from filelock import FileLock
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_assets.core import gc
from llm_assets.core.artefact import Artefact
from llm_assets.core.errors import StoreBusy, StoreError
from llm_assets.core.gc import Policy, collect
from llm_assets.core.jsonio import write_json
from llm_assets.core.manifest import InputEntry, Manifest
from llm_assets.core.produce import produce
from llm_assets.core.readers import in_use, reading
from llm_assets.core.report import Gate
from llm_assets.core.store import Store
from tests.support.toy import NUMBERS, TOTAL, NumbersConfig, TotalConfig

BARE = Policy(keep=0)


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store", "toy")


def put(store, ref, inputs=(), *, passed=True, judged=True, number=0):
    """An artefact with a file, by its ref; ``number`` orders by age."""
    asset, partition, identity = ref.split("/")
    folder = store.root / ref
    folder.mkdir(parents=True)
    (folder / "file").write_text("x" * 10)
    entries = [
        InputEntry(asset=a, partition=p, identity=i, digest="", fingerprint="")
        for a, p, i in (one.split("/") for one in inputs)
    ]
    started = f"2026-11-01T00:{number // 60:02}:{number % 60:02}+00:00"
    Manifest(
        asset=asset, partition=partition, identity=identity, digest="", code_version="1", inputs=entries, started_at=started
    ).save(folder)
    artefact = Artefact(asset, partition, identity, folder)
    if judged:
        store.judge(artefact, [Gate("g", passed, "")])
    return artefact


def refs(store):
    return {p.parent.relative_to(store.root).as_posix() for p in store.root.glob("[!.]*/*/*/manifest.json")}


def removed(told):
    return {one.ref for one in told.removed}


@st.composite
def stores(draw):
    """Artefacts with inputs among the earlier ones, pointers of two recipes, gates that passed or not, and a number to keep."""
    size = draw(st.integers(1, 12))
    nodes = []
    for number in range(size):
        earlier = [node[0] for node in nodes]
        nodes.append(
            (
                f"a{draw(st.integers(0, 2))}/c{draw(st.integers(0, 1))}/{number:016x}",
                draw(st.lists(st.sampled_from(earlier), unique=True, max_size=3)) if earlier else [],
                draw(st.sampled_from(["accepted", "accepted", "refused", "unjudged"])),
            )
        )
    pointed = draw(st.lists(st.tuples(st.sampled_from([n[0] for n in nodes]), st.sampled_from(["r", "s"])), max_size=6))
    must_go = draw(st.sets(st.sampled_from([node[0] for node in nodes]), max_size=2))
    return nodes, {(ref.rpartition("/")[0], recipe): ref for ref, recipe in pointed}, draw(st.integers(0, 2)), must_go


def expected(nodes, pointers, keep, must_go):
    """The same in a few slow lines: the definition that the collection must meet."""
    state = {ref: kind for ref, _, kind in nodes}
    inputs = {ref: names for ref, names, _ in nodes}
    roots = set(pointers.values())
    current = set(roots)
    for place in {ref.rpartition("/")[0] for ref in state}:
        newest_first = [ref for ref, _, _ in reversed(nodes) if ref.rpartition("/")[0] == place]
        roots |= set([ref for ref in newest_first if state[ref] == "accepted" and ref not in current][:keep])
        roots |= {ref for ref in newest_first[:1] if state[ref] == "refused"}
    staying = roots - must_go
    while True:
        more = {name for ref in staying for name in inputs[ref]} - must_go - staying
        if not more:
            return staying
        staying |= more


@settings(max_examples=60)
@given(stores())
def test_exactly_the_reachable_stays(tmp_path_factory, drawn):
    nodes, pointers, keep, must_go = drawn
    store = Store(tmp_path_factory.mktemp("store"), "r")
    for number, (ref, inputs, kind) in enumerate(nodes):
        put(store, ref, inputs, passed=kind == "accepted", judged=kind != "unjudged", number=number)
    for (place, recipe), ref in pointers.items():
        (store.root / place / f"CURRENT.{recipe}").write_text(ref.rpartition("/")[2] + "\n")
    policy = Policy(keep=keep, must_go=frozenset(must_go))
    before, told = refs(store), collect(store, policy, dry_run=True)
    assert refs(store) == before
    assert collect(store, policy) == told
    assert refs(store) == expected(nodes, pointers, keep, must_go)
    assert removed(told) == before - refs(store)
    assert told.kept == len(refs(store))
    assert not (store.root / ".trash").exists()
    left = {p.relative_to(store.root).as_posix() for p in store.root.glob("*/*/CURRENT.*")}
    assert left == {f"{place}/CURRENT.{recipe}" for (place, recipe), ref in pointers.items() if ref not in must_go}
    assert collect(store, policy).removed == ()  # nothing is left to do
    shutil.rmtree(store.root)


def test_real_runs_old_inputs_go_when_nothing_current_names_them(store):
    produce(store, NUMBERS, NumbersConfig(), partition="first")
    old = produce(store, TOTAL, TotalConfig()).artefact
    produce(store, NUMBERS, NumbersConfig(values=[9]), partition="first", force=True)
    new = produce(store, TOTAL, TotalConfig()).artefact
    told = collect(store, BARE)
    assert old.ref in removed(told) and len(told.removed) == 2
    assert told.freed_bytes > 0
    assert store.current("total") == new
    assert produce(store, TOTAL, TotalConfig()).reused


def test_the_newest_accepted_stay_beside_with_their_inputs(store):
    put(store, "raw/c/1", number=1)
    for number in (2, 3, 4):
        put(store, f"model/all/{number}", ["raw/c/1"] if number == 3 else [], number=number)
    store.accept(Artefact("model", "all", "4", store.root / "model/all/4"))
    assert removed(collect(store, Policy(keep=1))) == {"model/all/2"}
    assert removed(collect(store, Policy(keep=0))) == {"model/all/3", "raw/c/1"}


def test_what_gates_refused_last_is_there_to_be_looked_at(store):
    put(store, "model/all/1", number=1)
    put(store, "model/all/2", passed=False, number=2)
    store.accept(Artefact("model", "all", "1", store.root / "model/all/1"))
    assert collect(store, BARE).removed == ()
    put(store, "model/all/3", number=3)
    store.accept(Artefact("model", "all", "3", store.root / "model/all/3"))
    assert removed(collect(store, BARE)) == {"model/all/1", "model/all/2"}


def test_what_is_younger_than_asked_stays(store):
    made = put(store, "model/all/1", number=0).manifest().started_at
    assert made == "2026-11-01T00:00:00+00:00"
    noon = 1_793_491_200.0  # 2026-11-01 00:00 UTC
    assert collect(store, Policy(keep=0, older_than_s=60), now=noon + 59).removed == ()
    assert removed(collect(store, Policy(keep=0, older_than_s=60), now=noon + 60)) == {"model/all/1"}


def test_what_is_being_made_or_read_stays_and_is_named(store):
    put(store, "model/all/1", ["mix/all/1"], number=1)
    put(store, "mix/all/1", ["tokens/c/1"], number=1)
    put(store, "tokens/c/1")
    put(store, "total/all/1")
    with store.work("total", "all", "1"), reading(store.root, [Artefact("mix", "all", "1", store.root / "mix/all/1")]):
        told = collect(store, BARE)
        assert (removed(told), told.held) == ({"model/all/1"}, ("total/all/1",))
        for ref in ("total/all/1", "mix/all/1", "tokens/c/1"):
            with pytest.raises(StoreBusy, match=f"{ref} must go, but a run holds it"):
                collect(store, Policy(must_go=frozenset({ref})))
    assert removed(collect(store, BARE)) == {"mix/all/1", "tokens/c/1", "total/all/1"}


def test_a_sources_forced_fetch_holds_what_it_may_turn_out_to_be(store):
    put(store, "raw/c/1")
    with store.work("raw", "c", "incoming"):
        assert collect(store, BARE).held == ("raw/c/1",)


def _read_for_ever(root, ready):
    with reading(root, [Artefact("raw", "c", "1", root / "raw/c/1")]):
        ready.set()
        signal.pause()


def test_a_killed_reader_holds_nothing(store):
    put(store, "raw/c/1")
    context = multiprocessing.get_context("fork")
    ready = context.Event()
    child = context.Process(target=_read_for_ever, args=(store.root, ready))
    child.start()
    ready.wait()
    assert in_use(store.root) == {"raw/c/1"}
    os.kill(child.pid, signal.SIGKILL)
    child.join()
    assert removed(collect(store, BARE)) == {"raw/c/1"}
    assert not list((store.root / ".readers").iterdir())


def test_who_begins_to_read_what_just_went_is_told(store):
    artefact = put(store, "raw/c/1")
    collect(store, BARE)
    gone = pytest.raises(StoreError, match="raw/c/1 was removed from the store while this run began")
    with gone, reading(store.root, [artefact]):
        pass
    with pytest.raises(StoreError, match="while it was judged"):
        store.accept(artefact)
    assert store.current("raw", "c") is None


def test_what_became_current_between_the_plan_and_the_rename_is_put_back(store, monkeypatch):
    artefact = put(store, "model/all/1", ["raw/c/1"])
    put(store, "raw/c/1")
    bin_it = gc._bin

    def accepted_meanwhile(root, folder):
        if folder == artefact.files:
            store.accept(artefact)
        bin_it(root, folder)

    monkeypatch.setattr(gc, "_bin", accepted_meanwhile)
    collect(store, BARE)
    assert store.current("model") == artefact
    assert refs(store) == {"model/all/1", "raw/c/1"}


def test_a_killed_collection_is_finished_by_the_next(store, monkeypatch):
    for name in ("1", "2", "3"):
        put(store, f"model/all/{name}")
    store.accept(Artefact("model", "all", "3", store.root / "model/all/3"))
    with monkeypatch.context() as patch:
        patch.setattr(gc.shutil, "rmtree", lambda path: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            collect(store, BARE)
    assert refs(store) == {"model/all/3"}
    assert (store.root / ".trash/model/all/1/manifest.json").exists()
    (store.root / "model/all/CURRENT.toy").write_text("2\n")  # someone went back to it: its run reused it just before
    collect(store, BARE)
    assert refs(store) == {"model/all/2"}
    assert not (store.root / ".trash").exists()


def test_the_current_content_of_a_source_is_never_removed(store):
    for name in ("1", "2"):
        store.accept(put(store, f"raw/c/{name}"))
    with pytest.raises(StoreError, match="raw/c/2 is the current content of a source"):
        collect(store, Policy(must_go=frozenset({"raw/c/2", "raw/c/1"}), sources=frozenset({"raw"})))
    assert refs(store) == {"raw/c/1", "raw/c/2"}
    collect(store, Policy(keep=5, must_go=frozenset({"raw/c/1", "raw/c/unknown"}), sources=frozenset({"raw"})))
    assert refs(store) == {"raw/c/2"}


def test_a_damaged_manifest_that_is_needed_stops_everything(store):
    store.accept(put(store, "model/all/1"))
    put(store, "raw/c/1")
    (store.root / "model/all/1/manifest.json").write_text("{")
    with pytest.raises(StoreError, match=r"model/all/1 is in use, but its manifest.json can't be read"):
        collect(store, BARE)
    assert (store.root / "raw/c/1/manifest.json").exists()


def test_damaged_and_unfinished_folders_that_nobody_names_go(store):
    put(store, "model/all/0000000000000001")
    (store.root / "model/all/0000000000000001/manifest.json").unlink()
    put(store, "model/all/2")
    (store.root / "model/all/2/manifest.json").write_text("[]")
    (store.root / "notes" / "mine").mkdir(parents=True)
    (store.root / "notes" / "mine" / "file").write_text("")
    assert removed(collect(store, BARE)) == {"model/all/0000000000000001", "model/all/2"}
    assert (store.root / "notes/mine/file").exists()


def test_abandoned_work_goes_and_held_or_fresh_work_stays(store):
    for identity in ("old", "held", "fresh"):
        with store.work("model", "all", identity) as work:
            (work.private / "checkpoint").write_text("12345")
    written = (store.root / ".work/model/all/old/private/checkpoint").stat().st_mtime
    policy = Policy(unfinished_older_than_s=60)
    os.utime(store.root / ".work/model/all/fresh/private/checkpoint", (written + 50, written + 50))
    with FileLock(store.root / ".work/model/all/held.lock"):
        told = collect(store, policy, now=written + 100)
    assert [(one.ref, one.bytes) for one in told.unfinished] == [(".work/model/all/old", 5)]
    assert {p.name for p in (store.root / ".work/model/all").iterdir() if p.is_dir()} == {"held", "fresh"}


def test_one_collection_at_a_time(store):
    put(store, "raw/c/1")
    with FileLock(store.root / ".gc.lock"), pytest.raises(StoreBusy, match="another 'llm-assets gc'"):
        collect(store, BARE)


def test_no_store_is_nothing_to_do(store):
    assert collect(store, BARE).removed == ()
    assert not store.root.exists()


def test_after_a_rebuild_in_the_middle_went_the_later_one_is_still_found(store):
    produce(store, NUMBERS, NumbersConfig(), partition="first")
    for force in (False, True, True):
        last = produce(store, TOTAL, TotalConfig(), force=force).artefact
    assert last.identity.endswith(".2")
    collect(store, BARE)
    assert [a.identity for a in store.rebuilds("total", "all", last.identity.partition(".")[0])] == [last.identity]
    assert produce(store, TOTAL, TotalConfig()).artefact == last
    assert produce(store, TOTAL, TotalConfig(), force=True).artefact.identity.endswith(".3")


def test_the_account_of_a_foreign_folder_is_not_read(store):
    write_json(store.root / "data_docs" / "index.json", {})
    assert collect(store, BARE).kept == 0
