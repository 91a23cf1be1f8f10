import json
import shutil

import pytest

from llm_assets.core.artefact import Inputs, WorkDir
from llm_assets.core.errors import InputError
from llm_assets.core.progress import Recording
from llm_assets.core.recipe import identity_values
from llm_assets.core.recipe.tokens import TokenizerConfig
from llm_assets.core.report import Report
from llm_assets.core.spec import load_entry
from llm_assets.lm import tokenizer as files_of
from llm_assets.stages import spec_of
from llm_assets.stages.tokens import gates, train
from tests.support import corpus


def inputs(world):
    return Inputs.of({"deduped_shards": [world.survivors]})


def test_the_same_text_gives_the_same_files(world, tmp_path):
    again = corpus.make_tokenizer(tmp_path, world.survivors)
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "special_tokens_map.json"):
        assert (again / name).read_bytes() == (world.tokenizer / name).read_bytes()


def test_report_and_gates(world, tmp_path):
    progress = Recording()
    out = WorkDir.at(tmp_path)
    report = load_entry(spec_of("tokenizer").entry)(inputs(world), out, corpus.TOKENIZER, progress)
    assert report.counts["vocab_size"] == 512 and report.counts["documents"] == 100
    assert report.metrics["crawls"] == ["c1"] and "c1" in progress.notes[0]
    found = gates.tokenizer(inputs(world), out.files, corpus.TOKENIZER, report)
    assert [gate.name for gate in found] == list(spec_of("tokenizer").gate_names)
    assert all(gate.passed and gate.blocking for gate in found)


def test_control_tokens_are_ids_0_to_3_and_pad_is_no_eos(world):
    """B27: a collator that masks pad must not mask an end."""
    engine = files_of.load_plain(world.tokenizer)
    assert [engine.token_to_id(token) for token in files_of.CONTROL_TOKENS] == [0, 1, 2, 3]
    config = json.loads((world.tokenizer / "tokenizer_config.json").read_text())
    assert config["eos_token"] != config["pad_token"] and config["llama_cpp_pre"] == "qwen2"


def test_digits_stand_alone_and_contractions_are_split(world):
    engine = files_of.load_plain(world.tokenizer)
    pieces = [piece for piece, _ in engine.pre_tokenizer.pre_tokenize_str("In 1984 it's 3,5")]
    assert pieces == ["In", "Ġ", "1", "9", "8", "4", "Ġit", "'s", "Ġ", "3", ",", "5"]


@pytest.mark.parametrize("cap", [3_000, 20_000])
def test_a_byte_limit_shrinks_every_share_alike(world, tmp_path, cap):
    config = TokenizerConfig(vocab_size=320, languages={"en": 1.0, "fr": 0.5}, max_train_bytes=cap)
    report = train.run(inputs(world), WorkDir.at(tmp_path), config, Recording())
    shares = report.metrics["share_by_language"]
    assert shares["fr"] == pytest.approx(shares["en"] / 2) and shares["en"] < 1
    assert 0.4 * cap < report.counts["bytes"] < 1.8 * cap


def test_too_little_text_for_the_vocabulary_says_how_many_ids_there_are(world, tmp_path):
    config = TokenizerConfig(vocab_size=32_000)
    with pytest.raises(InputError, match=r"give only \d+ ids; use \d+ or less"):
        train.run(inputs(world), WorkDir.at(tmp_path), config, Recording())


def test_languages_that_are_not_there_are_named(world, tmp_path):
    with pytest.raises(InputError, match=r"names de, but the crawls hold text in en, fr"):
        train.run(inputs(world), WorkDir.at(tmp_path), TokenizerConfig(languages={"de": 1.0}), Recording())
    with pytest.raises(InputError, match="no language at all"):
        train.run(Inputs({}), WorkDir.at(tmp_path), TokenizerConfig(), Recording())


def doctor(world, tmp_path, change):
    files = tmp_path / "doctored"
    shutil.copytree(world.tokenizer, files)
    path = files / "tokenizer.json"
    tree = json.loads(path.read_text())
    change(tree)
    path.write_text(json.dumps(tree))
    return {gate.name: gate for gate in gates.tokenizer(inputs(world), files, corpus.TOKENIZER, Report())}


def test_a_tokenizer_that_changes_text_is_refused(world, tmp_path):
    found = doctor(world, tmp_path, lambda tree: tree.update(normalizer={"type": "Lowercase"}))
    assert not found["text_round_trips"].passed and "change when" in found["text_round_trips"].message


def test_a_vocabulary_of_another_size_is_refused(world, tmp_path):
    def add(tree):
        tree["added_tokens"].append({**tree["added_tokens"][0], "id": 512, "content": "<|extra|>"})

    found = doctor(world, tmp_path, add)
    assert not found["vocabulary_exact"].passed and found["control_ids"].passed


def test_control_tokens_that_a_text_can_type_are_refused(world, tmp_path):
    def plain_token(tree):
        tree["added_tokens"][0]["special"] = False

    gate = doctor(world, tmp_path, plain_token)["control_ids"]
    assert not gate.passed and "typed control tokens become the ids [0]" in gate.message


def test_a_missing_control_token_is_refused(world, tmp_path):
    def drop(tree):
        tree["added_tokens"] = tree["added_tokens"][:3]
        tree["model"]["vocab"]["<|gone|>"] = tree["model"]["vocab"].pop("<|im_end|>")

    assert not doctor(world, tmp_path, drop)["control_ids"].passed


def test_the_engine_leaves_no_trace_in_the_files(world, tmp_path):
    """Who finds the merges is no part of the identity, so the files must not tell."""
    for engine in ("numba", "tokenizers"):
        config = corpus.TOKENIZER.model_copy(update={"engine": engine, "threads": 2})
        train.run(inputs(world), WorkDir.at(tmp_path / engine), config, Recording())
    assert files_of_folder(tmp_path / "numba/files") == files_of_folder(tmp_path / "tokenizers/files")
    assert identity_values(corpus.TOKENIZER) == identity_values(config)


def files_of_folder(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}
