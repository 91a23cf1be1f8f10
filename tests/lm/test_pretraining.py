from types import SimpleNamespace

import numpy as np
import pytest
import torch

from llm_assets.core.progress import Recording, Silent
from llm_assets.core.recipe.pretraining import BaseModelConfig
from llm_assets.lm import checkpoint, fused
from llm_assets.lm import model as models
from llm_assets.lm import pretraining as loop

IDS, LENGTH, ROWS = 64, 16, 4
CPU = torch.device("cpu")
SHAPE = {"hidden_size": 32, "n_layers": 2, "n_heads": 1, "n_kv_heads": 1, "head_dim": 32, "ffn_size": 32, "context_length": 32}


def config(steps=10, **over):
    values = {
        "model": SHAPE | over.pop("model", {}),
        "train_tokens": steps * ROWS * LENGTH,
        "sequence_length": LENGTH,
        "batch_rows": ROWS,
        "dtype": "float32",
        "warmup_fraction": 0.3,
        "evaluate_every_steps": 3,
        "checkpoint_every_steps": 5,
    }
    return BaseModelConfig.model_validate(values | over)


def build(settings, noise=0.0):
    model = models.build(settings.model, IDS, seed=settings.seed, eos_id=0, pad_id=1)
    with torch.no_grad():
        for number, parameter in enumerate(model.parameters()):
            parameter.add_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(number)) * noise)
    return model


class Stream:
    """Batches as a pure function of the step: token n is followed by n + 1 more often than not."""

    data = SimpleNamespace(separator_id=0)

    def batch(self, step):
        rng = np.random.default_rng(step)
        start = rng.integers(2, IDS, (ROWS, 1))
        ids = (start + np.arange(LENGTH + 1)) % (IDS - 2) + 2
        return np.where(rng.random(ids.shape) < 0.1, 0, ids).astype(np.int64)


def trainer(folder, settings, model=None):
    validation = [torch.from_numpy(Stream().batch(10_000))]
    return loop.Trainer(model or build(settings), Stream(), validation, settings, CPU, folder)


class Stop(BaseException):
    """As abrupt as a test can be."""


class Stopping(Silent):
    def __init__(self, after):
        self.after = after

    def update(self, done, total, unit, **metrics):
        if done == self.after:
            raise Stop


@pytest.mark.parametrize("schedule", ["linear", "cosine"])
@pytest.mark.parametrize("architecture", ["llama", "qwen3"])
def test_a_killed_training_goes_on_bit_for_bit(tmp_path, schedule, architecture):
    """Case B24: losses, learning rates and weights of 5 + 5 steps equal those of 10, with dropout and both loss paths."""
    settings = config(schedule=schedule, model={"architecture": architecture}, dropout=0.1)
    straight = trainer(tmp_path / "straight", settings)
    whole = straight.run(Silent())
    with pytest.raises(Stop):
        trainer(tmp_path / "killed", settings).run(Stopping(after=7))  # after the checkpoint of step 5
    told = Recording()
    torch.manual_seed(99)  # the generator's state must not matter
    again = trainer(tmp_path / "killed", settings)
    resumed = again.run(told)
    assert told.notes == ["going on from the checkpoint of step 5"]
    assert resumed.history == whole.history
    assert [row["learning_rate"] for row in whole.history[1:4]] == pytest.approx([0.005, 0.01, 0.015])
    assert all(torch.equal(a, b) for a, b in zip(straight.model.parameters(), again.model.parameters(), strict=True))


def test_a_finished_training_is_not_trained_again(tmp_path):
    settings = config(steps=4)
    first = trainer(tmp_path, settings).run(Silent())
    told = Recording()
    second = trainer(tmp_path, settings).run(told)
    assert told.updates == []
    assert second.history == first.history
    assert second.tokens_per_second == 0


def test_it_learns_and_keeps_its_best(tmp_path):
    settings = config(steps=40, evaluate_every_steps=10)
    made = trainer(tmp_path, settings)
    outcome = made.run(Silent())
    measured = [row["validation_nats"] for row in outcome.history if row["validation_nats"] is not None]
    assert len(measured) == 5
    assert outcome.best_nats == min(measured) < measured[0] - 0.5
    assert loop.mean_nats(made.model, made.loss, made.validation) == outcome.best_nats


def test_it_stops_when_patience_runs_out_and_resumes_stopped(tmp_path):
    """Learning rates far too high: nothing gets better than at the start, and the weights kept are the best seen."""
    settings = config(steps=40, evaluate_every_steps=2, patience=3, muon_lr=50.0, adamw_lr=50.0, warmup_fraction=0.0)
    outcome = trainer(tmp_path, settings).run(Silent())
    assert outcome.stopped_early
    assert len(outcome.history) == 7
    again = trainer(tmp_path, settings).run(Silent())
    assert again.stopped_early
    assert again.history == outcome.history


def test_a_damaged_checkpoint_is_passed_over(tmp_path):
    """Case B25."""
    settings = config()
    trainer(tmp_path, settings).run(Silent())
    newest = tmp_path / "checkpoints/step-00000010.pt"
    newest.write_bytes(newest.read_bytes()[:1000])
    assert checkpoint.newest(tmp_path / "checkpoints")[0] == 5
    told = Recording()
    trainer(tmp_path, settings).run(told)
    assert told.notes == ["going on from the checkpoint of step 5"]


@pytest.mark.parametrize("architecture", ["llama", "qwen3"])
def test_parts_of_a_batch_weigh_by_their_tokens(architecture):
    """Case B22: rows with 3 and 13 predicted tokens, in one part or in two, give equal loss and gradients."""
    settings = config(model={"architecture": architecture})
    batch = torch.from_numpy(Stream().batch(0))[:2]
    batch[0, 4:] = fused.IGNORED

    def gradients(micro_rows):
        model = build(settings, noise=0.1)
        plain = loop.loss_function(model, settings, CPU, 0)

        def loss(ids, labels, weight):
            return plain(ids.clamp(min=0), labels, weight)

        nats = loop.step_gradients(loss, batch, micro_rows)
        return nats, [parameter.grad for parameter in model.parameters()]

    whole, parts = gradients(0), gradients(1)
    assert parts[0] == pytest.approx(whole[0], abs=1e-6)
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(whole[1], parts[1], strict=True))


@pytest.mark.parametrize("architecture", ["llama", "qwen3"])
def test_packed_documents_do_not_see_each_other(architecture):
    """Case B23: the separator begins a segment; changing the first document moves nothing in the second."""
    one = torch.tensor([[0, 5, 6, 7, 0, 8, 9, 0]])
    other = torch.tensor([[0, 11, 12, 13, 0, 8, 9, 0]])
    labels = torch.full_like(one, fused.IGNORED)
    labels[0, 4:7] = torch.tensor([8, 9, 0])  # of the second document, the first token too
    settings = config(model={"architecture": architecture})
    model = build(settings, noise=0.1)

    def nats(ids, settings):
        return float(loop.loss_function(model, settings, CPU, 0)(ids, labels, 1.0).detach())

    assert nats(one, settings) == pytest.approx(nats(other, settings), abs=1e-5)
    alone = torch.tensor([[0, 8, 9]])
    by_itself = loop.loss_function(model, settings, CPU, 0)(alone, torch.tensor([[8, 9, 0]]), 1.0)
    assert nats(one, settings) == pytest.approx(float(by_itself.detach()), abs=1e-4)  # positions are relative
    seeing = config(model={"architecture": architecture}, document_mask=False)
    assert abs(nats(one, seeing) - nats(other, seeing)) > 1e-3


def test_both_losses_agree_and_drop_out_in_training_only():
    settings = config(dropout=0.5)
    model = build(settings, noise=0.1)
    batch = torch.from_numpy(Stream().batch(0))
    fast = loop.loss_function(model, settings, CPU, 0)
    slow_model = build(settings, noise=0.1)
    slow_model.config.attention_bias = True  # what the fast loss does not know
    slow = loop.loss_function(slow_model, settings, CPU, 0)
    for loss, owner in ((fast, model), (slow, slow_model)):
        quiet = loop.mean_nats(owner, loss, [batch])
        assert quiet == pytest.approx(loop.mean_nats(model, fast, [batch]), rel=1e-5)
        owner.train()
        torch.manual_seed(0)
        noisy = float(loss(batch[:, :-1].contiguous(), batch[:, 1:].contiguous(), 1 / batch[:, 1:].numel()).detach())
        assert abs(noisy - quiet) > 1e-3
