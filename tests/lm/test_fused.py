import pytest
import torch
from torch import nn

from llm_assets.core.recipe.pretraining import ModelShape
from llm_assets.lm import fused
from llm_assets.lm import model as models

IDS, ROWS, LENGTH = 96, 3, 24


def model(**over):
    values = {"hidden_size": 64, "n_layers": 2, "n_heads": 4, "n_kv_heads": 2, "head_dim": 32, "ffn_size": 96}
    built = models.build(ModelShape(**(values | over)), IDS, seed=0, eos_id=0, pad_id=1)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in built.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.1)
    return built


@pytest.fixture
def batch():
    ids = torch.randint(2, IDS, (ROWS, LENGTH + 1), generator=torch.Generator().manual_seed(2))
    labels = ids[:, 1:].clone()
    labels[1, :7] = fused.IGNORED
    return ids[:, :-1].contiguous(), labels


def gradients(built, loss):
    built.zero_grad()
    value = loss()
    value.backward()
    return float(value.detach()), {name: parameter.grad.clone() for name, parameter in built.named_parameters()}


def stock(built, ids, labels, mask=None):
    logits = built(input_ids=ids, attention_mask=mask, use_cache=False).logits
    return nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="sum") * 0.01


def apart(ids, cut):
    """Two segments a row, the second from ``cut`` on."""
    segment = (torch.arange(ids.shape[1]) >= cut).expand(ids.shape)
    allowed = (segment[:, None, :] == segment[:, :, None]).tril()
    return torch.zeros(allowed.shape).masked_fill_(~allowed, float("-inf"))[:, None]


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("kv_heads", [4, 2, 1])
def test_loss_and_gradients_are_those_of_transformers_modules(batch, tied, kv_heads):
    ids, labels = batch
    built = model(tie_embeddings=tied, n_kv_heads=kv_heads)
    wanted, wanted_grads = gradients(built, lambda: stock(built, ids, labels))
    found, grads = gradients(built, lambda: fused.loss(built, ids, labels, 0.01, torch.float32))
    assert found == pytest.approx(wanted, rel=1e-6)
    for name, grad in wanted_grads.items():
        assert (grads[name] - grad).norm() <= 2e-5 * grad.norm(), name


def test_masks_are_those_of_transformers_modules(batch):
    ids, labels = batch
    built, mask = model(), apart(ids, 9)
    wanted, wanted_grads = gradients(built, lambda: stock(built, ids, labels, mask))
    found, grads = gradients(built, lambda: fused.loss(built, ids, labels, 0.01, torch.float32, mask=mask))
    assert found == pytest.approx(wanted, rel=1e-6)
    assert all((grads[name] - grad).norm() <= 2e-5 * grad.norm() for name, grad in wanted_grads.items())


def test_bfloat16_is_close_to_float32(batch):
    ids, labels = batch
    built = model()
    exact, exact_grads = gradients(built, lambda: fused.loss(built, ids, labels, 0.01, torch.float32))
    found, grads = gradients(built, lambda: fused.loss(built, ids, labels, 0.01, torch.bfloat16))
    assert found == pytest.approx(exact, rel=5e-3)
    assert all((grads[name] - grad).norm() <= 0.05 * grad.norm() for name, grad in exact_grads.items())


def test_a_head_of_many_chunks_is_one_head(batch, monkeypatch):
    ids, labels = batch
    built = model()
    wanted = gradients(built, lambda: fused.loss(built, ids, labels, 0.01, torch.float32))
    monkeypatch.setattr(fused, "_HEAD_ROWS", 10)
    found = gradients(built, lambda: fused.loss(built, ids, labels, 0.01, torch.float32))
    assert found[0] == pytest.approx(wanted[0], rel=1e-6)
    assert all(torch.allclose(found[1][name], grad, atol=1e-6) for name, grad in wanted[1].items())


def test_dropout_is_seeded_and_its_gradient_is_that_of_its_loss(batch):
    """The derivative along a direction, by finite differences under one seed."""
    ids, labels = batch
    built = model()

    def loss():
        torch.manual_seed(3)
        return fused.loss(built, ids, labels, 0.01, torch.float32, dropout=0.3)

    value, grads = gradients(built, loss)
    assert value == float(loss().detach())
    assert value != pytest.approx(float(fused.loss(built, ids, labels, 0.01, torch.float32).detach()), rel=1e-4)
    weight = built.model.layers[0].mlp.down_proj.weight
    direction = torch.randn(weight.shape, generator=torch.Generator().manual_seed(4))
    slope = float((grads["model.layers.0.mlp.down_proj.weight"] * direction).sum())
    with torch.no_grad():
        weight.add_(direction, alpha=1e-3)
        above = float(loss())
        weight.add_(direction, alpha=-2e-3)
        below = float(loss())
    assert (above - below) / 2e-3 == pytest.approx(slope, rel=0.02)


def test_only_what_it_computes_is_supported():
    cpu = torch.device("cpu")
    assert fused.supports(model(), cpu)
    assert not fused.supports(model(), torch.device("cuda"))
    assert not fused.supports(model(architecture="qwen3"), cpu)
    odd = model()
    odd.config.hidden_act = "gelu"
    assert not fused.supports(odd, cpu)
