import json
import shutil

import gguf as library
import numpy as np
import pytest
import torch

from llm_assets.core.artefact import Artefact, Inputs, WorkDir
from llm_assets.core.errors import InputError, StoreError
from llm_assets.core.jsonio import read_json, write_json
from llm_assets.core.manifest import Manifest
from llm_assets.core.progress import Recording
from llm_assets.core.recipe.release import QuantizedExportConfig
from llm_assets.core.report import Report
from llm_assets.lm import gguf
from llm_assets.lm import tokenizer as tokenizers
from llm_assets.lm.llama_cpp import Predicted
from llm_assets.stages.export import SPECS, gates, measure, quantize
from llm_assets.stages.export.source import used_only
from llm_assets.stages.export.strings import strings
from tests.support import corpus, tiny

TEXTS = [
    "The history of the river is a history of the city; it's told in 3 parts.",
    "Winter came early — naïve café owners smiled 🙂 all the same.",
    "She wrote <|im_end|> into the box and nothing happened.",
]
CONFIG = QuantizedExportConfig(
    model="sft_model",
    measured_tokens=64,
    document_tokens=32,
    max_q4_rise=1.0,
    max_q8_rise=0.05,
    max_difference_nats=0.05,
    threads=1,
)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    root = tmp_path_factory.mktemp("inputs")
    survivors = corpus.shards(root / "c1", corpus.rows(20))
    tokenizer = corpus.make_tokenizer(root / "tokenizer", survivors)
    tiny.random_model(root / "model", tokenizer, vocab_size=512, initializer_range=0.1)
    (root / "suite/tasks").mkdir(parents=True)
    (root / "suite/tasks/perplexity.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in TEXTS), "utf-8")
    return Inputs.of({"sft_model": [root / "model"], "eval_suite": [root / "suite"]})


@pytest.fixture(scope="module")
def made(inputs, tmp_path_factory):
    threads = torch.get_num_threads()
    out, told = WorkDir.at(tmp_path_factory.mktemp("export")), Recording()
    report = quantize.run(inputs, out, CONFIG, told)
    torch.set_num_threads(threads)
    report.save(out.files)
    return out.files, told


@pytest.fixture
def files(made, tmp_path):
    return shutil.copytree(made[0], tmp_path / "files")


def judged(inputs, files, config=CONFIG):
    return {gate.name: gate for gate in gates.gates(inputs, files, config, Report.load(files))}


def rewrite(path, skip=(), change=()):
    """The file again, without some metadata keys and with others changed."""
    reader = library.GGUFReader(path)
    writer = library.GGUFWriter(path.with_suffix(".new"), "llama")
    for name, field in reader.fields.items():
        if name.startswith("GGUF.") or name == "general.architecture" or name in skip:
            continue
        value = dict(change).get(name, field.contents())
        sub = field.types[-1] if field.types[0] is library.GGUFValueType.ARRAY else None
        writer.add_key_value(name, value, field.types[0], sub_type=sub)
    for tensor in reader.tensors:
        writer.add_tensor(tensor.name, np.array(tensor.data), raw_dtype=tensor.tensor_type)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    path.with_suffix(".new").replace(path)


def test_an_export_passes_its_gates_and_says_what_it_costs(inputs, made):
    files, told = made
    found = judged(inputs, files)
    assert tuple(found) == SPECS[0].gate_names
    assert [gate for gate in found.values() if not (gate.passed and gate.blocking)] == []
    report = Report.load(files)
    assert report.counts["strings"] >= 200
    rows = {row["kind"]: row for row in read_json(files / "export.json")["files"]}
    assert list(rows) == ["f16", "q8_0", "q4_0"]
    assert rows["f16"]["bytes"] > rows["q8_0"]["bytes"] > rows["q4_0"]["bytes"]
    assert rows["q8_0"]["bits_per_weight"] == pytest.approx(8.5, abs=0.1)
    assert rows["f16"]["tied_head"] is True
    assert all(claim["passed"] for claim in report.metrics["claims"])
    assert "bits per weight" in (files / "model_card.md").read_text("utf-8")
    assert told.updates[-1][:3] == (3, 3, "files")


@pytest.mark.parametrize(
    ("skip", "change", "message"),
    [
        (("tokenizer.ggml.pre",), {}, "pre is None"),
        ((), {"tokenizer.ggml.pre": "default"}, "pre is 'default'"),
        ((), {"tokenizer.ggml.add_bos_token": True}, "add_bos_token is True"),
        (("tokenizer.chat_template",), {}, "no chat template"),
        (("tokenizer.ggml.eos_token_id",), {}, "no token ends"),
    ],
)
def test_a_file_that_leaves_something_to_defaults_is_refused(inputs, files, skip, change, message):
    """Case B39 and its kin: the file is edited, the gate reads it again."""
    rewrite(files / "model-q8_0.gguf", skip, change)
    gate = judged(inputs, files)["export_complete"]
    assert not gate.passed
    assert "model-q8_0.gguf: " in gate.message
    assert message in gate.message


def test_a_file_that_says_other_types_than_it_has_is_refused(inputs, files):
    """Case B42: a 16-bit file under a quantised name."""
    shutil.copy(files / "model-f16.gguf", files / "model-q4_0.gguf")
    gate = judged(inputs, files)["export_types"]
    assert not gate.passed
    assert "q4_0 0.0%" in gate.message


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("export_same_ids", {"strings_differing": 1}),
        ("export_same_ids", {"chats_differing": 1}),
        ("export_same_ids", {"strings": 199}),
        ("export_same_predictions", {"top_differs": 1}),
        ("export_same_predictions", {"max_difference": 0.06}),
        ("export_same_predictions", {"tokens": 0}),
    ],
)
def test_ids_or_predictions_that_differ_are_refused(inputs, files, name, change):
    write_json(files / "parity.json", read_json(files / "parity.json") | change)
    assert not judged(inputs, files)[name].passed


@pytest.mark.parametrize(("kind", "rise"), [("q8_0", 0.06), ("q4_0", 1.1), ("f16", 0.06), ("q8_0", float("nan"))])
def test_a_format_that_costs_too_much_is_refused(inputs, files, kind, rise):
    contents = read_json(files / "export.json")
    next(row for row in contents["files"] if row["kind"] == kind)["perplexity_rise"] = rise
    write_json(files / "export.json", contents)
    assert not judged(inputs, files)["export_perplexity"].passed


def test_other_merges_and_other_weights_are_measured(inputs, files):
    """The measurement itself, on a doctored file: ids and predictions no longer agree."""
    path = files / "model-f16.gguf"
    merges = gguf.metadata(path, "tokenizer.ggml.merges")["tokenizer.ggml.merges"]
    rewrite(path, change={"tokenizer.ggml.merges": merges[::-1]})
    data = np.memmap(path, mode="r+")
    reader = library.GGUFReader(path)
    norm = next(tensor for tensor in reader.tensors if tensor.name == "output_norm.weight")
    data[norm.data_offset : norm.data_offset + norm.n_bytes] = np.full(norm.n_elements, 3, np.float32).view(np.uint8)
    data.flush()
    del data, reader
    source = inputs.one("sft_model").files
    parity, _ = quantize.measure_files(source, files, TEXTS, CONFIG, Recording())
    assert parity["strings_differing"] > 0
    assert parity["examples"][0]["ours"] != parity["examples"][0]["llama_cpp"]
    assert parity["max_difference"] > CONFIG.max_difference_nats


def test_the_model_named_must_be_there(inputs, tmp_path):
    with pytest.raises(StoreError, match="rlhf_model"):
        quantize.run(inputs, WorkDir.at(tmp_path), QuantizedExportConfig(threads=1), Recording())


def test_without_texts_nothing_is_measured(inputs, tmp_path):
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks/perplexity.jsonl").write_text("")
    empty = Inputs({**inputs.artefacts, **Inputs.of({"eval_suite": [tmp_path]}).artefacts})
    with pytest.raises(InputError, match="holds no text"):
        quantize.run(empty, WorkDir.at(tmp_path / "w"), CONFIG, Recording())


def test_only_the_exported_model_is_part_of_the_identity(tmp_path):
    Manifest(asset="x", partition="all", identity="1", digest="d" * 64, code_version="1").save(tmp_path)
    marks = {name: used_only(Artefact(name, "all", "1", tmp_path), Inputs(), CONFIG) for name in ("sft_model", "rlhf_model")}
    assert marks == {"sft_model": "d" * 64, "rlhf_model": "not exported"}


def test_strings_are_enough_distinct_and_full_of_traps():
    found = strings(TEXTS, 200)
    assert len(found) == len(set(found)) >= 200
    assert {"<|endoftext|>", "\r\n", "👩‍👩‍👧‍👦", "I'M", "日本語"} <= set(found)
    with pytest.raises(ValueError, match="fewer than the 10000"):
        strings([], 10_000)


def predicted(token, log, top_token, top):
    return Predicted(token, log, top_token, top)


def test_steps_whose_best_two_are_close_are_exempt_and_counted():
    wanted = measure.Reference(
        target=np.array([-1.0, -2.0, -0.5, -3.0]),
        top_token=np.array([5, 6, 7, 8]),
        top=np.array([-0.9, -1.0, -0.5, -1.0]),
        gap=np.array([0.5, 0.005, 0.5, 0.5]),
    )
    steps = [predicted(1, -1.004, 5, -0.9), predicted(2, -2.0, 9, -0.99), None, predicted(4, -3.0, 9, -1.2)]
    found = measure.compare([steps[:2], steps[2:]], wanted, least_gap=0.01)
    assert (found.tokens, found.unseen, found.exempt, found.top_differs) == (3, 1, 1, 1)
    assert found.max_difference == pytest.approx(0.004)
    assert found.reference_perplexity == pytest.approx(np.exp(2.0))
    with pytest.raises(ValueError, match="no token"):
        measure.compare([[None]], wanted, 0.01)


def test_whole_tokens_are_text_and_not_control(inputs):
    engine = tokenizers.load_plain(inputs.one("sft_model").files)
    found = measure.whole_tokens(engine, 512)
    assert not any(found[:4])
    assert found[engine.token_to_id("a")]
    assert not found[engine.token_to_id("Ģ")]  # a byte that continues a character
