"""Documents that no training reads, as ids: what bits per byte are measured on.

They are the evaluation suite's (which the training documents were decontaminated against) where there is one, else the mix's
own validation split.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from transformers import PreTrainedTokenizerBase

from llm_assets.core.artefact import Inputs
from llm_assets.core.errors import InputError
from llm_assets.lm import chat
from llm_assets.lm.data import MixDocuments

_PERPLEXITY_TASK = "tasks/perplexity.jsonl"


@dataclass(frozen=True)
class HeldOut:
    """``documents``: ids with the separator that ends each; ``sizes``: UTF-8 bytes of their texts."""

    source: str
    documents: list[list[int]]
    sizes: list[int]

    @property
    def n_bytes(self) -> int:
        """UTF-8 bytes of all texts: what bits per byte divide by."""
        return sum(self.sizes)

    @property
    def n_tokens(self) -> int:
        """Predicted tokens, separators included."""
        return sum(map(len, self.documents))


def read(inputs: Inputs, validation: MixDocuments, tokenizer: PreTrainedTokenizerBase, *, at_most: int) -> HeldOut:
    """The first ``at_most`` held-out documents. ``InputError`` where there is none."""
    suite = inputs.maybe("eval_suite")
    if suite is not None and (suite.files / _PERPLEXITY_TASK).exists():
        lines = (suite.files / _PERPLEXITY_TASK).read_text("utf-8").splitlines()
        texts = [str(json.loads(line)["text"]) for line in lines if line.strip()][:at_most]
        if texts:
            ids: Sequence[list[int]] = chat.encode_texts(tokenizer, texts)
            return HeldOut("eval_suite", [[*row, validation.separator_id] for row in ids], [len(t.encode()) for t in texts])
    rows = range(min(at_most, len(validation)))
    if not rows:
        raise InputError("there is no held-out document: neither eval_suite nor the mix's validation split has one")
    sizes = [int(size) for size in validation.frame["n_bytes"][: len(rows)]]
    return HeldOut("training_mix validation", [validation.ids(row).tolist() for row in rows], sizes)
