"""A classifier of one's own labels: a linear softmax over hashed words and pairs of words. Seconds to train, no pickle.

The kind of model that DCLM filters with (Li et al. 2024, "DataComp-LM", section 4.4: fastText over words and pairs). Training
is a fixed order of single steps, so equal labels give an equal file, byte for byte. The file is safetensors: ``weights``
(2^bits, labels), ``bias``, and in its header the labels and how it was trained.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from llm_assets.core.errors import InputError
from llm_assets.core.texts import utf8
from llm_assets.stages.clean import linear_kernels as kernels

Array = npt.NDArray[Any]
FORMAT = "llm_assets linear classifier 1"
_HELD_OUT = 5  # every fifth text, by hash, measures and does not train
_FASTTEXT = "__label__"


@dataclass(frozen=True)
class Linear:
    """A trained classifier: ``weights`` (2^bits, L) and ``bias`` (L,), float32."""

    labels: tuple[str, ...]
    weights: Array
    bias: Array

    def scores(self, texts: pl.Series) -> Array:
        """(n, L) probabilities."""
        found, ends = kernels.features(*utf8(texts), self.weights.shape[0] - 1)
        probabilities: Array = kernels.scores(found, ends, self.weights, self.bias)
        return probabilities

    def save(self, path: Path, trained: dict[str, Any]) -> str:
        """Write the file; returns its SHA-256."""
        from safetensors.numpy import save

        told = {"format": FORMAT, "labels": self.labels, "trained": trained}
        content = save({"weights": self.weights, "bias": self.bias}, metadata={"classifier": json.dumps(told, sort_keys=True)})
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return hashlib.sha256(content).hexdigest()


def load(path: Path) -> Linear:
    """Read a saved classifier; ``InputError`` where the file is of another kind."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "numpy") as file:
            told = json.loads((file.metadata() or {}).get("classifier", "{}"))
            if told.get("format") != FORMAT:
                raise InputError(f"{path} is no classifier of this format; train one with llm-assets train-classifier")
            return Linear(tuple(told["labels"]), file.get_tensor("weights"), file.get_tensor("bias"))
    except SafetensorError as error:
        raise InputError(f"{path} is no safetensors file ({error}); train one with llm-assets train-classifier") from error


def read_labels(path: Path) -> pl.DataFrame:
    """``text`` and ``label`` of a file, without repeated texts: JSONL, or lines as fastText has them (``__label__x text``).

    ``InputError`` names the line that lacks one, or a text that has two labels.
    """
    if not path.is_file():
        raise InputError(f"{path} is no file; a file with a text and its label in each line is needed")
    # Lines end at newlines only: the other ends that Unicode knows may stand within a JSON string.
    lines = path.read_text("utf-8").split("\n")
    rows = [_labelled(line, f"{path}, line {number}") for number, line in enumerate(lines, 1) if line.strip()]
    frame = pl.DataFrame(rows, schema={"text": pl.String, "label": pl.String}, orient="row")
    clashing = frame.group_by("text").agg(pl.col("label").n_unique()).filter(pl.col("label") > 1)
    if clashing.height:
        raise InputError(f"{path}: {clashing.height} texts have two labels, one of them {clashing['text'].min()!r:.80}")
    return frame.unique("text", maintain_order=True)


def _labelled(line: str, where: str) -> tuple[str, str]:
    """(text, label) of a line."""
    if line.startswith(_FASTTEXT):
        label, _, text = line.removeprefix(_FASTTEXT).partition(" ")
        if not label or not text.strip() or _FASTTEXT in text:
            raise InputError(f"{where}: one label and a text are needed, as in '{_FASTTEXT}good A fine page.'")
        return text.strip(), label
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        raise InputError(f"{where}: neither JSON ({error.msg}) nor '{_FASTTEXT}x text'") from error
    if not isinstance(row, dict) or not all(isinstance(row.get(key), str) and row[key] for key in ("text", "label")):
        raise InputError(f'{where}: {{"text": …, "label": …}} is needed, both strings')
    return row["text"], row["label"]


def train(
    frame: pl.DataFrame, *, bits: int = 18, epochs: int = 8, rate: float = 0.2, decay: float = 1e-6, seed: int = 1
) -> tuple[Linear, dict[str, Any]]:
    """(classifier, how it did) for ``text`` and ``label``; a fifth of the texts, chosen by their hash, is held out to measure.

    Labels weigh equally, however many examples each has. ``InputError`` for fewer than two labels or too few examples.
    """
    counts = Counter(frame["label"])
    labels = tuple(sorted(counts))
    if len(labels) < 2 or min(counts.values()) < 10:
        raise InputError(f"at least two labels with 10 distinct texts each are needed, there are {dict(counts)}")
    frame = frame.with_columns(held=pl.Series([_held_out(text) for text in frame["text"]], dtype=pl.Boolean))
    known, held = frame.filter(~pl.col("held")), frame.filter("held")
    numbers = {label: number for number, label in enumerate(labels)}
    targets = np.array([numbers[label] for label in known["label"]], np.int64)
    seen = np.maximum(np.bincount(targets, minlength=len(labels)), 1)
    weighting = (len(targets) / (len(labels) * seen)).astype(np.float32)
    found, ends = kernels.features(*utf8(known["text"]), (1 << bits) - 1)
    generator = np.random.Generator(np.random.PCG64(seed))
    order = np.concatenate([generator.permutation(known.height) for _ in range(epochs)])
    weights, bias = np.zeros((1 << bits, len(labels)), np.float32), np.zeros(len(labels), np.float32)
    loss = kernels.learn(found, ends, targets, weighting, order, rate, decay, weights, bias)
    model = Linear(labels, weights, bias)
    told = {
        "texts": dict(counts),
        "bits": bits,
        "epochs": epochs,
        "rate": rate,
        "decay": decay,
        "seed": seed,
        "loss_nats": round(loss, 4),
    }
    return model, {**told, "held_out": measure(model, held)}


def measure(model: Linear, held: pl.DataFrame) -> dict[str, Any]:
    """Accuracy, and precision and recall of each label, on texts that did not train; a share of nothing is 0."""
    chosen = [model.labels[number] for number in model.scores(held["text"]).argmax(axis=1)]
    return {
        "texts": held.height,
        "accuracy": _ratio(sum(a == b for a, b in zip(chosen, held["label"], strict=True)), held.height),
    } | {label: _precision_recall(label, chosen, held["label"].to_list()) for label in model.labels}


def _precision_recall(label: str, chosen: Sequence[str], true: Sequence[str]) -> dict[str, float]:
    hits = sum(a == b == label for a, b in zip(chosen, true, strict=True))
    return {
        "texts": true.count(label),
        "precision": _ratio(hits, chosen.count(label)),
        "recall": _ratio(hits, true.count(label)),
    }


def _ratio(part: int, whole: int) -> float:
    return round(part / whole, 4) if whole else 0.0


def _held_out(text: str) -> bool:
    return hashlib.blake2b(text.encode(), digest_size=4).digest()[0] % _HELD_OUT == 0
