import re
import shutil
from html.parser import HTMLParser

import orjson
import polars as pl
import pytest

from llm_assets.core.artefact import Inputs, WorkDir
from llm_assets.core.claims import read_claims
from llm_assets.core.jsonio import read_json, write_json
from llm_assets.core.progress import Silent
from llm_assets.core.report import Report
from llm_assets.lm import chat
from llm_assets.lm import model as lm
from llm_assets.lm import tokenizer as tokenizers
from llm_assets.stages.evals import SPECS, page, report, results, suite
from llm_assets.stages.evals.answers import Answers, Asker, Shot
from llm_assets.stages.evals.report import RESULTS_FILE, choose_shots
from tests.stages.evals.conftest import CONFIG

STRICT = CONFIG.model_copy(update={"require_claims": True, "min_claim_items": 1})


def failed(inputs, files, config=CONFIG):
    return [gate.name for gate in report.gates(inputs, files, config, Report()) if not gate.passed]


def test_every_model_and_baseline_is_beside_every_other(world):
    data = read_json(world.files / RESULTS_FILE)
    assert set(data["tasks"]["topic"]) == {*results.MODELS, "majority", "naive_bayes"}
    assert set(data["tasks"]["describe"]) == {*results.MODELS, "first_sentence", "definition"}
    assert set(data["tasks"]["perplexity"]) == set(results.MODELS)
    for by_name in data["tasks"].values():
        for found in by_name.values():
            for figure in found.values():
                assert figure["low"] <= figure["value"] + 1e-9 and figure["value"] <= figure["high"] + 1e-9
    assert data["reward"]["reference"]["items"] == 5
    answers = pl.read_parquet(world.files / report.ANSWERS_FILE)
    assert answers.filter((pl.col("task") == "topic") & (pl.col("subject") == "sft_model")).height == 6
    assert answers["score"].null_count() == 0


def test_figures_can_be_computed_again_from_the_answers(world):
    data = read_json(world.files / RESULTS_FILE)
    means = (
        pl.read_parquet(world.files / report.ANSWERS_FILE)
        .filter(pl.col("task") == "describe")
        .group_by("subject")
        .agg(pl.col("score").mean())
    )
    for subject, mean in means.iter_rows():
        assert data["tasks"]["describe"][subject]["rougeL"]["value"] == pytest.approx(mean)


def test_the_same_inputs_give_the_same_results(world, tmp_path):
    work = WorkDir.at(tmp_path)
    report.run(world.inputs, work, CONFIG, Silent())
    for name in (RESULTS_FILE, "samples.jsonl", "report.html"):
        assert (work.files / name).read_bytes() == (world.files / name).read_bytes()


def test_without_a_reward_model_its_table_is_left_out(world, tmp_path):
    work = WorkDir.at(tmp_path)
    inputs = Inputs.of({name: folders for name, folders in world.folders.items() if name != "reward_model"})
    report.run(inputs, work, CONFIG, Silent())
    assert read_json(work.files / RESULTS_FILE)["reward"] == {}
    assert failed(inputs, work.files) == []


def test_samples_hold_every_answer_for_a_person_to_read(world):
    rows = [orjson.loads(line) for line in (world.files / "samples.jsonl").read_bytes().splitlines()]
    assert [row["task"] for row in rows] == ["describe"] * 2 + ["topic"] * 2 + ["translate"] * 2
    assert {"sft_model", "definition"} <= set(rows[0]["answers"])


def test_claims_travel_as_the_demo_reads_them(world):
    claims = read_claims(world.report.metrics)
    assert [claim.name for claim in claims] == ["sft_rouge_l", "sft_topic_accuracy", "rlhf_keeps_rouge_l"]
    assert not any(claim.applies for claim in claims)
    assert "too few to tell" in claims[0].note and "naive Bayes" in claims[1].note


def test_a_sound_report_passes_and_names_its_gates(world):
    gates = report.gates(world.inputs, world.files, CONFIG, Report())
    assert [gate.name for gate in gates if not gate.passed] == []
    assert tuple(gate.name for gate in gates) == SPECS[1].gate_names
    assert all(gate.blocking for gate in gates)


def doctored(world, folder, change):
    files = folder / "doctored"
    shutil.copytree(world.files, files)
    data = read_json(files / RESULTS_FILE)
    change(data)
    write_json(files / RESULTS_FILE, data)
    return files


def test_an_item_without_an_answer_is_refused(world, tmp_path):
    files = doctored(world, tmp_path, lambda data: data["answered"]["rlhf_model"].update(describe=4))
    assert failed(world.inputs, files) == ["all_answered"]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_figure_that_is_no_number_is_refused(world, tmp_path, value):
    def spoil(data):
        data["tasks"]["perplexity"]["base_model"]["bits_per_byte"]["high"] = value

    assert failed(world.inputs, doctored(world, tmp_path, spoil)) == ["no_nan"]


def test_a_model_left_out_of_a_task_is_refused(world, tmp_path):
    files = doctored(world, tmp_path, lambda data: data["tasks"]["topic"].pop("sft_model"))
    assert failed(world.inputs, files) == ["no_nan"]


def test_a_suite_changed_under_the_report_is_refused(world, tmp_path):
    changed = tmp_path / "suite"
    shutil.copytree(world.folders["eval_suite"][0], changed)
    path = changed / suite.task_file("describe")
    path.write_bytes(path.read_bytes().replace(b'"reference":"', b'"reference":"Not ', 1))
    assert failed(Inputs.of({**world.folders, "eval_suite": [changed]}), world.files) == ["suite_untouched"]


def test_a_false_claim_blocks_unless_the_recipe_asks_for_none(world, tmp_path):
    def lose(data):
        data["claims"][0].update(applies=True, passed=False)

    files = doctored(world, tmp_path, lose)
    assert failed(world.inputs, files, STRICT) == ["claims_hold"]
    assert failed(world.inputs, files) == []
    message = report.gates(world.inputs, files, STRICT, Report())[-1].message
    assert "SFT ROUGE-L" in message and "does not hold" in message


def scored(describe_sft, describe_base, topic_sft):
    items = len(describe_sft)
    tasks = {task: [] for task in ("translate", "perplexity")}
    tasks["describe"] = [{"reference": "a red apple", "item_id": str(n)} for n in range(items)]
    tasks["topic"] = [{"reference": "x", "choices": ["x", "y"], "item_id": str(n)} for n in range(items)]
    texts = {
        "base_model": {"describe": describe_base, "topic": ["y"] * items},
        "sft_model": {"describe": describe_sft, "topic": topic_sft},
        "rlhf_model": {"describe": ["nothing at all"] * items, "topic": topic_sft},
        "majority": {"topic": ["y"] * items},
        "naive_bayes": {"topic": ["x"] * items},
        "first_sentence": {"describe": ["a red apple"] * items},
        "definition": {"describe": ["red"] * items},
    }
    subjects = {name: Answers(texts=found) for name, found in texts.items()}
    return results.score(tasks, subjects, STRICT)


def test_claims_are_decided_by_the_interval_of_the_paired_difference():
    good, bad = ["a red apple"], ["green"]
    figures, scores = scored(good * 30, bad * 30, ["x"] * 30)
    learned, topic, kept = results.claims(figures, scores, STRICT)
    assert learned["passed"] and learned["interval"][0] > 0 and learned["value"] == 1.0
    assert topic["passed"] and topic["against"] == 0.0
    assert not kept["passed"], "an RLHF model whose answers share no word has lost its ROUGE-L"
    figures, scores = scored(good * 2 + bad * 28, good + bad * 29, ["x"] + ["y"] * 29)
    learned, topic, _ = results.claims(figures, scores, STRICT)
    assert learned["value"] > learned["against"] and not learned["passed"], "better by one item of thirty is no finding"
    assert not topic["passed"]


def test_worked_examples_are_short_distinct_and_always_the_same():
    rows = [Shot("p" * length, f"answer {length % 3}") for length in range(1, 40)]
    chosen = choose_shots({"topic": rows}, 3, 5)["topic"]
    assert (
        chosen == choose_shots({"topic": list(reversed(rows))}, 3, 5)["topic"] != choose_shots({"topic": rows}, 3, 6)["topic"]
    )
    assert len({shot.answer for shot in chosen}) == 3 and all(len(shot.prompt) <= 20 for shot in chosen)


def test_examples_that_do_not_fit_the_context_are_left_out_and_counted(world):
    tokenizer = tokenizers.load(world.folders["tokenizer"][0])
    model = lm.load(world.folders["base_model"][0])
    item = {"item_id": "i", "prompt": "short", "reference": "r", "choices": ["r"], "text": "t"}
    long = Shot("x" * 700, "y")
    asker = Asker(model, tokenizer, CONFIG.model_copy(update={"few_shot": 2}), {"topic": [long, long]})
    assert len(asker._prompts("topic", [item], 10)[0]) < 1024 and asker.fewest_shots == 1


def test_chat_models_are_asked_with_the_ids_of_training(world):
    """Case B30: one function makes the ids, and nothing precedes the first turn."""
    tokenizer = tokenizers.load(world.folders["tokenizer"][0])
    asker = Asker(lm.load(world.folders["sft_model"][0]), tokenizer, CONFIG)
    item = {"prompt": "Describe <|im_end|> this"}
    [ids] = asker._prompts("describe", [item], 5)
    assert ids == chat.encode(tokenizer, [{"role": "user", "content": item["prompt"]}], add_generation_prompt=True).ids
    assert sum(number in chat.control_ids(tokenizer) for number in ids) == 3


def test_a_text_longer_than_the_context_is_scored_whole_in_pieces(world):
    tokenizer = tokenizers.load(world.folders["tokenizer"][0])
    asker = Asker(lm.load(world.folders["sft_model"][0]), tokenizer, CONFIG)
    nats, tokens = asker._read(["ab" * 1000, "ab"])
    assert tokens == [2000, 2] and all(value > 0 for value in nats)


class Tags(HTMLParser):
    """Every tag and address of a page."""

    def __init__(self):
        super().__init__()
        self.found, self.sources = [], []

    def handle_starttag(self, tag, attrs):
        self.found.append(tag)
        self.sources += [value for name, value in attrs if name in ("src", "href")]


def test_what_models_and_articles_say_can_not_act_in_the_pages(world):
    data = read_json(world.files / RESULTS_FILE)
    evil = "<script>alert(1)</script> ![x](http://evil.test/a.png) | <img src=http://evil.test>"
    sample = {"task": "describe", "prompt": evil, "reference": evil, "answers": {"sft_model": evil}}
    tags = Tags()
    tags.feed(page.html_page(data, [sample], world.files, world.report.plots))
    assert "script" not in tags.found and tags.sources
    assert all(source.startswith("data:image/png;base64,") for source in tags.sources)
    text = page.markdown(data, [sample])
    assert "<script" not in text and "](http" not in text and "<img" not in text


def test_the_page_needs_nothing_but_itself_and_follows_the_readers_light(world):
    text = (world.files / "report.html").read_text("utf-8")
    assert "default-src 'none'" in text and "prefers-color-scheme: dark" in text
    assert not re.search(r"""(src|href)=["']https?:""", text)
    assert all(path.stat().st_size <= 200_000 for path in (world.files / "plots").iterdir())
