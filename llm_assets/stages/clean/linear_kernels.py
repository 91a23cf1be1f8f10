"""The loops behind ``linear``: bytes → hashed words and pairs of words → a softmax over labels, learned by AdaGrad."""

from typing import Any

import numpy as np

from llm_assets.lm.compiled import compiled


@compiled
def features(data: Any, bounds: Any, mask: int) -> tuple[Any, Any]:
    """Hashed features of n texts: (indices int32, bounds (n + 1,) int64). Each word, and each pair of neighbours, counts once.

    A word is a run of ASCII letters and digits (capitals lowered) and of all bytes above 127, so any script has words.
    """
    n = bounds.size - 1
    out, ends = np.empty(data.size + 2 * n, np.int32), np.zeros(n + 1, np.int64)
    stamp = np.full(mask + 1, -1, np.int32)
    filled = 0
    for text in range(n):
        code, last, length = np.uint64(14695981039346656037), np.uint64(0), 0
        for at in range(bounds[text], bounds[text + 1] + 1):
            byte = np.int64(data[at]) if at < bounds[text + 1] else 32
            if 65 <= byte <= 90:
                byte += 32
            if 97 <= byte <= 122 or 48 <= byte <= 57 or byte > 127:
                code = (code ^ np.uint64(byte)) * np.uint64(1099511628211)
                length += 1
            elif length:
                code ^= code >> np.uint64(29)
                pair = (last * np.uint64(0x9E3779B97F4A7C15)) ^ code
                for feature in (code, pair ^ (pair >> np.uint64(31))):
                    place = np.int64((feature ^ (feature >> np.uint64(32))) & np.uint64(mask))
                    if stamp[place] != text:
                        stamp[place] = text
                        out[filled] = place
                        filled += 1
                code, last, length = np.uint64(14695981039346656037), code, 0
        ends[text + 1] = filled
    return out[:filled].copy(), ends


@compiled
def scores(found: Any, ends: Any, weights: Any, bias: Any) -> Any:
    """(n, labels) float32 probabilities. A feature weighs 1 / √(features of the text), so that length decides nothing."""
    n, n_labels = ends.size - 1, bias.size
    out = np.empty((n, n_labels), np.float32)
    for text in range(n):
        row = out[text]
        row[:] = bias
        count = ends[text + 1] - ends[text]
        scale = np.float32(1.0 / np.sqrt(max(count, 1)))
        for place in range(ends[text], ends[text + 1]):
            row += scale * weights[found[place]]
        row -= row.max()
        row[:] = np.exp(row)
        row /= row.sum()
    return out


@compiled
def learn(
    found: Any, ends: Any, labels: Any, weighting: Any, order: Any, rate: float, decay: float, weights: Any, bias: Any
) -> float:
    """AdaGrad (Duchi et al. 2011) over the texts in ``order``, in place; returns the mean loss in nats of the last tenth.

    ``weighting`` (labels,): how much an example of a label counts. ``decay`` pulls a weight that is touched towards 0.
    """
    squares = np.full(weights.shape, 1e-6, np.float32)
    bias_squares = np.full(bias.shape, 1e-6, np.float32)
    gradient = np.empty(bias.size, np.float32)
    loss, counted, late = 0.0, 0, order.size - order.size // 10 - 1
    for step in range(order.size):
        text = order[step]
        scale = np.float32(1.0 / np.sqrt(max(ends[text + 1] - ends[text], 1)))
        gradient[:] = bias
        for place in range(ends[text], ends[text + 1]):
            gradient += scale * weights[found[place]]
        gradient -= gradient.max()
        gradient[:] = np.exp(gradient)
        gradient /= gradient.sum()
        if step >= late:
            loss -= np.log(max(gradient[labels[text]], np.float32(1e-9)))
            counted += 1
        gradient[labels[text]] -= np.float32(1.0)
        gradient *= weighting[labels[text]]
        for k in range(bias.size):
            bias_squares[k] += gradient[k] * gradient[k]
            bias[k] -= np.float32(rate) * gradient[k] / np.sqrt(bias_squares[k])
        for place in range(ends[text], ends[text + 1]):
            row = found[place]
            for k in range(bias.size):
                slope = scale * gradient[k] + np.float32(decay) * weights[row, k]
                squares[row, k] += slope * slope
                weights[row, k] -= np.float32(rate) * slope / np.sqrt(squares[row, k])
    return loss / max(counted, 1)
