"""Two machines and a bucket: what one makes the other sees whole or not at all, and nothing is made twice."""

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path

import pytest

from llm_assets.commands import takedown_apply
from llm_assets.core import lease
from llm_assets.core.artefact import Inputs
from llm_assets.core.errors import StoreBusy, StoreError
from llm_assets.core.freshness import standings
from llm_assets.core.gc import Policy, collect
from llm_assets.core.manifest import hash_files
from llm_assets.core.produce import produce, store_root
from llm_assets.core.recipe import load_recipe
from llm_assets.stages import all_specs
from tests.support import buckets, toy

_names = count()
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def server():
    with buckets.s3_server() as address:
        yield address


@pytest.fixture
def url(server):
    return buckets.make_bucket(f"bucket-{next(_names)}")


@pytest.fixture
def machines(tmp_path, url):
    return buckets.machine(tmp_path / "one", url), buckets.machine(tmp_path / "two", url)


def make(store, crawl="first", **values):
    return produce(store, toy.NUMBERS, toy.NumbersConfig(**values), partition=crawl)


def test_what_one_machine_makes_the_other_has_without_making_it(machines):
    one, two = machines
    make(one)
    made = produce(one, toy.TOTAL, toy.TotalConfig())
    taken = produce(two, toy.TOTAL, toy.TotalConfig())
    assert not made.reused and taken.reused
    assert taken.manifest == made.manifest
    assert not list(two.root.glob("total/*/*")), "files come when they are asked for, and nobody has"
    assert hash_files(two.current("total").files) == made.manifest.files
    assert two.current("total").file("total.txt").read_text() == "6"
    assert two.current("total") == one.current("total")
    assert two.gates(taken.artefact) == one.gates(made.artefact) != []
    assert two.crawl_order() == {"first": 1} and two.partitions("numbers") == ["first"]
    assert Inputs(store=two.root).resolve(one.current("numbers", "first").ref).is_relative_to(two.root)


def test_both_see_the_same_standings(machines):
    one, two = machines
    make(one)
    produce(one, toy.TOTAL, toy.TotalConfig())
    specs, sections = {"numbers": toy.NUMBERS, "total": toy.TOTAL}, {"numbers": toy.NumbersConfig(), "total": toy.TotalConfig()}
    here = standings(two, specs, sections)
    assert here == standings(one, specs, sections)
    assert {standing.state for standing in here} == {"fresh"}
    assert not list(two.root.glob("*/*/*/manifest.json")), "a look fetches heads alone"


def test_a_forced_rebuild_and_a_refused_artefact_are_seen_by_the_other(machines):
    one, two = machines
    make(one)
    first = produce(one, toy.TOTAL, toy.TotalConfig())
    again = produce(two, toy.TOTAL, toy.TotalConfig(), force=True)
    assert again.artefact.identity == f"{first.artefact.identity}.1"
    assert one.current("total") == again.artefact
    refused = produce(two, toy.TOTAL, toy.TotalConfig(limit=1))
    assert refused.failed == ("below_limit",)
    assert one.current("total") == again.artefact
    assert produce(one, toy.TOTAL, toy.TotalConfig(limit=1)).reused


@pytest.mark.parametrize("harm", ["changed", "cut", "gone"])
def test_a_damaged_file_of_the_cache_is_fetched_again(machines, harm):
    one, two = machines
    made = make(one)
    path = two.current("numbers", "first").file("numbers.txt")
    good = path.read_text()
    if harm == "gone":
        path.unlink()
    else:
        path.write_text(good[::-1] if harm == "changed" else good[:1])
    assert two.current("numbers", "first").file("numbers.txt").read_text() == good
    assert hash_files(two.current("numbers", "first").files) == made.manifest.files


def test_an_object_that_is_not_what_was_sent_is_an_error(machines):
    one, two = machines
    ref = make(one).artefact.ref
    one.mirror.objects.write(f"{ref}/numbers.txt", b"9 9 9")
    with pytest.raises(StoreError, match=r"numbers.txt is not what was put there \(its SHA-256 differs\)"):
        _ = two.current("numbers", "first").files
    assert not (two.root / ref).exists()


def test_what_is_removed_is_gone_for_all(machines):
    one, two = machines
    ref = make(one).artefact.ref
    assert (two.current("numbers", "first").files / "numbers.txt").is_file()
    one.mirror.remove(ref)
    assert one.mirror.objects.below(ref) == {}
    assert two.mirror.sweep() == [ref]
    assert not list(two.root.rglob("numbers.txt")) and not list(one.root.rglob("numbers.txt"))
    with pytest.raises(StoreError, match=r"which is not in s3://bucket-\d+/stores/ours; materialise numbers again"):
        two.current("numbers", "first")


def test_gc_removes_from_the_bucket_what_nothing_reaches(machines, tmp_path):
    """What another machine made, and half an upload that nobody goes on with, go too; the other machine's cache follows."""
    one, two = machines
    make(one)
    old = [produce(store, toy.TOTAL, toy.TotalConfig(factor=factor)).artefact for factor, store in enumerate((one, two), 2)]
    new = produce(one, toy.TOTAL, toy.TotalConfig()).artefact
    assert all(artefact.files.is_dir() for artefact in old)
    kill_in_upload(buckets.machine(tmp_path / "three", one.mirror.objects.url), 1, "other")
    told = collect(one, Policy(keep=0), dry_run=True)
    [half] = [removal.ref for removal in told.removed if removal.ref.startswith("numbers/other/")]
    assert {removal.ref for removal in told.removed} == {half, *(artefact.ref for artefact in old)}
    assert collect(one, Policy(keep=0)) == told and told.freed_bytes > 0
    assert one.mirror.refs() == two.mirror.refs() == sorted([new.ref, one.current("numbers", "first").ref])
    assert not any(one.mirror.objects.below(artefact.ref) for artefact in old)
    assert set(one.mirror.sizes()) == set(one.mirror.refs())
    collect(two, Policy(keep=0))
    assert not any((store.root / artefact.ref).exists() for store in machines for artefact in old)
    assert two.current("total") == new and new.file("total.txt").read_text() == "6"


def test_gc_takes_nothing_that_another_machine_makes(machines):
    one, two = machines
    made = make(one).artefact
    two.forget("numbers", "first")
    with two.work("numbers", "first", "incoming"):
        assert collect(one, Policy(keep=0)).held == (made.ref,)
    assert [removal.ref for removal in collect(one, Policy(keep=0)).removed] == [made.ref]


def test_an_upload_whose_first_half_was_collected_sends_it_again(machines):
    one, two = machines
    kill_in_upload(one, 2)
    [ref] = two.mirror.sizes()
    assert [removal.ref for removal in collect(two, Policy()).removed] == [ref]
    ended = make(one)
    assert ended.reused and hash_files(two.current("numbers", "first").files) == ended.manifest.files


def test_a_take_down_that_would_change_this_machines_copies_alone_is_refused(machines):
    make(machines[0])
    with pytest.raises(StoreError, match="can't be applied to the store in s3://bucket-.*Nothing was changed"):
        takedown_apply.apply(machines[0], None, None, [], None, print)


def kill_in_upload(store, batches, crawl="first"):
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.buckets", str(store.root), str(batches), crawl],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()


@pytest.mark.parametrize("batches", [0, 1, 2])
def test_a_killed_upload_leaves_nothing_to_see_and_the_next_run_ends_it(machines, batches, monkeypatch):
    """Killed before the first file, between two, before the list of files: a source is not fetched a second time."""
    one, two = machines
    kill_in_upload(one, batches)
    assert two.current("numbers", "first") is None and two.mirror.refs() == [] and two.partitions("numbers") == []
    sent = []
    upload = buckets.Objects.upload
    monkeypatch.setattr(
        buckets.Objects, "upload", lambda self, pairs: (sent.extend(name for _, name in pairs), upload(self, pairs))
    )
    monkeypatch.setattr(toy, "fetch", lambda *_: pytest.fail("fetched again"))
    ended = make(one)
    assert ended.reused and not ended.failed
    assert len(sent) == 3 - batches, "what was through is not sent again"
    assert hash_files(two.current("numbers", "first").files) == ended.manifest.files


def test_of_two_that_made_the_same_the_first_in_the_bucket_counts(machines, monkeypatch):
    """A machine whose upload was cut off comes back when another has made the artefact meanwhile: it takes the other's."""
    one, two = machines
    make(one)
    stopped = pytest.MonkeyPatch()
    stopped.setattr(buckets.Objects, "upload", lambda *_: (_ for _ in ()).throw(StoreError("the network is away")))
    with pytest.raises(StoreError, match="the network is away"):
        produce(one, toy.TOTAL, toy.TotalConfig())
    stopped.undo()
    made = produce(two, toy.TOTAL, toy.TotalConfig())
    taken = produce(one, toy.TOTAL, toy.TotalConfig())
    assert taken.reused and taken.manifest == made.manifest
    assert one.current("total").files.is_dir() and not one.mirror.is_pending(made.artefact.ref)


def test_another_machine_that_makes_it_is_left_in_peace(machines, monkeypatch):
    one, two = machines
    make(one)
    monkeypatch.setattr(lease, "SECONDS", 8.0)  # its holder shows every two seconds that it lives
    identity = "0123456789abcdef"
    with one.work("total", "all", identity):
        assert two.is_held("total", "all", identity) and one.is_held("total", "all", identity)
        with (
            pytest.raises(StoreBusy, match=r"total is being made by another run on .* \(since \d"),
            two.work("total", "all", identity),
        ):
            pytest.fail("two machines make the same")
    assert not two.is_held("total", "all", identity) and not one.is_held("total", "all", identity)
    with two.work("total", "all", identity):
        assert one.is_held("total", "all", identity)


def _number(root, crawls):
    from llm_assets.core.store import Store

    store = Store(root, "toy")
    for crawl in crawls:
        store.number_crawl(crawl)


def test_crawls_that_two_machines_number_at_once_have_each_one_number(machines):
    one, two = machines
    crawls = [f"crawl-{number}" for number in range(8)]
    with ThreadPoolExecutor(4) as pool:
        for store in (one, two, one, two):
            pool.submit(_number, store.root, crawls if store is one else crawls[::-1]).add_done_callback(
                lambda done: done.result()
            )
    assert sorted(one.crawl_order().values()) == list(range(1, 9))
    assert one.crawl_order() == two.crawl_order()
    assert [one.number_crawl(crawl) for crawl in crawls] == [two.crawl_order()[crawl] for crawl in crawls]


DATA = (
    "tombstones", "eval_suite", "raw_crawl", "extracted_pages", "cleaned_corpus", "deduped_shards", "tokenizer", "tokenized_dataset",
)  # fmt: skip


def make_all(store, recipe, crawl, names=DATA):
    specs = all_specs()
    for name in names:
        partition = crawl if specs[name].partitioned else "all"
        yield name, produce(store, specs[name], recipe.section(name), partition=partition)


def test_the_smoke_run_on_two_machines(tmp_path, url):
    """The first crawl on one, everything reused on the other, which then makes the second crawl against the first's index."""
    recipe = load_recipe("smoke")
    one, two = (buckets.machine(tmp_path / name, url, "smoke") for name in ("one", "two"))
    made = dict(make_all(one, recipe, "wiki-2026-11"))
    assert not any(outcome.failed or outcome.reused for outcome in made.values())
    taken = dict(make_all(two, recipe, "wiki-2026-11"))
    assert all(outcome.reused for outcome in taken.values())
    assert {name: outcome.manifest for name, outcome in taken.items()} == {name: o.manifest for name, o in made.items()}
    later = dict(make_all(two, recipe, "wiki-2026-12", DATA[:6]))
    assert not any(outcome.failed for outcome in later.values())
    read = [(entry.asset, entry.partition) for entry in later["deduped_shards"].manifest.inputs]
    assert ("deduped_shards", "wiki-2026-11") in read
    for name, outcome in {**made, **later}.items():
        for store in (one, two):
            artefact = store.find(name, outcome.artefact.partition, outcome.artefact.identity)
            assert hash_files(artefact.files) == outcome.manifest.files, name
    assert one.crawl_order() == two.crawl_order() == {"wiki-2026-11": 1, "wiki-2026-12": 2}


def test_a_command_reads_the_bucket(url, machines, tmp_path, monkeypatch):
    """``LLM_ASSETS_STORE`` and ``LLM_ASSETS_CACHE`` are all that a command needs."""
    make(machines[0])
    monkeypatch.setenv("LLM_ASSETS_STORE", url)
    monkeypatch.setenv("LLM_ASSETS_CACHE", str(tmp_path / "third"))
    assert store_root().is_relative_to(tmp_path / "third")
    assert buckets.machine(tmp_path / "third", url).current("numbers", "first").file("numbers.txt").read_text() == "1 2 3"
    written = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    written += [machines[0].mirror.objects.read(name) for name in machines[0].mirror.objects.below("")]
    assert not any(buckets.SECRET.encode() in data for data in written)
