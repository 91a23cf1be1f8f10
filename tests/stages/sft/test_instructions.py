import shutil

import polars as pl
import pytest

from llm_assets.core import account, embedded, prompts
from llm_assets.core.artefact import Artefact, Inputs, WorkDir
from llm_assets.core.errors import InputError
from llm_assets.core.ledger import KEEP, counts_add_up, ledger_frame, ledger_row, write_ledger
from llm_assets.core.progress import Recording, Silent
from llm_assets.core.report import Report
from llm_assets.stages import spec_of
from llm_assets.stages.sft import instruction_gates, instructions
from tests.support import articles, corpus
from tests.support.gating import all_block

STRINGS = (
    ("Toggle the side panel", "Afficher le panneau latéral"),
    ("Save all", "Tout enregistrer"),
    ("Open a file", "Ouvrir un fichier"),
)


def make(tmp_path, pages, config=articles.CONFIG, held_out=(), superseded=()):
    """Run on these pages; returns all rows with their split, the folder and the inputs."""
    shards = corpus.shards(tmp_path / "deduped/c1", list(pages))
    old = {"doc_id": list(superseded), "by_doc_id": ["newer"] * len(superseded)}
    pl.DataFrame(old, schema={"doc_id": pl.String, "by_doc_id": pl.String}).write_parquet(shards / "superseded.parquet")
    inputs = Inputs.of({"deduped_shards": [shards], "eval_suite": [articles.suite(tmp_path / "suite/all", list(held_out))]})
    work = WorkDir.at(tmp_path / "work")
    report = instructions.run(inputs, work, config, Silent())
    frames = [pl.read_parquet(work.files / f"{name}.parquet").with_columns(split=pl.lit(name)) for name in instructions.SPLITS]
    return pl.concat(frames), report, work.files, inputs


def test_every_task_is_made_of_what_people_wrote(tmp_path):
    page = articles.article(1)
    rows, report, _, _ = make(tmp_path, [page])
    own = {row["task"]: row for row in rows.filter(pl.col("doc_id") == page["doc_id"]).to_dicts()}
    assert own["describe"]["prompt"] == prompts.describe_prompt(page["title"])
    assert own["summarise"]["prompt"] == prompts.summarise_prompt(page["text"])
    assert own["topic"]["prompt"] == prompts.topic_prompt(page["text"])
    assert own["describe"]["answer"] == own["summarise"]["answer"] == page["description"]
    assert own["topic"]["answer"] == page["section"]
    assert {row["url"] for row in own.values()} == {page["url"]}
    assert report.counts["pages_read"] == 1


def test_pages_without_description_topic_or_text_give_fewer_tasks(tmp_path):
    bare = articles.article(2, description=None, section="Uncategorized")
    wordy = articles.article(3, description="word " * 40, section=None)
    short = articles.article(4, text="Too short.")
    rows, _, _, _ = make(tmp_path, [bare, wordy, short])
    assert rows.filter(pl.col("doc_id").is_in([bare["doc_id"], wordy["doc_id"]])).is_empty()
    assert rows.filter(pl.col("doc_id") == short["doc_id"])["task"].to_list() == ["describe"]


def test_superseded_pages_and_other_languages_are_left_out(tmp_path):
    old, new, french = articles.article(1), articles.article(2), articles.article(3, lang="fr")
    rows, _, _, _ = make(tmp_path, [old, new, french], superseded=[old["doc_id"]])
    assert set(rows.filter(pl.col("task") != "translate")["doc_id"]) == {new["doc_id"]}


def test_mirrors_share_a_split_and_a_repeated_question_is_asked_once(tmp_path):
    pages = []
    for number in range(40):
        page = articles.article(number)
        mirror = corpus.row(f"http://b.test/mirror/{page['title']}.html", f"{page['text']} copied", day=2)
        keep = {key: page[key] for key in ("title", "description", "section")}
        pages += [page, mirror | keep]
    rows, report, _, _ = make(tmp_path, pages)
    own = rows.filter(pl.col("task") != "translate")
    assert own.group_by("article").agg(pl.col("split").n_unique())["split"].max() == 1
    assert own["article"].n_unique() == 40
    assert report.counts["rows_repeated"] >= 40  # the describe prompts of page and mirror are the same


def test_held_out_articles_are_left_out_by_text_and_by_name(tmp_path):
    held = articles.article(7)
    rewritten = articles.article(8, title=held["title"])
    copied = corpus.row("http://c.test/quoted", f"Someone wrote: {held['text']}") | {
        key: held[key] for key in ("description", "section")
    }
    other = articles.article(9)
    rows, report, _, _ = make(tmp_path, [held, rewritten, copied | {"title": "Quoted"}, other], held_out=[held])
    assert set(rows.filter(pl.col("task") != "translate")["doc_id"]) == {other["doc_id"]}
    assert report.counts["pages_held_out"] == 3


def test_each_page_has_its_fate_in_the_ledger(tmp_path):
    asked, old, french = articles.article(1), articles.article(2), articles.article(3, lang="fr")
    bare = articles.article(4, description=None, section="Uncategorized")
    held = articles.article(7)
    copied = f"{asked['text']} copied"
    mirrors = (corpus.row("http://b.test/mirror/x.html", copied, day=day) for day in range(2, 28))
    mirror = next(row for row in mirrors if row["doc_id"] > asked["doc_id"])  # of equal questions the smaller id's stays
    mirror |= {key: asked[key] for key in ("title", "description")} | {"section": None, "text": "Short."}
    pages = [asked, old, french, bare, held, mirror]
    rows, report, files, inputs = make(tmp_path, pages, held_out=[held], superseded=[old["doc_id"]])
    found = {row["doc_id"]: row for row in pl.read_parquet(files / "ledger.parquet").iter_rows(named=True)}
    (split,) = set(rows.filter(pl.col("doc_id") == asked["doc_id"])["split"])
    assert {doc: row["rule"] for doc, row in found.items() if doc != asked["doc_id"]} == {
        old["doc_id"]: "superseded",
        french["doc_id"]: "language_not_asked",
        bare["doc_id"]: "no_question",
        held["doc_id"]: "held_out",
        mirror["doc_id"]: "repeated_question",
    }
    assert found[mirror["doc_id"]]["related_doc"] == asked["doc_id"]
    assert found[old["doc_id"]]["related_doc"] == "newer"
    assert found[asked["doc_id"]]["kept"] and found[asked["doc_id"]]["detail"].endswith(f"summarise, topic; {split}")
    assert counts_add_up(report.counts) and report.counts["documents_in"] == len(pages)
    own = Artefact("instruction_dataset", "all", "0", files)
    assert {row["crawl"] for row in found.values()} == {"c1"}
    made = set(rows.filter(pl.col("task") != "translate")["doc_id"])
    assert made == {doc for doc, row in found.items() if row["kept"]}
    write_ledger(inputs.one("deduped_shards").files, ledger_frame(ledger_row("c1", "d", p["doc_id"], "u", KEEP) for p in pages))
    assert account.follows_gate(spec_of("instruction_dataset"), own, inputs).passed


def test_pages_over_the_number_asked_are_named(tmp_path):
    pages = [articles.article(number) for number in range(30)]
    _, report, _, _ = make(tmp_path, pages, articles.CONFIG.model_copy(update={"max_articles": 10}))
    assert report.counts["dropped:over_max_articles"] == 20 and report.counts["kept"] == 10


def test_interface_strings_keep_a_doc_id_and_leave_out_what_is_evaluated(tmp_path, monkeypatch):
    monkeypatch.setattr(embedded, "interface_strings", lambda: STRINGS)
    rows, _, _, _ = make(tmp_path, [articles.article(1)])
    found = rows.filter(pl.col("task") == "translate").sort("answer")
    assert found["answer"].to_list() == ["Ouvrir un fichier", "Tout enregistrer"]
    assert found["prompt"].to_list() == [prompts.translate_prompt("Open a file"), prompts.translate_prompt("Save all")]
    assert found["url"].str.starts_with("pypi://jupyterlab-language-pack-fr-fr/strings/").all()
    assert found["doc_id"].str.contains("^[0-9a-f]{32}$").all()


def test_two_runs_write_the_same_bytes(tmp_path, world):
    again = WorkDir.at(tmp_path)
    progress = Recording()
    instructions.run(world.inputs, again, articles.CONFIG, progress)
    for name in instructions.SPLITS:
        first = world.folders["instruction_dataset"][0] / f"{name}.parquet"
        assert (again.files / f"{name}.parquet").read_bytes() == first.read_bytes()
    assert progress.updates[-1][:3] == (3, 3, "splits")


def test_max_articles_takes_the_first_of_the_hash_order(tmp_path):
    pages = [articles.article(number) for number in range(30)]
    rows, _, _, _ = make(tmp_path, pages, articles.CONFIG.model_copy(update={"max_articles": 10}))
    assert rows.filter(pl.col("task") != "translate")["article"].n_unique() == 10


def test_no_usable_page_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(embedded, "interface_strings", lambda: ())
    with pytest.raises(InputError, match="no page in en has"):
        make(tmp_path, [articles.article(1, lang="fr")])
    with pytest.raises(InputError, match="materialise deduped_shards"):
        instructions.read_pages(Inputs(), ["en"])


# gates


@pytest.fixture
def copy(world, tmp_path):
    """A copy of the dataset that a test may damage, and a function that judges it."""
    folder = tmp_path / "copy"
    shutil.copytree(world.folders["instruction_dataset"][0], folder)

    def judge(config=articles.CONFIG):
        found = instruction_gates.gates(world.inputs, folder, config, Report())
        assert sorted(gate.name for gate in found) == sorted({*spec_of("instruction_dataset").gate_names} - {"counts_add_up"})
        assert all_block(found)
        return {gate.name for gate in found if not gate.passed}

    return folder, judge


def edit(folder, name, change):
    path = folder / f"{name}.parquet"
    change(pl.read_parquet(path)).write_parquet(path)


def test_what_the_stage_wrote_passes(copy):
    _, judge = copy
    assert judge() == set()


def test_an_article_in_two_splits_is_refused(copy):
    folder, judge = copy
    stray = pl.read_parquet(folder / "train.parquet").filter(pl.col("task") == "topic").head(1)
    edit(folder, "train", lambda frame: frame.filter(pl.col("id") != stray["id"][0]))
    edit(folder, "test", lambda frame: pl.concat([frame, stray]))
    assert judge() == {"instruction_articles_apart"}


def test_a_repeated_question_in_two_splits_is_refused(copy):
    folder, judge = copy
    asked = pl.read_parquet(folder / "train.parquet").filter(pl.col("task") == "describe")["prompt"][0]
    edit(
        folder,
        "test",
        lambda frame: frame.with_columns(
            prompt=pl.when(pl.col("task") == "describe").then(pl.lit(asked.upper())).otherwise(pl.col("prompt"))
        ),
    )
    assert judge() - {"gx_no_copies"} == {"instruction_articles_apart"}


def test_wrong_shares_are_refused(copy):
    folder, judge = copy
    edit(folder, "test", lambda frame: frame.head(0))
    edit(folder, "validation", lambda frame: frame.head(0))
    assert "instruction_split" in judge()


def test_an_evaluated_text_in_training_is_refused(copy, world):
    folder, judge = copy
    held = str(articles.article(100_001)["text"])
    edit(
        folder,
        "train",
        lambda frame: frame.with_columns(
            prompt=pl.when(pl.int_range(pl.len()) == 0).then(pl.lit(prompts.topic_prompt(held))).otherwise(pl.col("prompt")),
            task=pl.when(pl.int_range(pl.len()) == 0).then(pl.lit("topic")).otherwise(pl.col("task")),
        ),
    )
    assert judge() == {"instruction_no_eval_overlap"}


def test_an_evaluated_string_in_training_is_refused(copy):
    folder, judge = copy
    row = {"id": "x", "doc_id": "0" * 32, "url": "pypi://p/x", "article": "string x", "task": "translate"}
    english, french = articles.HELD_OUT_STRINGS[0]
    row |= {"prompt": prompts.translate_prompt(english.lower()), "answer": french}
    edit(folder, "train", lambda frame: pl.concat([frame, pl.DataFrame([row], schema=frame.schema)]))
    assert judge() == {"instruction_no_eval_overlap"}


def test_a_topic_without_rows_is_refused(copy):
    folder, judge = copy
    edit(folder, "train", lambda frame: frame.filter(pl.col("answer") != "Arts"))
    assert judge() == {"instruction_coverage"}


@pytest.mark.parametrize(
    ("column", "value", "check"),
    [
        ("doc_id", None, "gx_doc_id_not_null"),
        ("doc_id", "not hex", "gx_doc_id_format"),
        ("answer", "", "gx_answer_not_empty"),
        ("task", "riddle", "gx_task_allowed"),
        ("id", "same", "gx_unique_id"),
    ],
)
def test_broken_rows_are_refused(copy, column, value, check):
    folder, judge = copy
    edit(
        folder,
        "validation",
        lambda frame: frame.with_columns(
            pl.when(pl.int_range(pl.len()) < 2).then(pl.lit(value, dtype=pl.String)).otherwise(pl.col(column)).alias(column)
        ),
    )
    assert check in judge()
