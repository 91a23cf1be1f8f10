import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from llm_assets.core.errors import InputError
from llm_assets.core.recipe.pretraining import ModelShape
from llm_assets.lm import model as models

TINY = {"hidden_size": 32, "n_layers": 2, "n_heads": 2, "n_kv_heads": 1, "head_dim": 32, "ffn_size": 64, "context_length": 64}


def build(**over):
    return models.build(ModelShape(**(TINY | over)), 64, seed=1, eos_id=0, pad_id=1)


@pytest.mark.parametrize("architecture", ["llama", "qwen3"])
def test_weights_depend_on_the_seed_alone(architecture):
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    one, two = build(architecture=architecture), build(architecture=architecture)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))
    other = models.build(ModelShape(**TINY, architecture=architecture), 64, seed=2, eos_id=0, pad_id=1)
    assert not torch.equal(one.get_input_embeddings().weight, other.get_input_embeddings().weight)


def test_each_layer_begins_as_the_identity():
    model = build()
    ids = torch.tensor([[3, 9, 27]])
    with torch.no_grad():
        states = model(ids, output_hidden_states=True).hidden_states
    assert torch.equal(states[0], states[1])


@pytest.mark.parametrize("tied", [True, False])
def test_what_is_saved_is_what_is_loaded(tmp_path, tied):
    """Case B38: the tie is carried by the embedding alone, and logits are equal after the round trip."""
    model = build(tie_embeddings=tied).eval()
    model.save_pretrained(tmp_path)
    with safe_open(tmp_path / "model.safetensors", framework="pt") as handle:
        assert ("lm_head.weight" in handle.keys()) is not tied  # noqa: SIM118
        assert "model.embed_tokens.weight" in handle.keys()  # noqa: SIM118
    again = models.load(tmp_path)
    assert not again.training
    ids = torch.arange(10)[None]
    assert torch.equal(model(ids).logits, again(ids).logits)
    assert models.count_parameters(again) == models.count_parameters(model)
    assert models.vocabulary_rows(tmp_path) == 64


@pytest.mark.parametrize("fault", ["missing", "unexpected", "mismatched"])
def test_a_weight_that_would_be_made_up_is_an_error(tmp_path, fault):
    """Case B31: transformers only warns, and goes on with random numbers."""
    build().save_pretrained(tmp_path)
    path = tmp_path / "model.safetensors"
    with safe_open(path, framework="pt") as handle:
        tensors = {key: handle.get_tensor(key) for key in handle.keys()}  # noqa: SIM118
    if fault == "missing":
        del tensors["model.layers.1.mlp.up_proj.weight"]
    elif fault == "unexpected":
        tensors["model.layers.9.extra.weight"] = torch.zeros(2)
    else:
        tensors["model.norm.weight"] = torch.ones(7)
    save_file(tensors, path, metadata={"format": "pt"})
    with pytest.raises((InputError, RuntimeError), match=r"up_proj|extra|norm\.weight|mismatch"):
        models.load(tmp_path)
