import random
import shutil
from collections import Counter

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_assets.core import account, prompts
from llm_assets.core.artefact import Artefact, Inputs, WorkDir
from llm_assets.core.errors import InputError
from llm_assets.core.ledger import counts_add_up
from llm_assets.core.progress import Silent
from llm_assets.core.recipe.post_training import PreferenceDatasetConfig
from llm_assets.core.report import Report
from llm_assets.stages import spec_of
from llm_assets.stages.reward import preference_gates, preferences
from tests.support import articles
from tests.support.gating import all_block

TEXT = st.text(st.sampled_from("ab éÉ,(1"), min_size=0, max_size=40)


@given(TEXT, st.integers(0, 99))
def test_truncated_is_a_shorter_beginning(text, seed):
    cut = preferences.truncated(text, random.Random(seed))
    if len(text.split()) < 3:
        assert cut is None
    else:
        assert len(cut.split()) <= max(1, 2 * len(text.split()) // 3)
        assert " ".join(text.split()).startswith(cut)


@given(TEXT, st.integers(0, 99))
def test_shuffled_has_the_same_words_in_another_order(text, seed):
    mixed = preferences.shuffled(text, random.Random(seed))
    if mixed is not None:
        assert Counter(mixed.casefold().split()) == Counter(text.casefold().split())
        assert mixed.casefold().split() != text.casefold().split()


def test_what_says_the_same_within_the_clip_is_the_same():
    """Case B32."""
    assert preferences.same_answer("Old river (b. 1900)", "old river b 1900", 24)
    assert preferences.same_answer("one two three yes", "one two three no", 3)
    assert not preferences.same_answer("one two three yes", "one two three no", 4)


@given(st.integers(0, 200))
def test_the_four_answers_rejected_for_a_question_differ(seed):
    said = [
        "Genus of plants in Asia",
        "Genus of plants",
        "Genus of",
        "Genus",
        "City in Peru by the sea",
        "City in Peru",
        "City",
    ]
    questions = [
        preferences.Question(str(n), f"u{n}", f"a{n}", f"What is {n}?", text, "Life" if n < 4 else "Places")
        for n, text in enumerate(said)
    ]
    config = PreferenceDatasetConfig(seed=seed)
    rows = preferences._pairs(questions, config, Counter(), {}, "train")
    assert rows
    frame = pl.DataFrame(rows, schema=preferences.PREFERENCES, orient="row")
    assert frame.select("prompt", "chosen", "rejected").is_unique().all()
    assert (frame["chosen"] != frame["rejected"]).all()


def test_pairs_are_the_truth_against_a_made_up_wrong(world):
    pages = {str(page["doc_id"]): page for page in (articles.article(number) for number in range(240))}
    for split in preferences.SPLITS:
        frame = pl.read_parquet(world.folders["preference_dataset"][0] / f"{split}.parquet")
        counts = Counter(frame["kind"])
        assert set(counts) == set(preferences.KINDS) and len(set(counts.values())) == 1
        for row in frame.iter_rows(named=True):
            page, other = pages[row["doc_id"]], pages[row["rejected_doc_id"]]
            assert row["prompt"] == prompts.summarise_prompt(str(page["text"]))
            assert row["chosen"] == page["description"]
            if row["kind"] == "other_topic":
                assert other["section"] != page["section"] and row["rejected"] == other["description"]
            elif row["kind"] == "same_topic":
                assert other["section"] == page["section"] and other["doc_id"] != page["doc_id"]
            else:
                assert other["doc_id"] == page["doc_id"]


def test_two_runs_write_the_same_bytes(world, tmp_path):
    work = WorkDir.at(tmp_path)
    preferences.run(world.inputs, work, articles.PREFERENCES, Silent())
    for name in preferences.SPLITS:
        first = world.folders["preference_dataset"][0] / f"{name}.parquet"
        assert (work.files / f"{name}.parquet").read_bytes() == first.read_bytes()


def test_max_articles_bounds_training_only(world, tmp_path):
    work = WorkDir.at(tmp_path)
    config = articles.PREFERENCES.model_copy(update={"max_articles": 5})
    report = preferences.run(world.inputs, work, config, Silent())
    assert report.counts["questions_train"] == 5 and report.counts["questions_test"] > 5


def test_questions_that_can_not_give_all_kinds_are_counted(world, tmp_path):
    instructions = tmp_path / "instructions"
    shutil.copytree(world.folders["instruction_dataset"][0], instructions)
    frame = pl.read_parquet(instructions / "train.parquet")
    short = pl.when(pl.col("task") == "summarise").then(pl.lit("A river")).otherwise(pl.col("answer"))
    frame.with_columns(answer=short).write_parquet(instructions / "train.parquet")
    inputs = Inputs.of(world.folders | {"instruction_dataset": [instructions]})
    report = preferences.run(inputs, WorkDir.at(tmp_path / "work"), articles.PREFERENCES, Silent())
    assert report.counts["pairs_train"] == 0
    assert report.counts["left_out:other_topic"] == report.counts["questions_train"]  # every answer is the same


def fates(folder):
    ledger = pl.read_parquet(folder / "ledger.parquet")
    return {row["doc_id"]: row for row in ledger.iter_rows(named=True)}


def test_each_page_with_instructions_has_its_fate_in_the_ledger(world):
    """Four pairs, or the rule that left it out; the pages are those that the instructions were made of."""
    files = world.folders["preference_dataset"][0]
    pairs = pl.concat(pl.read_parquet(files / f"{name}.parquet") for name in preferences.SPLITS)
    found = fates(files)
    assert {doc for doc, row in found.items() if row["kept"]} == set(pairs["doc_id"])
    own = Artefact("preference_dataset", "all", "0", files)
    assert account.follows_gate(spec_of("preference_dataset"), own, world.inputs).passed


def test_the_ledger_says_why_a_page_gave_no_pairs(world, tmp_path):
    shards = tmp_path / "deduped/c1/shards"
    shards.mkdir(parents=True)
    frame = pl.read_parquet(world.folders["deduped_shards"][0] / "shards/00000.parquet")
    without = set(frame["doc_id"][:60])
    section = pl.when(pl.col("doc_id").is_in(list(without))).then(None).otherwise("section")
    frame.with_columns(section=section).write_parquet(shards / "00000.parquet")
    inputs = Inputs.of(world.folders | {"deduped_shards": [shards.parent]})
    work = WorkDir.at(tmp_path / "work")
    report = preferences.run(inputs, work, articles.PREFERENCES.model_copy(update={"max_articles": 5}), Silent())
    found = fates(work.files)
    assert counts_add_up(report.counts) and report.counts["documents_in"] == len(found)
    assert {doc for doc, row in found.items() if row["rule"] == "no_topic"} == without & set(found)
    over = [row for row in found.values() if row["rule"] == "over_max_articles"]
    assert over and {(row["threshold"], row["value"] > 5) for row in over} == {(5, True)}
    train = pl.read_parquet(work.files / "train.parquet")
    kept = sum(row["kept"] and row["detail"] == "4 pairs; train" for row in found.values())
    left_out = sum(row["rule"].endswith("_answer") for row in found.values() if not row["kept"])
    assert kept == train.height / 4 > 0
    assert left_out == sum(n for rule, n in report.counts.items() if rule.startswith("left_out:"))


def test_pages_without_a_topic_are_said(world, tmp_path):
    shards = tmp_path / "deduped/c1/shards"
    shards.mkdir(parents=True)
    frame = pl.read_parquet(world.folders["deduped_shards"][0] / "shards/00000.parquet")
    frame.with_columns(section=pl.lit("Uncategorized")).write_parquet(shards / "00000.parquet")
    inputs = Inputs.of(world.folders | {"deduped_shards": [shards.parent]})
    with pytest.raises(InputError, match="article:section"):
        preferences.run(inputs, WorkDir.at(tmp_path / "work"), articles.PREFERENCES, Silent())


# gates


@pytest.fixture
def copy(world, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(world.folders["preference_dataset"][0], folder)

    def judge():
        found = preference_gates.gates(world.inputs, folder, articles.PREFERENCES, Report())
        assert sorted(gate.name for gate in found) == sorted({*spec_of("preference_dataset").gate_names} - {"counts_add_up"})
        assert all_block(found)
        return {gate.name for gate in found if not gate.passed}

    return folder, judge


def edit(folder, name, change):
    path = folder / f"{name}.parquet"
    change(pl.read_parquet(path)).write_parquet(path)


def first(value, column, rows=1):
    return pl.when(pl.int_range(pl.len()) < rows).then(value).otherwise(pl.col(column)).alias(column)


def test_what_the_stage_wrote_passes(copy):
    assert copy[1]() == set()


def test_an_equal_pair_is_refused(copy):
    """Case B32."""
    folder, judge = copy
    edit(folder, "train", lambda frame: frame.with_columns(first(pl.col("chosen").str.to_uppercase(), "rejected")))
    assert judge() == {"preference_pairs_differ"}


def test_unbalanced_kinds_are_refused(copy):
    folder, judge = copy
    edit(folder, "validation", lambda frame: frame.filter(pl.col("kind") != "shuffled"))
    assert judge() == {"preference_kinds_balanced"}


def test_too_few_pairs_are_refused(copy):
    folder, judge = copy
    edit(folder, "train", lambda frame: frame.head(8))
    assert judge() == {"preference_kinds_balanced"}


def test_another_split_is_refused(copy):
    folder, judge = copy
    train, test = (pl.read_parquet(folder / f"{name}.parquet") for name in ("train", "test"))
    test.write_parquet(folder / "validation.parquet")
    edit(folder, "test", lambda frame: train.head(frame.height // 4 * 4))
    assert "preference_follows_split" in judge()


@pytest.mark.parametrize(("column", "value"), [("chosen", ""), ("kind", "odd"), ("doc_id", None)])
def test_broken_rows_are_refused(copy, column, value):
    folder, judge = copy
    edit(folder, "train", lambda frame: frame.with_columns(first(pl.lit(value, dtype=pl.String), column)))
    assert {"chosen": "gx_chosen_not_empty", "kind": "gx_kind_allowed", "doc_id": "gx_doc_id_not_null"}[column] in judge()
