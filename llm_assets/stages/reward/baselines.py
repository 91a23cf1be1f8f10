"""What a reward model has to beat: answers judged by their length, and by which tokens they hold.

Both see the answers alone. A preference model can look good by either (people and rules alike prefer some lengths and some
words), without reading the question.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from llm_assets.stages.reward.pairs import Pairs

_STEPS = 150  # full-batch Adam steps; the loss is flat well before
_DECAY = 1e-4  # L2 on the weights, mean loss over pairs


def correct(margins: Sequence[float] | NDArray[np.float64]) -> NDArray[np.float64]:
    """1 where the chosen answer scores higher, 0 where lower, ½ on a tie."""
    values = np.asarray(margins, dtype=np.float64)
    return np.where(values > 0, 1.0, np.where(values < 0, 0.0, 0.5))


def length_margins(train: Pairs, test: Pairs) -> NDArray[np.float64]:
    """Prefer the longer or the shorter answer, whichever is right more often in training; in tokens."""
    differences = [np.array([len(good) - len(bad) for good, bad in pairs.answers], dtype=np.float64) for pairs in (train, test)]
    sign = 1.0 if correct(differences[0]).mean() >= 0.5 else -1.0
    return sign * differences[1]


def unigram_margins(train: Pairs, test: Pairs, vocabulary: int) -> NDArray[np.float64]:
    """Bradley–Terry on token counts (logistic regression on the difference of two answers' counts), fitted on ``train``."""
    weights = torch.zeros(vocabulary, 1, requires_grad=True)
    fitted = _bags(train)
    optimiser = torch.optim.Adam([weights], lr=0.05)
    for _ in range(_STEPS):
        optimiser.zero_grad()
        loss = torch.nn.functional.softplus(-_margins(weights, fitted)).mean() + _DECAY * weights.square().sum()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    with torch.no_grad():
        return _margins(weights, _bags(test)).double().numpy()


def _bags(pairs: Pairs) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Ids of both answers in a row, +1 or −1 for each, and where each pair starts."""
    ids: list[int] = []
    signs: list[float] = []
    offsets: list[int] = []
    for good, bad in pairs.answers:
        offsets.append(len(ids))
        ids += [*good, *bad]
        signs += [1.0] * len(good) + [-1.0] * len(bad)
    return torch.tensor(ids), torch.tensor(signs), torch.tensor(offsets)


def _margins(weights: torch.Tensor, bags: tuple[torch.Tensor, torch.Tensor, torch.Tensor]) -> torch.Tensor:
    ids, signs, offsets = bags
    return torch.nn.functional.embedding_bag(ids, weights, offsets, mode="sum", per_sample_weights=signs)[:, 0]
