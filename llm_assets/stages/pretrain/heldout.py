"""Held-out documents, and what the model and the n-gram models make of them: bits per byte on equal terms.

The documents are the evaluation suite's (which the training documents were decontaminated against) where there is one, else the
mix's own validation split.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import nn
from transformers import PreTrainedTokenizerBase

from llm_assets.core.artefact import Inputs
from llm_assets.core.errors import InputError
from llm_assets.lm import chat, scoring
from llm_assets.lm.data import MixDocuments
from llm_assets.stages.pretrain.kneser_ney import KneserNey, bits_per_byte

_PERPLEXITY_TASK = "tasks/perplexity.jsonl"


@dataclass(frozen=True)
class HeldOut:
    """``documents``: ids with the separator that ends each; ``n_bytes``: UTF-8 bytes of their texts."""

    source: str
    documents: list[list[int]]
    n_bytes: int

    @property
    def n_tokens(self) -> int:
        """Predicted tokens, separators included."""
        return sum(map(len, self.documents))


def read(
    inputs: Inputs, validation: MixDocuments, tokenizer: PreTrainedTokenizerBase, *, at_most: int, folder: Path | None = None
) -> HeldOut:
    """The first ``at_most`` held-out documents. ``InputError`` where there is none."""
    suite = inputs.maybe("eval_suite")
    if suite is not None and (suite.files / _PERPLEXITY_TASK).exists():
        lines = (suite.files / _PERPLEXITY_TASK).read_text("utf-8").splitlines()
        texts = [str(json.loads(line)["text"]) for line in lines if line.strip()][:at_most]
        if texts:
            ids: Sequence[list[int]] = chat.encode_texts(tokenizer, texts)
            sizes = sum(len(text.encode()) for text in texts)
            return HeldOut("eval_suite", [[*row, validation.separator_id] for row in ids], sizes)
    rows = range(min(at_most, len(validation)))
    if not rows:
        raise InputError("there is no held-out document: neither eval_suite nor the mix's validation split has one")
    n_bytes = int(validation.frame["n_bytes"][: len(rows)].sum())
    return HeldOut("training_mix validation", [validation.ids(row).tolist() for row in rows], n_bytes)


def compare(model: nn.Module, train: MixDocuments, heldout: HeldOut, window: int) -> dict[str, Any]:
    """Bits per byte of the model and of Kneser-Ney bigrams and trigrams over all training documents, and on what."""
    found: dict[str, Any] = {
        "heldout_source": heldout.source,
        "heldout_documents": len(heldout.documents),
        "heldout_tokens": heldout.n_tokens,
        "heldout_bytes": heldout.n_bytes,
    }
    nats = scoring.document_nats(model, heldout.documents, separator_id=train.separator_id, window=window)
    found["bits_per_byte"] = bits_per_byte(float(nats.sum()), heldout.n_bytes)
    found["heldout_nats_per_token"] = float(nats.sum()) / heldout.n_tokens
    for order, name in ((2, "bigram"), (3, "trigram")):
        grams = KneserNey(train, train.vocab_size, order)
        logs = grams.log_probabilities(_arrays(heldout.documents))
        found[f"{name}_bits_per_byte"] = bits_per_byte(float(-logs.sum()), heldout.n_bytes)
        found["unigram_entropy_nats"] = grams.unigram_entropy_nats
    return found


def _arrays(documents: list[list[int]]) -> list[npt.NDArray[np.int64]]:
    return [np.asarray(document, dtype=np.int64) for document in documents]
