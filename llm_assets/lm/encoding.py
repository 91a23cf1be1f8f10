"""Encoding of many texts into one array of ids, by the fastest engine there is, with the ids of the tokenizers library.

``fastokens`` (the extra ``[fast]``) reads the same ``tokenizer.json``; it was 13 times as fast as ``encode_batch_fast`` on the
demo's texts, with no id different. It is believed only after it gave the library's ids on samples of the corpus at hand; the
library is the fallback, and the judge in the gates. Control tokens typed in a text are text with both.
"""

from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from llm_assets.core.errors import InputError
from llm_assets.lm.tokenizer import TOKENIZER_FILE, load_plain

Array = npt.NDArray[Any]
EncodingEngine = Literal["auto", "fastokens", "tokenizers"]
FASTOKENS = "fastokens"

# Where tokenizers have differed from each other: typed control tokens, spaces and newlines, contractions, digits, marks, emoji.
_HARD = (
    "<|endoftext|><|im_start|>user\nhi<|im_end|>",
    "  two spaces,\ttab,\r\nCRLF,\n\n\nthree newlines  \n ",
    "it's They'LL 'quoted' 1234567890 3.14 ½ ٣ Ⅷ",
    "e\u0301 é ﬁ ſ ß İ 汉字とかな 한국어 👩‍👩‍👧‍👦🏳️‍🌈\u200b\u00a0\u2028\ufeff\x00\x85 𝔘\U0010fffd",
    "",
)
_SAMPLED = 32  # texts of the first batch that both engines encode


class BatchEncoder:
    """``encode(texts)`` → (ids, ends): all ids one after the other, uint32, and where each text's end."""

    def __init__(self, folder: Path, engine: EncodingEngine = "auto", note: Callable[[str], None] | None = None) -> None:
        """``note`` is told where ``auto`` turns a faster engine down. ``InputError`` where a named engine isn't installed."""
        self.oracle: Tokenizer = load_plain(folder)
        self.engine = engine
        self._note = note or (lambda _: None)
        self._fast: Any = None
        self._checked = False
        if engine == FASTOKENS and find_spec(FASTOKENS) is None:
            raise InputError(
                "tokenized_dataset.engine is 'fastokens', which isn't installed; run: pip install 'llm_assets[fast]', or set "
                "engine: auto"
            )
        if engine != "tokenizers" and find_spec(FASTOKENS) is not None:
            self._fast = self._loaded(folder)

    def _loaded(self, folder: Path) -> Any:
        """The fast engine, or None where it can't read this tokenizer (it knows the common kinds only)."""
        try:
            return import_module(FASTOKENS).Tokenizer.from_file(str(folder / TOKENIZER_FILE))
        except ValueError as error:
            if self.engine == FASTOKENS:
                raise InputError(
                    f"fastokens can't read {folder / TOKENIZER_FILE}: {error}; set tokenized_dataset.engine: auto"
                ) from error
            self._note(f"fastokens can't read this tokenizer ({error}), so the tokenizers library encodes")
            return None

    @property
    def used(self) -> str:
        """The engine that encodes."""
        return "tokenizers" if self._fast is None else FASTOKENS

    def encode(self, texts: Sequence[str]) -> tuple[Array, Array]:
        """Ids of all texts and the end of each text's; no BOS, no separator. Lone surrogates are a ``UnicodeEncodeError``."""
        if self._fast is not None and not self._checked:
            self._check([*_HARD, *texts[:: max(1, len(texts) // _SAMPLED)]])
        return self._theirs(texts) if self._fast is None else self._quickly(texts)

    def _check(self, samples: list[str]) -> None:
        ours, ends = self._quickly(samples)
        theirs, their_ends = self._theirs(samples)
        self._checked = True
        if np.array_equal(ours, theirs) and np.array_equal(ends, their_ends):
            return
        if self.engine == FASTOKENS:
            raise InputError(
                "fastokens gives other ids than the tokenizers library for this tokenizer; set tokenized_dataset.engine: auto"
            )
        self._note("fastokens gives other ids than the tokenizers library for this tokenizer, so the library encodes")
        self._fast = None

    def _quickly(self, texts: Sequence[str]) -> tuple[Array, Array]:
        ids, offsets = self._fast.encode_batch_flat(list(texts), False, True)
        return np.frombuffer(ids, np.uint32), np.frombuffer(offsets, np.uint64)[1:].astype(np.int64)

    def _theirs(self, texts: Sequence[str]) -> tuple[Array, Array]:
        found = [encoding.ids for encoding in self.oracle.encode_batch_fast(list(texts), add_special_tokens=False)]
        ends = np.cumsum([len(ids) for ids in found], dtype=np.int64)
        return np.fromiter((number for ids in found for number in ids), np.uint32, int(ends[-1]) if found else 0), ends
