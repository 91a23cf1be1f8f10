"""The real thing: llama.cpp, the gateway and HTTP, over a random model of two layers."""

import shutil
from types import SimpleNamespace

import pytest

from llm_assets.core.artefact import Inputs, WorkDir
from llm_assets.core.jsonio import read_json, write_json
from llm_assets.core.progress import Recording
from llm_assets.core.recipe.release import DeploymentConfig
from llm_assets.core.report import Report
from llm_assets.lm import chat
from llm_assets.lm import model as lm
from llm_assets.lm import tokenizer as tokenizers
from llm_assets.lm.generation import generate
from llm_assets.stages.serving import SPECS, deployment

CONFIG = DeploymentConfig(file="model-f16.gguf", questions=["Hello there", "Où est-il ? 🙂"], default_max_tokens=6)


@pytest.fixture(scope="module")
def deployed(tmp_path_factory, exported, tokenizer_folder):
    inputs = Inputs.of({"quantized_export": [exported], "tokenizer": [tokenizer_folder]})
    work = WorkDir.at(tmp_path_factory.mktemp("deployment"))
    progress = Recording()
    made = deployment.run(inputs, work, CONFIG, progress)
    return SimpleNamespace(inputs=inputs, files=work.files, report=made, progress=progress)


def failed(deployed, files, inputs=None):
    return [gate.name for gate in deployment.gates(inputs or deployed.inputs, files, CONFIG, Report()) if not gate.passed]


def test_a_sound_deployment_passes_and_names_its_gates(deployed):
    gates = deployment.gates(deployed.inputs, deployed.files, CONFIG, Report())
    assert [gate.message for gate in gates if not gate.passed] == []
    assert tuple(gate.name for gate in gates) == SPECS[0].gate_names
    assert deployed.progress.updates[-1][:2] == (3, 3)


def test_what_is_served_and_what_it_said_is_on_record(deployed):
    data = read_json(deployed.files / deployment.DEPLOYMENT_FILE)
    assert data["file"] == "model-f16.gguf" and len(data["sha256"]) == 64 and data["context_tokens"] == 512
    assert [row["question"] for row in data["answers"]] == CONFIG.questions
    assert all(row["completion_tokens"] for row in data["answers"])
    assert {row["status"] for row in data["without_key"]} == {401}
    assert deployed.report.metrics["latency_max_s"] > 0
    assert "latency" not in (deployed.files / deployment.DEPLOYMENT_FILE).read_text()


def test_the_served_model_says_what_the_trained_one_says(deployed, trained, tokenizer_folder):
    """Case B30: the same prompts give the same ids and the same greedy answer in transformers and behind the gateway."""
    tokenizer = tokenizers.load(tokenizer_folder)
    prompts = [
        chat.encode(tokenizer, [{"role": "user", "content": question}], add_generation_prompt=True).ids
        for question in CONFIG.questions
    ]
    data = read_json(deployed.files / deployment.DEPLOYMENT_FILE)
    assert [row["prompt_ids"] for row in data["answers"]] == prompts
    answers = generate(lm.load(trained), prompts, max_new_tokens=6, eos_ids=[0, 3])
    said = [tokenizer.decode([i for i in ids if i not in (0, 3)]) for ids in answers]
    assert [row["answer"] for row in data["answers"]] == said


def test_two_deployments_of_one_export_are_equal(deployed, tmp_path):
    work = WorkDir.at(tmp_path)
    deployment.run(deployed.inputs, work, CONFIG, Recording())
    name = deployment.DEPLOYMENT_FILE
    assert (work.files / name).read_bytes() == (deployed.files / name).read_bytes()


@pytest.mark.parametrize(
    ("change", "gate"),
    [
        (lambda data: data["answers"].pop(), "answered"),
        (lambda data: data["answers"][0].update(completion_tokens=0), "answered"),
        (lambda data: data["without_key"][3].update(status=200), "key_required"),
        (lambda data: data["without_key"].clear(), "key_required"),
        (lambda data: data["answers"][0]["prompt_ids"].append(5), "ids_identical"),
        (lambda data: data["forged"].update(control_ids_sent=5), "ids_identical"),
        (lambda data: data["answers"][1].update(direct_answer="other"), "answers_identical"),
        (lambda data: data.update(sha256="0" * 64), "file_untouched"),
    ],
)
def test_a_doctored_deployment_is_refused(deployed, tmp_path, change, gate):
    data = read_json(deployed.files / deployment.DEPLOYMENT_FILE)
    change(data)
    write_json(tmp_path / deployment.DEPLOYMENT_FILE, data)
    assert failed(deployed, tmp_path) == [gate]


def test_a_file_changed_after_the_answers_is_refused(deployed, exported, tokenizer_folder, tmp_path):
    changed = tmp_path / "export"
    shutil.copytree(exported, changed)
    with open(changed / CONFIG.file, "ab") as handle:
        handle.write(b"\x00")
    inputs = Inputs.of({"quantized_export": [changed], "tokenizer": [tokenizer_folder]})
    assert failed(deployed, deployed.files, inputs) == ["file_untouched"]
