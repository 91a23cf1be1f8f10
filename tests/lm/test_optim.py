import copy

import pytest
import torch
from torch import nn

from llm_assets.core.recipe.pretraining import ModelShape
from llm_assets.lm import model as models
from llm_assets.lm import optim

SHAPES = [(32, 32), (32, 32), (64, 32), (32, 64), (64, 32)]


def matrices(seed):
    generator = torch.Generator().manual_seed(seed)
    return [nn.Parameter(torch.randn(shape, generator=generator)) for shape in SHAPES]


@pytest.mark.parametrize("adjust", [None, "original", "match_rms_adamw"])
def test_muon_in_stacks_is_torchs_muon(adjust):
    """The same state and updates as ``torch.optim.Muon``, up to the rounding of its bfloat16 iteration."""
    ours, theirs = matrices(0), matrices(0)
    options = {"lr": 0.02, "weight_decay": 0.1, "momentum": 0.9, "adjust_lr_fn": adjust}
    stacked, plain = optim.BatchedMuon(ours, **options), torch.optim.Muon(theirs, **options)
    for step in range(3):
        for a, b, grad in zip(ours, theirs, matrices(step + 1), strict=True):
            a.grad, b.grad = grad.detach().clone(), grad.detach().clone()
        before = [parameter.detach().clone() for parameter in theirs]
        stacked.step()
        plain.step()
        for a, b, old in zip(ours, theirs, before, strict=True):
            assert torch.equal(stacked.state[a]["momentum_buffer"], plain.state[b]["momentum_buffer"])
            assert (a - b).norm() <= 0.02 * (b - old).norm()


def test_orthogonalised_matrices_have_singular_values_near_one():
    stack = torch.randn((3, 48, 32), generator=torch.Generator().manual_seed(0))
    found = optim.orthogonalise(stack, (3.4445, -4.775, 2.0315), 5, 1e-7).float()
    values = torch.linalg.svdvals(found)
    assert 0.5 < values.min() < values.max() < 1.4


def test_muon_without_gradients_changes_nothing_and_runs_its_closure():
    parameters = matrices(0)
    before = copy.deepcopy(parameters)
    assert optim.BatchedMuon(parameters, lr=1.0).step(lambda: 3.0) == 3.0
    assert all(torch.equal(a, b) for a, b in zip(parameters, before, strict=True))


def test_each_parameter_has_its_optimiser():
    shape = ModelShape(hidden_size=32, n_layers=1, n_heads=1, n_kv_heads=1, head_dim=32, ffn_size=32, tie_embeddings=False)
    model = models.build(shape, 64, seed=0, eos_id=0, pad_id=1)
    model.model.layers[0].mlp.up_proj.weight.requires_grad_(False)
    parts = optim.split_parameters(model)
    assert {name: len(found) for name, found in parts.items()} == {"matrices": 6, "embeddings": 2, "vectors": 3}
    driven = optim.muon_and_adamw(model, muon_lr=0.02, adamw_lr=0.01, weight_decay=0.1, embedding_decay=0.05)
    assert [group["weight_decay"] for optimizer in driven.all for group in optimizer.param_groups] == [0.1, 0.05, 0.0]


def test_rates_follow_the_multiplier_and_survive_a_checkpoint():
    shape = ModelShape(hidden_size=32, n_layers=1, n_heads=1, n_kv_heads=1, head_dim=32, ffn_size=32)
    model = models.build(shape, 64, seed=0, eos_id=0, pad_id=1)
    driven = optim.muon_and_adamw(model, muon_lr=0.02, adamw_lr=0.01, weight_decay=0.0)
    driven.set_rate(0.5)
    assert driven.rates() == [0.01, 0.005, 0.005]
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    driven.step()
    assert all(parameter.grad is None for parameter in model.parameters())
    again = optim.muon_and_adamw(model, muon_lr=0.02, adamw_lr=0.01, weight_decay=0.0)
    again.load_state_dict(copy.deepcopy(driven.state_dict()))
    again.set_rate(1.0)
    assert again.rates() == [0.02, 0.01, 0.01]
