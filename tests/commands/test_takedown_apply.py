"""The drill on a small real store: what goes, what comes back, what stays as it was; killed, said twice, refused."""

import json
import shutil

import numpy as np
import polars as pl
import pytest
from filelock import FileLock

from llm_assets.commands.takedown_apply import Absent, Order, apply, is_buried
from llm_assets.core.errors import StoreBusy
from llm_assets.core.gc import Policy, collect
from llm_assets.core.manifest import hash_files
from llm_assets.core.takedowns import Takedowns
from llm_assets.stages.audit import receipts, selection
from llm_assets.stages.audit.needles import Needles
from llm_assets.stages.audit.search import search
from llm_assets.stages.audit.verify import verify
from tests.support import drilled
from tests.support.drilled import BELOW, CRAWLS, EXACT, FIRST, LATER, NEAR, SECOND, THIRD, VICTIM, Hands, World

DATA = (*drilled.OF_CRAWL, "tokenized_dataset")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    world = World(tmp_path_factory.mktemp("made"))
    world.build()
    return world


def copy_of(made, folder):
    """A copy of the made store, with all times as they were."""
    world = World(folder)
    shutil.copytree(made.store.root, world.store.root)
    return world


@pytest.fixture
def world(made, tmp_path):
    return copy_of(made, tmp_path / "copy")


def order(**given):
    flags = {name: given.pop(name) for name in ("even_if_absent", "by", "reason") if name in given}
    kinds = [(kind, value) for kind, values in given.items() for value in ([values] if isinstance(values, str) else values)]
    return Order(selection.asked(kinds), **flags)


def take_down(world, hands=None, said=None, **given):
    lines = [] if said is None else said
    return apply(world.store, world.recipe, order(**given), world.standings(), hands or Hands(world), lines.append)


def gc(world):
    must_go = frozenset(Takedowns(world.store.root).must_go())
    return collect(world.store, Policy(must_go=must_go, sources=frozenset({"raw_crawl", "tombstones"})))


def kept(world, crawl, asset="deduped_shards"):
    """url → text of what a crawl keeps."""
    shards = world.store.current(asset, crawl).shards()
    return dict(pl.concat([pl.read_parquet(path, columns=["url", "text"]) for path in shards]).iter_rows())


def state(world, crawls):
    """Identity, digests and times of all files of some crawls."""
    found = {}
    for asset, crawl in ((asset, crawl) for asset in DATA for crawl in crawls):
        artefact = world.store.current(asset, crawl)
        found[asset, crawl] = (
            artefact.identity,
            hash_files(artefact.files),
            (artefact.files / "manifest.json").stat().st_mtime_ns,
        )
    return found


def hits(world, text):
    return [hit.path.relative_to(world.store.root).as_posix() for hit in search(world.store.root, Needles([text]))]


def ledger(world, asset, crawl, url):
    rows = pl.read_parquet(world.store.current(asset, crawl).file("ledger.parquet")).filter(pl.col("url") == url)
    return rows.select("rule", "detail", "doc_id").row(0)


@pytest.fixture(scope="module")
def by_content(made, tmp_path_factory):
    """The victim's content taken down, wherever it stands, then the changed copy, which came back; then collected."""
    world = copy_of(made, tmp_path_factory.mktemp("content"))
    before = state(world, [THIRD])
    index = pl.read_parquet(world.store.current("raw_crawl", FIRST).file("index.parquet"))
    content = index.filter(pl.col("url") == VICTIM)["payload_digest"][0].removeprefix("sha256:")
    found = hits(world, drilled.victim())
    receipt = take_down(world, sha256=content, by="A. Auditor", reason="asked by its author")
    back = kept(world, FIRST)
    take_down(world, url=NEAR)
    gc(world)
    return world, receipt, before, found, back


def test_the_search_finds_the_text_before_and_nothing_after(by_content):
    world, receipt, _, found, back = by_content
    assert {path.split("/")[0] for path in found} == {
        "raw_crawl", "extracted_pages", "cleaned_corpus", "deduped_shards", "tokenized_dataset"
    }  # fmt: skip
    assert NEAR in back and not {VICTIM, EXACT} & set(back)
    assert hits(world, drilled.victim()) == []
    assert all(row.holds for row in verify(world.store, receipt))


def test_a_crawl_that_is_not_concerned_is_left_alone(by_content):
    world, receipt, before, *_ = by_content
    assert state(world, [THIRD]) == before
    assert {f"{asset}[{THIRD}]" for asset in DATA} <= set(receipt["unchanged"])
    states = {one.state for one in world.standings() if one.partition in CRAWLS and one.asset in DATA}
    assert not states & {"stale", "missing", "refused"}


def test_what_is_rebuilt_equals_crawls_that_never_had_it(by_content, tmp_path):
    world, *_ = by_content
    other = World(tmp_path / "never")
    other.make(drilled.ONCE, "")
    other.suite()
    for crawl in (FIRST, SECOND):
        other.fill(crawl, without=[VICTIM, EXACT, NEAR, LATER])
        other.make(drilled.OF_CRAWL, crawl)
        for asset in ("cleaned_corpus", "deduped_shards"):
            assert kept(other, crawl, asset) == kept(world, crawl, asset), (crawl, asset)
        mine, theirs = (one.store.current("deduped_shards", crawl).files / "index" for one in (world, other))
        assert {path.name: path.read_bytes() for path in mine.iterdir()} == {p.name: p.read_bytes() for p in theirs.iterdir()}


def test_the_receipt_says_what_was_done_and_holds_no_text(by_content):
    world, receipt, *_ = by_content
    assert (receipt["by"], receipt["reason"], receipt["outcome"]) == ("A. Auditor", "asked by its author", "done")
    assert {one["crawl"] for one in receipt["documents"].values()} == {FIRST, SECOND}
    remade = {(one["asset"], one["partition"]) for one in receipt["replaced"]}
    assert {(asset, FIRST) for asset in DATA} <= remade
    assert not any(partition == THIRD for _, partition in remade)
    assert Needles([drilled.victim()]).found_in(json.dumps(receipt)) == ""
    key = world.store.root / "takedowns" / ".signing_key.pem"
    assert key.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("field", ["documents", "by", "asked", "replaced", "must_go", "public_key"])
def test_a_receipt_that_was_changed_is_refused(by_content, field):
    world, receipt, *_ = by_content
    rows = verify(world.store, {**receipt, field: [] if isinstance(receipt[field], list) else "x"})
    assert [(row.what, row.holds) for row in rows] == [("signature", False)]


def beside_weights(world):
    """What a model's folder may hold of the text: samples, ids, a card, a table; and what has nothing to do with it."""
    tokens = world.store.current("tokenized_dataset", FIRST)
    place = pl.read_parquet(tokens.file("documents.parquet")).filter(pl.col("url") == VICTIM).row(0, named=True)
    shard = np.load(tokens.files / f"tokens-{place['shard']:05d}.npy")
    ids, text = shard[place["start"] : place["start"] + place["length"]].tolist(), drilled.victim()
    model = world.store.root / "base_model" / "all" / "0123456789abcdef"
    model.mkdir(parents=True)
    (model / "report.json").write_text(json.dumps({"samples": {"one": text[:200], "two": "kept"}, "n": [1, 2]}))
    (model / "probe.json").write_text(json.dumps({"ids": ids, "other": [1] * 20}))
    (model / "model_card.md").write_text(f"# Card\n\nIt said:\n{text}\nand more.\n")
    pl.DataFrame({"prompt": [text, "kept"], "score": [1.0, 2.0]}).write_parquet(model / "samples.parquet")
    return model


def test_a_copy_at_another_address_comes_back_however_often_it_is_killed(world):
    """Design: unless its content is what was taken down. Each time it goes on; nothing is asked or signed twice."""
    model = beside_weights(world)
    killed = world.store.root / ".work" / "raw_crawl" / "five" / "incoming"
    killed.mkdir(parents=True)
    (killed / "part").write_text(drilled.victim())
    other = world.store.root / ".work" / "base_model" / "all" / "0"
    other.mkdir(parents=True)
    before = state(world, [THIRD])
    for stage in ("tombstones", "extracted_pages", "deduped_shards", "training_mix"):
        with pytest.raises(KeyboardInterrupt):
            take_down(world, Hands(world, stop_at=stage), url=VICTIM + "?utm_source=x#top")
    hands = Hands(world)
    receipt = take_down(world, hands, url=VICTIM + "?utm_source=x#top")
    assert hands.told == [one.id for one in Takedowns(world.store.root).requests()] == [receipt["id"]]
    assert receipt["crawls"] == [FIRST, SECOND]
    assert VICTIM not in kept(world, FIRST) and kept(world, FIRST)[EXACT] == drilled.victim()
    assert LATER not in kept(world, SECOND)  # of the older copy, that is back
    assert state(world, [THIRD]) == before
    for crawl in (FIRST, SECOND):  # where it is a revisit
        assert ledger(world, "raw_crawl", crawl, VICTIM) == ("tombstone", f"url: {VICTIM}", None)
    assert not killed.exists() and other.exists()
    assert hands.cleaned == (f"[taken down: {receipt['id']}]", "sample: another")
    assert {row["file"].rpartition("/")[2] for row in receipt["redacted"]} == {
        "report.json", "probe.json", "model_card.md", "samples.parquet"
    }  # fmt: skip
    mark = f"[taken down: {receipt['id']}]"
    assert json.loads((model / "report.json").read_text()) == {"samples": {"one": mark, "two": "kept"}, "n": [1, 2]}
    assert json.loads((model / "probe.json").read_text()) == {"ids": [], "other": [1] * 20}
    assert (model / "model_card.md").read_text() == f"# Card\n\nIt said:\n{mark}\nand more.\n"
    assert pl.read_parquet(model / "samples.parquet").rows() == [(mark, 1.0), ("kept", 2.0)]
    again(world, receipt)


def again(world, receipt):
    """Said once more, nothing is done; what a later take-down names besides is done."""
    gc(world)
    assert all(row.holds for row in verify(world.store, receipt))
    before, hands = state(world, CRAWLS), Hands(world)
    assert take_down(world, hands, url=VICTIM)["outcome"] == "nothing to do"
    assert hands.made == [("tombstones", "")] and state(world, CRAWLS) == before
    assert len((world.store.root / "takedowns/tombstones.jsonl").read_text().splitlines()) == 1
    take_down(world, url=[EXACT, NEAR])
    assert kept(world, SECOND)[LATER] == drilled.victim()


def test_one_capture_goes_with_its_revisits_and_a_host_with_those_below_it(world):
    index = pl.read_parquet(world.store.current("raw_crawl", FIRST).file("index.parquet"))
    document = index.filter(pl.col("url") == VICTIM)["doc_id"][0]
    assert len(take_down(world, doc_id=document)["documents"]) == 2
    assert VICTIM not in kept(world, FIRST) and EXACT in kept(world, FIRST)
    take_down(world, host="victim.example")
    assert BELOW not in kept(world, FIRST)


def test_nothing_matches(world):
    with pytest.raises(Absent, match=r"no crawl holds a document of host nowhere\.example; looked through one, two, three"):
        take_down(world, host="nowhere.example")
    assert Takedowns(world.store.root).requests() == []
    receipt = take_down(world, host="nowhere.example", even_if_absent=True)
    assert receipt["outcome"] == "nothing to do" and is_buried(world.store, {"host": ["nowhere.example"]})
    path = world.folder / "inbox" / "five" / "pages.jsonl"
    path.parent.mkdir(parents=True)
    rows = [{**row, "url": row["url"].replace("site2", "www.nowhere")} for row in drilled.rows(THIRD)[:2]]
    path.write_text("".join(json.dumps(row) + "\n" for row in [*rows, drilled.rows(THIRD)[2]]), "utf-8")
    world.make(["raw_crawl"], "five")
    assert ledger(world, "raw_crawl", "five", rows[0]["url"])[:2] == ("tombstone", "host: nowhere.example")


def test_a_run_at_work_is_waited_for(world):
    place = world.store.root / ".work" / "raw_crawl" / "five"
    place.mkdir(parents=True)
    with FileLock(place / "incoming.lock"), pytest.raises(StoreBusy, match=r"raw_crawl\[five\] is being made by a run"):
        take_down(world, url=VICTIM)
    with FileLock(world.store.root / "takedowns" / ".lock"), pytest.raises(StoreBusy, match="another take-down"):
        take_down(world, url=VICTIM)
    assert Takedowns(world.store.root).requests() == []


def test_the_key_may_be_given(world, monkeypatch, tmp_path):
    own = receipts.private_key(tmp_path)
    monkeypatch.setenv(receipts.VARIABLE, str(tmp_path / "takedowns" / ".signing_key.pem"))
    receipt = take_down(world, host="nowhere.example", even_if_absent=True)
    assert receipts.is_signed_by(receipt, own.public_key())
    assert not (world.store.root / "takedowns" / ".signing_key.pem").exists()
    assert verify(world.store, receipt, tmp_path / "takedowns" / "public_key.pem")[0].holds


def test_a_crawl_of_nothing_else(world):
    """All that a crawl has goes: later crawls that it does not concern are left alone all the same."""
    before = state(world, [THIRD])
    receipt = take_down(world, host=["site0.example", "victim.example", "wcopy.example", "xnear.example"])
    assert kept(world, FIRST) == {} and receipt["retired"] == [f"tokenized_dataset[{FIRST}]"]
    assert kept(world, SECOND)[LATER] == drilled.victim() and VICTIM not in kept(world, SECOND)
    assert state(world, [THIRD]) == before
    mix = pl.read_parquet(world.store.current("training_mix").file("documents.parquet"))
    assert mix.height and mix.filter(pl.col("url").str.contains("site0.example")).is_empty()
