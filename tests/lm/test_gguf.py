import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from llm_assets.core.errors import InputError
from llm_assets.core.recipe.pretraining import ModelShape
from llm_assets.lm import gguf
from llm_assets.lm import model as models
from llm_assets.lm import tokenizer as tokenizers
from llm_assets.lm.llama_cpp import LlamaCpp
from tests.support import tiny

IDS = 288  # what tiny's tokenizer has
SHAPE = {"hidden_size": 64, "n_layers": 2, "n_heads": 2, "n_kv_heads": 1, "head_dim": 32, "ffn_size": 64, "context_length": 64}


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    return tiny.byte_tokenizer(tmp_path_factory.mktemp("tokenizer"))


def saved(folder, tokenizer, *, rows=IDS, **over):
    built = models.build(ModelShape(**(SHAPE | over)), rows, seed=0, eos_id=0, pad_id=1)
    with torch.no_grad():
        for number, parameter in enumerate(built.parameters()):
            parameter.add_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(number)) * 0.2)
    models.save(built, tokenizers.load(tokenizer), folder)
    return folder


def written(folder, kind="f16"):
    target = folder / f"model-{kind}.gguf"
    gguf.write(folder, target, kind, name="tiny")
    return target


@pytest.mark.parametrize("architecture", ["llama", "qwen3"])
@pytest.mark.parametrize("tied", [True, False])
def test_llama_cpp_predicts_what_transformers_predicts(tmp_path, tokenizer, architecture, tied):
    """Cases B38 and B41: tied or not, the file loads, decodes 8 tokens, and its log-probabilities are those of the folder."""
    folder = saved(tmp_path, tokenizer, architecture=architecture, tie_embeddings=tied)
    path = written(folder)
    assert any(info.name == "output.weight" for info in gguf.tensors(path)) is not tied
    ids = [60, 70, 80, 90, 20, 30, 60, 61]
    model = models.load(folder)
    with torch.inference_mode():
        logs = torch.log_softmax(model(torch.tensor([[0, *ids]])).logits[0], -1)
    with LlamaCpp(path, context=64) as server:
        found = server.predictions([ids], [True] * IDS, 0)[0]
        assert len(server.greedy([0], 8)) == 8
    for place, step in enumerate(found):
        assert step.token == ids[place]
        assert step.log_probability == pytest.approx(float(logs[place, ids[place]]), abs=0.02)
        assert step.top_log_probability == pytest.approx(float(logs[place].max()), abs=0.02)


def test_a_file_leaves_nothing_to_defaults(tmp_path, tokenizer):
    """Case B39, and no BOS (case B30)."""
    path = written(saved(tmp_path, tokenizer))
    prefix = "tokenizer.ggml."
    keys = ("pre", "model", "add_bos_token", "eos_token_id", "eot_token_id", "padding_token_id", "bos_token_id")
    found = gguf.metadata(path, *(prefix + key for key in keys), "tokenizer.chat_template", "general.file_type")
    assert [found[prefix + key] for key in keys] == [tokenizers.LLAMA_CPP_PRE, "gpt2", False, 0, 0, 1, 0]
    assert "<|im_start|>" in found["tokenizer.chat_template"]
    assert found["general.file_type"] == 1


def test_the_chat_models_own_end_comes_first(tmp_path, tokenizer):
    folder = saved(tmp_path, tokenizer)
    generation = json.loads((folder / "generation_config.json").read_text())
    (folder / "generation_config.json").write_text(json.dumps(generation | {"eos_token_id": [3, 0]}))
    assert gguf.metadata(written(folder), "tokenizer.ggml.eos_token_id") == {"tokenizer.ggml.eos_token_id": 3}


@pytest.mark.parametrize(("kind", "bits"), [("f16", 20.4), ("q8_0", 8.5), ("q4_0", 5.9)])
def test_real_types_and_bits_are_told(tmp_path, tokenizer, kind, bits):
    """Case B42: each tensor's real type, and 8.5 bits for Q8_0 (a 16-bit scale for 32 weights)."""
    infos = gguf.tensors(written(saved(tmp_path, tokenizer), kind))
    types = {info.name: info.type for info in infos}
    assert types["blk.0.attn_norm.weight"] == "F32"
    assert types["blk.1.ffn_down.weight"] == kind.upper()
    assert types["token_embd.weight"] == {"f16": "F32"}.get(kind, "Q8_0")
    assert next(info.shape for info in infos if info.name == "blk.0.attn_k.weight") == (32, 64)
    assert gguf.bits_per_weight(infos) == pytest.approx(bits, abs=0.35)


def test_rows_without_a_token_get_an_unused_one(tmp_path, tokenizer):
    """Case B41: 288 ids, 320 rows; the file loads and speaks."""
    path = written(saved(tmp_path, tokenizer, rows=320))
    tokens = gguf.metadata(path, "tokenizer.ggml.tokens")["tokenizer.ggml.tokens"]
    assert len(tokens) == 320
    assert tokens[-1] == "[unused 319]"
    with LlamaCpp(path, context=64) as server:
        assert len(server.greedy([0], 8)) == 8


def test_tokens_without_a_row_are_refused(tmp_path, tokenizer):
    folder = saved(tmp_path, tokenizer, rows=256)
    with pytest.raises(InputError, match="288 ids, the embedding only 256 rows"):
        written(folder)
    assert not list(tmp_path.glob("*.gguf*"))


def test_rows_that_blocks_do_not_divide_are_refused(tmp_path, tokenizer):
    """Case B42: not stored as another type in silence."""
    folder = tiny.random_model(tmp_path, tokenizer, intermediate_size=80)
    with pytest.raises(InputError, match=r"ffn_down\.weight have 80 weights, which blocks of 32 \(Q8_0\)"):
        written(folder, "q8_0")
    assert not list(tmp_path.glob("*.gguf*"))
    assert written(folder, "f16").is_file()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model_type": "gpt2"}, "'gpt2' model"),
        ({"rope_parameters": {"rope_type": "yarn", "rope_theta": 1.0}}, "'yarn'"),
    ],
)
def test_a_model_that_it_does_not_know_is_refused(tmp_path, tokenizer, change, message):
    folder = saved(tmp_path, tokenizer)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | change))
    with pytest.raises(InputError, match=message):
        written(folder)


def test_a_tensor_without_a_place_is_refused(tmp_path, tokenizer):
    folder = saved(tmp_path, tokenizer)
    tensors = load_file(folder / "model.safetensors")
    save_file(tensors | {"v_head.weight": torch.zeros(1)}, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(InputError, match="v_head"):
        written(folder)


def test_no_end_of_generation_is_refused(tmp_path, tokenizer):
    folder = saved(tmp_path, tokenizer)
    for name in ("generation_config.json", "config.json"):
        values = json.loads((folder / name).read_text())
        (folder / name).write_text(json.dumps(values | {"eos_token_id": None}))
    with pytest.raises(InputError, match="eos_token_id"):
        written(folder)


def test_rows_are_paired_as_llama_cpp_rotates_them():
    rows = np.arange(8, dtype=np.float32)[:, None]
    assert gguf._pair_rows(rows, 1)[:, 0].tolist() == [0, 4, 1, 5, 2, 6, 3, 7]
    assert gguf._pair_rows(rows, 2)[:, 0].tolist() == [0, 2, 1, 3, 4, 6, 5, 7]
