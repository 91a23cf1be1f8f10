import numpy as np
import pytest
import torch

from llm_assets.core.recipe.pretraining import ModelShape
from llm_assets.lm import model as models
from llm_assets.lm import scoring

SEPARATOR = 0


@pytest.fixture(scope="module")
def model():
    shape = ModelShape(hidden_size=32, n_layers=2, n_heads=1, n_kv_heads=1, head_dim=32, ffn_size=32)
    built = models.build(shape, 64, seed=0, eos_id=SEPARATOR, pad_id=1)
    with torch.no_grad():
        for parameter in built.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)) * 0.1)
    return built.eval()


def documents(*lengths):
    rng = np.random.default_rng(0)
    return [[*rng.integers(2, 64, length - 1).tolist(), SEPARATOR] for length in lengths]


def test_a_document_that_fits_is_scored_as_a_whole(model):
    texts = documents(1, 5, 16, 9)
    found = scoring.document_nats(model, texts, separator_id=SEPARATOR, window=16, batch_rows=2)
    alone = [-sum(scoring.token_log_probabilities(model, [SEPARATOR, *ids])) for ids in texts]
    assert found == pytest.approx(alone, abs=1e-4)


@pytest.mark.parametrize(("total", "window"), [(17, 16), (40, 16), (41, 16), (24, 16), (7, 3), (5, 1)])
def test_every_token_of_a_long_document_is_scored_once(total, window):
    ids = list(range(100, 100 + total))
    scored = []
    for piece in scoring._windows(0, ids, SEPARATOR, window):
        assert len(piece.inputs) == len(piece.labels) <= window
        row = [SEPARATOR, *ids]
        start = row.index(piece.inputs[0])
        kept = [(start + place, label) for place, label in enumerate(piece.labels) if label != scoring.IGNORED]
        assert all(row[place + 1] == label for place, label in kept)
        scored += [label for _, label in kept]
    assert scored == ids


def test_long_documents_have_at_least_half_a_window_of_context(model):
    ids = documents(60)[0]
    found = scoring.document_nats(model, [ids], separator_id=SEPARATOR, window=16)[0]
    row = [SEPARATOR, *ids]
    wanted = 0.0
    for place in range(len(ids)):
        start = 0 if place < 16 else (place - 8) // 8 * 8
        wanted -= scoring.token_log_probabilities(model, row[start : place + 2])[-1]
    assert found == pytest.approx(wanted, abs=1e-3)
