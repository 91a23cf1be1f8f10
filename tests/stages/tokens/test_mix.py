import json
import shutil

import polars as pl
import pytest

from llm_assets.core.artefact import Inputs, WorkDir
from llm_assets.core.errors import InputError
from llm_assets.core.progress import Recording, Silent
from llm_assets.core.recipe.tokens import TokenizerConfig, TrainingMixConfig
from llm_assets.core.report import Report
from llm_assets.core.spec import load_entry
from llm_assets.stages import spec_of
from llm_assets.stages.tokens import gates, mix
from tests.support import corpus

CONFIG = TrainingMixConfig(
    languages={"en": 1.0, "fr": 0.5}, validation_fraction=0.1, min_train_tokens=500, share_tolerance=0.5, min_tokens_judged=500
)


@pytest.fixture(scope="module")
def crawls(world, tmp_path_factory):
    """c1 and a later c2 that changed c1's first page and has 30 new ones; c3 is not tokenised."""
    root = tmp_path_factory.mktemp("mix")
    old = pl.read_parquet(world.survivors / "shards/*.parquet").row(0, named=True)
    changed = corpus.row(old["url"], "A new text of the same page, the river and the sea.", day=2)
    second = corpus.shards(root / "deduped/c2", [changed, *corpus.rows(30, seed=5, prefix="n", day=2)])
    pl.DataFrame({"doc_id": [old["doc_id"]], "by_doc_id": [changed["doc_id"]], "crawl": ["c1"]}).write_parquet(
        second / "superseded.parquet"
    )
    third = corpus.shards(root / "deduped/c3", corpus.rows(2, seed=6, prefix="t", day=3))
    tokens = [world.tokens, corpus.make_tokens(root / "tokenized", second, world.tokenizer)]
    return [world.survivors, second, third], tokens, old["doc_id"], changed["doc_id"]


def inputs(crawls, tokens=None):
    return Inputs.of({"deduped_shards": crawls[0], "tokenized_dataset": crawls[1] if tokens is None else tokens})


def make(crawls, tmp_path, config=CONFIG, tokens=None):
    out = WorkDir.at(tmp_path)
    report = load_entry(spec_of("training_mix").entry)(inputs(crawls, tokens), out, config, Silent())
    return out.files, report, pl.read_parquet(out.files / "documents.parquet")


def test_run_and_gates(crawls, tmp_path):
    files, report, documents = make(crawls, tmp_path)
    assert documents.columns == mix.MIX_DOCUMENTS.names()
    assert report.metrics == {"crawls": ["c1", "c2"], "missing": ["c3"]}
    assert report.counts["documents_in"] == 131 == sum(n for k, n in report.counts.items() if k == "kept" or ":" in k)
    found = gates.training_mix(inputs(crawls), files, CONFIG, report)
    assert [gate.name for gate in found] == list(spec_of("training_mix").gate_names)
    assert all(gate.passed and gate.blocking for gate in found), [gate.message for gate in found]


def test_missing_crawls_are_named_and_stop_nothing(crawls, tmp_path):
    progress = Recording()
    mix.run(inputs(crawls), WorkDir.at(tmp_path), CONFIG, progress)
    about = json.loads((tmp_path / "files/mix.json").read_text())
    assert about["missing"] == [{"crawl": "c3", "reason": "not tokenised; materialise its tokenized_dataset"}]
    assert progress.notes == ["training_mix leaves out c3: not tokenised; materialise its tokenized_dataset"]
    assert [entry["ref"] for entry in about["crawls"]] == ["tokenized_dataset/c1/0", "tokenized_dataset/c2/0"]


def test_a_crawl_of_another_tokenizer_is_left_out(crawls, world, tmp_path):
    other = corpus.make_tokenizer(tmp_path / "other", world.survivors, TokenizerConfig(vocab_size=320, languages={"en": 1.0}))
    tokens = [corpus.make_tokens(tmp_path / "old", world.survivors, other), crawls[1][1]]
    files, report, documents = make(crawls, tmp_path / "mix", tokens=tokens)
    assert report.metrics == {"crawls": ["c2"], "missing": ["c1", "c3"]}
    assert documents["ref"].unique().to_list() == ["tokenized_dataset/c2/0"]
    assert "another tokenizer" in json.loads((files / "mix.json").read_text())["missing"][0]["reason"]


def test_no_crawl_at_all_is_an_error(crawls, tmp_path):
    with pytest.raises(InputError, match="no crawl is tokenised yet"):
        make(crawls, tmp_path, tokens=[])


def test_a_superseded_page_is_left_out_only_if_the_newer_one_is_in_the_mix(crawls, tmp_path):
    _, _, old, new = crawls
    files, _, documents = make(crawls, tmp_path / "both")
    assert old not in documents["doc_id"] and new in documents["doc_id"]
    fate = pl.read_parquet(files / "ledger.parquet").filter(pl.col("doc_id") == old).row(0, named=True)
    assert (fate["rule"], fate["related_doc"], fate["crawl"], fate["kept"]) == ("superseded", new, "c1", False)
    _, _, alone = make(crawls, tmp_path / "alone", tokens=crawls[1][:1])
    assert old in alone["doc_id"]


def test_split_and_sample_are_functions_of_the_url(crawls, tmp_path):
    """A page keeps its side when a crawl is added, and no URL is on both."""
    _, _, both = make(crawls, tmp_path / "both")
    _, _, alone = make(crawls, tmp_path / "alone", tokens=crawls[1][:1])
    joined = alone.join(both, on="doc_id", suffix="_both")
    assert joined.height >= alone.height - 1
    assert joined["split"].to_list() == joined["split_both"].to_list()
    _, _, seeded = make(crawls, tmp_path / "seeded", CONFIG.model_copy(update={"seed": 1}))
    assert seeded.filter(pl.col("split") == "validation")["doc_id"].to_list() != (
        both.filter(pl.col("split") == "validation")["doc_id"].to_list()
    )


@pytest.mark.parametrize(("epochs", "low", "high"), [(0.25, 0, 1), (1.0, 1, 1), (2.5, 2, 3)])
def test_epochs_are_shares_or_repeats(crawls, tmp_path, epochs, low, high):
    config = TrainingMixConfig(languages={"fr": epochs}, validation_fraction=0.1)
    files, _, documents = make(crawls, tmp_path, config)
    train = documents.filter(pl.col("split") == "train")
    assert set(train["epochs"]) == set(range(max(1, low), high + 1))
    assert documents.filter(pl.col("split") == "validation")["epochs"].to_list() == [1] * (documents.height - train.height)
    assert train["epochs"].sum() / 40 == pytest.approx(epochs, rel=0.5)
    fates = pl.read_parquet(files / "ledger.parquet")
    assert set(fates.filter(pl.col("rule") == "language_not_in_mix")["detail"]) == {"en"}
    out = fates.filter(pl.col("rule") == "sampled_out")
    assert (out["value"] >= out["threshold"]).all() and out.is_empty() == (epochs >= 1)


def test_source_kinds_weigh_and_leave_out(crawls, tmp_path):
    """A factor of 2 on forums doubles their epochs, 0 on books leaves them out by name; mix.json counts by kind."""
    survivors, tokens = crawls[0], crawls[1]
    marked = []
    for place, folder in enumerate(tokens):
        copy = tmp_path / "tokens" / folder.name
        shutil.copytree(folder, copy)
        path = copy / "documents.parquet"
        frame = pl.read_parquet(path).with_columns(source_kind=pl.lit(("forum", "book")[place]))
        frame.write_parquet(path)
        marked.append(copy)
    config = CONFIG.model_copy(
        update={"languages": {"en": 1.0}, "source_kinds": {"forum": 2.0, "book": 0.0}, "share_tolerance": 0.15}
    )
    given = inputs((survivors, marked))
    out = WorkDir.at(tmp_path / "mix")
    report = mix.run(given, out, config, Silent())
    about = json.loads((out.files / "mix.json").read_text())
    documents = pl.read_parquet(out.files / "documents.parquet")
    assert set(documents["source_kind"]) == {"forum"}
    assert set(documents.filter(pl.col("split") == "train")["epochs"]) == {2}
    assert about["tokens_by_source_kind"]["train"] == {"forum": about["tokens"]["train"]}
    assert report.counts["dropped:source_kind_not_in_mix"] > 0
    found = gates.training_mix(given, out.files, config, report)
    assert all(gate.passed for gate in found), [gate.message for gate in found]
    blind = gates.training_mix(given, out.files, config.model_copy(update={"source_kinds": {}}), report)
    assert [gate.name for gate in blind if not gate.passed] == ["proportions"]


def test_a_crawl_without_source_kinds_is_named_and_left_out(crawls, tmp_path):
    """What older code tokenised lacks the column: that crawl waits, the others are mixed."""
    old = tmp_path / "old" / crawls[1][0].name
    shutil.copytree(crawls[1][0], old)
    pl.read_parquet(old / "documents.parquet").drop("source_kind").write_parquet(old / "documents.parquet")
    _, report, _ = make(crawls, tmp_path / "mix", tokens=[old, crawls[1][1]])
    assert report.metrics == {"crawls": ["c2"], "missing": ["c1", "c3"]}
    with pytest.raises(InputError, match="no crawl can be mixed.*without source kinds"):
        make(crawls, tmp_path / "none", tokens=[old])


@pytest.mark.parametrize(("given", "words"), [({"blog": 1.0}, "'blog' is none of web"), ({"web": -1.0}, "below 0")])
def test_unknown_kinds_and_negative_factors_are_refused(given, words):
    with pytest.raises(ValueError, match=words):
        TrainingMixConfig(source_kinds=given)


@pytest.fixture
def doctored(crawls, tmp_path):
    files, _, documents = make(crawls, tmp_path)

    def judge(changed, config=CONFIG):
        changed.write_parquet(files / "documents.parquet")
        return {gate.name: gate.passed for gate in gates.training_mix(inputs(crawls), files, config, Report())}

    return documents, judge


def test_too_few_tokens_are_refused(doctored):
    documents, judge = doctored
    assert not judge(documents, CONFIG.model_copy(update={"min_train_tokens": 10**9}))["enough_tokens"]
    assert not judge(documents.filter(pl.col("split") == "train"))["enough_tokens"]


def test_wrong_proportions_are_refused(doctored):
    documents, judge = doctored
    few = documents.filter((pl.col("lang") != "fr") | (pl.col("doc_id") < "2"))
    assert not judge(few)["proportions"]
    stray = documents.with_columns(lang=pl.when(pl.col("lang") == "fr").then(pl.lit("xx")).otherwise("lang"))
    assert not judge(stray)["proportions"]


def test_a_page_on_both_sides_is_refused(doctored):
    documents, judge = doctored
    held_out = documents.filter(pl.col("split") == "validation")
    leak = held_out.with_columns(split=pl.lit("train"), doc_id=pl.lit("f" * 32)).head(1)
    found = judge(pl.concat([documents, leak]))
    assert not found["splits_apart"] and not found["counts_add_up"]


def test_a_document_twice_is_refused(doctored):
    documents, judge = doctored
    assert not judge(pl.concat([documents, documents.head(1)]))["documents_table"]


def test_the_mix_is_the_same_in_another_run(crawls, tmp_path):
    first, *_ = make(crawls, tmp_path / "a")
    second, *_ = make(crawls, tmp_path / "b")
    for name in ("documents.parquet", "mix.json", "ledger.parquet"):
        assert (first / name).read_bytes() == (second / name).read_bytes()
    shutil.rmtree(first)
