"""What the model and the n-gram models make of the held-out documents: bits per byte on equal terms."""

from typing import Any

import numpy as np
import numpy.typing as npt
from torch import nn

from llm_assets.lm import scoring
from llm_assets.lm.data import MixDocuments
from llm_assets.lm.heldout import HeldOut
from llm_assets.stages.pretrain.kneser_ney import KneserNey, bits_per_byte


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
