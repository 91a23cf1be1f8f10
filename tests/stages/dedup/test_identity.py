"""Which crawls are compared is part of the identity; an override leaves its reason in the manifest."""

import shutil

import polars as pl
import pytest

from llm_assets.core.errors import GateBlocked
from llm_assets.core.identity import find_inputs, identity_of, input_entries
from llm_assets.core.ledger import Verdict, ledger_frame, ledger_row, write_ledger
from llm_assets.core.manifest import Manifest, content_digest, hash_files
from llm_assets.core.produce import accept_or_raise, produce
from llm_assets.core.recipe.corpus import DedupedShardsConfig
from llm_assets.core.store import Store
from tests.stages.dedup.conftest import SPEC
from tests.stages.dedup.test_run import RIVER
from tests.support import corpus


def put(store, asset, partition, folder):
    """Publish a folder as an accepted artefact."""
    with store.work(asset, partition, "x") as work:
        shutil.copytree(folder, work.files, dirs_exist_ok=True)
        files = hash_files(work.files)
        content = content_digest(files)
        about = {"asset": asset, "partition": partition, "identity": content[:16], "digest": content}
        artefact = store.publish(work, Manifest(**about, code_version="1", files=files))
    store.accept(artefact)


@pytest.fixture
def stored(bench, tmp_path):
    """A store with three cleaned crawls, the first two deduplicated."""
    store = Store(tmp_path / "store", "demo")
    put(store, "eval_suite", "all", bench.suite)
    for crawl in ("w-1", "w-2", "x-3"):
        row = corpus.row(f"http://a.test/{crawl}", " ".join(RIVER) + f" as {crawl} says", day=int(crawl[-1]))
        cleaned = corpus.shards(tmp_path / crawl, [row])
        kept = ledger_row(crawl, "cleaned_corpus", row["doc_id"], row["url"], Verdict(True))
        write_ledger(cleaned, ledger_frame([kept]))
        put(store, "cleaned_corpus", crawl, cleaned)
        pages = tmp_path / f"pages-{crawl}"
        pages.mkdir()
        pl.DataFrame({"doc_id": [row["doc_id"]], "rel_canonical": [crawl]}).write_parquet(pages / "captures.parquet")
        put(store, "extracted_pages", crawl, pages)
    for crawl in ("w-1", "w-2"):
        outcome = produce(store, SPEC, SMALL.model_copy(update={"against": []}), partition=crawl)
        store.number_crawl(crawl)
        store.accept(outcome.artefact)
    return store


SMALL = DedupedShardsConfig(jaccard=0.5, min_source_documents=1, max_removal_share=0.5, min_kept_documents=0)


def looked_at(store, partition, **over):
    config = SMALL.model_copy(update=over)
    inputs = find_inputs(store, SPEC, partition, config)
    identity = identity_of(SPEC, partition, config, input_entries(SPEC, inputs, config))
    return [artefact.partition for artefact in inputs.many("deduped_shards")], identity


def test_the_recipe_says_against_which_crawls(stored):
    names, identity = looked_at(stored, "x-3")
    assert names == ["w-1", "w-2"]
    seen = {identity}
    for against, wanted in (
        (["w-2"], ["w-2"]),
        (["w-*"], ["w-1", "w-2"]),
        ([], []),
        (["nobody"], []),
        (["x-3", "w-1"], ["w-1"]),
    ):
        names, identity = looked_at(stored, "x-3", against=against)
        assert names == wanted
        seen.add(identity)
    assert len(seen) == 6
    assert looked_at(stored, "w-1", against=["*"])[0] == []  # never a later crawl
    assert looked_at(stored, "w-2", against=["w-*", "x-*"])[0] == ["w-1"]


def test_links_count_only_where_the_recipe_asks_for_them(stored, tmp_path):
    before = looked_at(stored, "x-3")[1], looked_at(stored, "x-3", prefer=[])[1]
    pages = tmp_path / "other"
    pages.mkdir()
    pl.DataFrame({"doc_id": ["f" * 32], "rel_canonical": ["http://other.test/"]}).write_parquet(pages / "captures.parquet")
    put(stored, "extracted_pages", "x-3", pages)
    after = looked_at(stored, "x-3")[1], looked_at(stored, "x-3", prefer=[])[1]
    assert before[0] != after[0] and before[1] == after[1]


def test_an_override_is_kept_in_the_manifest_and_in_the_gates(stored):
    with pytest.raises(GateBlocked, match="removal_rate: 1 of 1 documents of the host a.test"):
        accept_or_raise(produce(stored, SPEC, SMALL, partition="x-3"))
    assert stored.current("deduped_shards", "x-3") is None
    reasons = {"x-3/a.test": "one page, known to be copied", "en": "one page only", "web": "one page only"}
    outcome = produce(stored, SPEC, SMALL.model_copy(update={"removal_overrides": reasons}), partition="x-3")
    gate = next(gate for gate in stored.gates(outcome.artefact) if gate.name == "removal_rate")
    assert gate.passed and any("known to be copied" in said for said in gate.metadata["overridden"])
    assert outcome.artefact.manifest().config["removal_overrides"] == reasons
