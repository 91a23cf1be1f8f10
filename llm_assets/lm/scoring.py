"""How well a causal model predicts whole documents, in nats: what bits per byte and perplexity are made of."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

IGNORED = -100


class _Window(NamedTuple):
    """Inputs and labels of one piece of a document; labels are -100 where another window scores the token."""

    document: int
    inputs: list[int]
    labels: list[int]


def _windows(document: int, ids: Sequence[int], separator_id: int, length: int) -> Iterator[_Window]:
    """The separator, then the document; windows overlap by half, so that each token has at least half a window before it."""
    row = [separator_id, *map(int, ids)]
    total, stride, scored = len(ids), max(1, length // 2), 0
    start = 0
    while scored < total:
        stop = min(start + length, total)
        labels = [IGNORED] * (scored - start) + row[scored + 1 : stop + 1]
        yield _Window(document, row[start:stop], labels)
        scored, start = stop, start + stride


@torch.inference_mode()
def document_nats(
    model: nn.Module, documents: Sequence[Sequence[int]], *, separator_id: int, window: int, batch_rows: int = 32
) -> npt.NDArray[np.float64]:
    """-log p of each document in nats, in the model's own precision.

    ``documents``: ids, the separator that ends each included, which is predicted too; the first token is predicted from a
    separator. Nothing else is in the context: the n-gram models are judged on the same predictions.
    """
    device = next(model.parameters()).device
    pieces = [w for number, ids in enumerate(documents) for w in _windows(number, ids, separator_id, window)]
    pieces.sort(key=lambda piece: len(piece.inputs))
    nats = np.zeros(len(documents))
    for start in range(0, len(pieces), batch_rows):
        batch = pieces[start : start + batch_rows]
        longest = len(batch[-1].inputs)
        ids = torch.full((len(batch), longest), separator_id, dtype=torch.long)
        labels = torch.full((len(batch), longest), IGNORED, dtype=torch.long)
        for row, piece in enumerate(batch):
            ids[row, : len(piece.inputs)] = torch.tensor(piece.inputs)
            labels[row, : len(piece.labels)] = torch.tensor(piece.labels)
        found = _row_nats(model, ids.to(device), labels.to(device)).double().cpu().numpy()
        np.add.at(nats, [piece.document for piece in batch], found)
    return nats


def _row_nats(model: Any, ids: Tensor, labels: Tensor) -> Tensor:
    # Padding stands on the right, where a causal model can't see it, so no attention mask is needed.
    logits = model(input_ids=ids, use_cache=False).logits.float()
    losses = nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=IGNORED, reduction="none")
    return losses.view(labels.shape).sum(-1)


@torch.inference_mode()
def token_log_probabilities(model: Any, ids: Sequence[int]) -> list[float]:
    """log p of ``ids[1:]``, each given all before it, in nats: a fingerprint of a model."""
    row = torch.tensor([list(map(int, ids))], device=next(model.parameters()).device)
    logits = model(input_ids=row[:, :-1], use_cache=False).logits.float()
    logs: list[float] = torch.log_softmax(logits, -1).gather(-1, row[:, 1:, None])[0, :, 0].double().tolist()
    return logs
