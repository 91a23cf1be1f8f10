import shutil

import orjson
import pytest

from llm_assets.core import embedded
from llm_assets.core.artefact import Inputs, WorkDir
from llm_assets.core.errors import InputError
from llm_assets.core.jsonio import read_json, write_json
from llm_assets.core.progress import Silent
from llm_assets.core.recipe.evaluation import EvalSuiteConfig
from llm_assets.core.report import Report
from llm_assets.stages.evals import suite
from tests.stages.evals.conftest import SMALL


def make(folder, config=SMALL):
    work = WorkDir.at(folder)
    suite.run(Inputs(), work, config, Silent())
    return work.files


def failed(files, config=SMALL):
    return [gate.name for gate in suite.gates(Inputs(), files, config, Report()) if not gate.passed]


def test_the_same_recipe_gives_the_same_bytes_and_another_key_other_articles(tmp_path, small_suite):
    again = make(tmp_path / "again")
    other = make(tmp_path / "other", SMALL.model_copy(update={"key": "another"}))
    for task in suite.TASKS:
        assert (again / suite.task_file(task)).read_bytes() == (small_suite / suite.task_file(task)).read_bytes()
    titles = [{item["url"] for item in suite.read_items(files, "topic")} for files in (again, other)]
    assert not titles[0] & titles[1]


def test_a_smaller_suite_holds_out_a_part_of_a_larger_one(tmp_path, small_suite):
    larger = make(tmp_path, SMALL.model_copy(update={"topic_items": 12, "describe_items": 12}))
    for task in suite.TASKS:
        small, large = suite.read_items(small_suite, task), suite.read_items(larger, task)
        assert large[: len(small)] == small


def test_items_hold_what_the_other_stages_read(small_suite):
    for task in suite.TASKS:
        for item in suite.read_items(small_suite, task):
            assert set(item) == {"item_id", "text", "prompt", "reference", "choices", "url"}
            assert item["text"] and item["reference"] and item["item_id"].startswith(task)
    topic = suite.read_items(small_suite, "topic")[0]
    assert topic["reference"] in topic["choices"] and embedded.UNCATEGORIZED not in topic["choices"]
    assert all(item["prompt"] != item["text"] for item in suite.read_items(small_suite, "describe"))


@pytest.mark.skipif(not embedded.interface_strings(), reason="the language pack is not installed")
def test_no_held_out_string_is_another_string_but_for_case_or_punctuation():
    config = EvalSuiteConfig()
    held = {item["text"] for item in suite._translate_items(config)}
    assert len(held) == config.translate_items
    left = {suite._plain(english) for english, _ in embedded.interface_strings() if english not in held}
    assert not {suite._plain(text) for text in held} & left


def test_more_items_than_there_are_texts_is_an_error_that_says_what_to_lower(tmp_path):
    with pytest.raises(InputError, match=r"eval_suite.topic_items is 1000000, but .* only \d+ articles"):
        make(tmp_path, SMALL.model_copy(update={"topic_items": 1_000_000}))


def test_a_sound_suite_passes_every_gate(small_suite):
    gates = suite.gates(Inputs(), small_suite, SMALL, Report())
    assert [gate.name for gate in gates if not gate.passed] == []
    from llm_assets.stages.evals import SPECS

    assert tuple(gate.name for gate in gates) == SPECS[0].gate_names


def doctored(tmp_path, source, task, change):
    """A copy of the suite with one task's items changed and, so that only the change can be found, hashed anew."""
    files = tmp_path / "doctored"
    shutil.copytree(source, files)
    items = suite.read_items(files, task)
    change(items)
    (files / suite.task_file(task)).write_bytes(b"".join(orjson.dumps(item) + b"\n" for item in items))
    card = read_json(files / suite.SUITE_FILE)
    import hashlib

    from llm_assets.core.jsonio import digest

    for name, entry in card["tasks"].items():
        entry["sha256"] = hashlib.sha256((files / suite.task_file(name)).read_bytes()).hexdigest()
    card["digest"] = digest({name: entry["sha256"] for name, entry in card["tasks"].items()})
    write_json(files / suite.SUITE_FILE, card)
    return files


def test_a_choice_list_without_its_answer_is_refused(tmp_path, small_suite):
    files = doctored(tmp_path, small_suite, "topic", lambda items: items[0]["choices"].remove(items[0]["reference"]))
    assert failed(files) == ["suite_choices"]


def test_an_article_asked_twice_is_refused(tmp_path, small_suite):
    def twice(items):
        items[1] = {**items[0], "item_id": "describe-ffffff", "text": items[0]["text"].upper() + "!"}

    assert failed(doctored(tmp_path, small_suite, "describe", twice)) == ["suite_no_duplicates"]


def test_a_missing_item_and_an_empty_reference_are_refused(tmp_path, small_suite):
    assert failed(doctored(tmp_path / "a", small_suite, "perplexity", lambda items: items.pop())) == ["suite_sizes"]
    files = doctored(tmp_path / "b", small_suite, "describe", lambda items: items[0].update(reference=""))
    assert failed(files) == ["suite_table"]


def test_an_item_changed_after_hashing_is_refused(tmp_path, small_suite):
    files = tmp_path / "changed"
    shutil.copytree(small_suite, files)
    path = files / suite.task_file("topic")
    path.write_bytes(path.read_bytes().replace(b" the ", b" a ", 1))
    assert failed(files) == ["suite_hashes"]
