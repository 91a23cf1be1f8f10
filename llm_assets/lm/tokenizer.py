"""The tokenizer's files: what its control tokens are, how to load it, which ids it needs.

A tokenizer is a plain Hugging Face folder. ``load`` gives transformers' class; ``load_plain`` gives the bare ``tokenizers``
engine (no transformers import), set so that text never yields a control id: both the library and llama.cpp turn a typed
``<|endoftext|>`` into the control token by default, which lets a web page or a user end a document or forge a turn.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np
from tokenizers import Tokenizer

from llm_assets.core.errors import InputError
from llm_assets.core.jsonio import read_json

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

END_OF_TEXT = "<|endoftext|>"  # ends a document; the base model's eos
PAD = "<|pad|>"  # never the same id as an eos, or a collator that masks padding masks the ends too (case B27)
TURN_START = "<|im_start|>"
TURN_END = "<|im_end|>"  # ends a turn; the chat models' eos
CONTROL_TOKENS = (END_OF_TEXT, PAD, TURN_START, TURN_END)  # ids 0 to 3, in this order

# Which of llama.cpp's built-in pre-tokenizers (tokenizer.ggml.pre) splits text as PATTERN does. Of those it knows, "qwen2" has
# nothing implicit: contractions are spelt out (no Unicode case folding), no BOS is added, merges are never skipped. Tried on
# 917 texts (random Unicode, 50,000 letters in one word, 20,000 spaces or newlines): no id differed.
LLAMA_CPP_PRE = "qwen2"
# Digits stand alone, so that numbers of any length are read the same way.
PATTERN = (
    r"(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])"
    r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)

CONFIG_FILE = "tokenizer_config.json"
TOKENIZER_FILE = "tokenizer.json"


def load(folder: Path) -> "PreTrainedTokenizerFast":
    """The tokenizer of a folder as transformers' fast class; nothing is fetched."""
    from transformers import PreTrainedTokenizerFast

    tokenizer: PreTrainedTokenizerFast = PreTrainedTokenizerFast.from_pretrained(str(folder), local_files_only=True)
    return tokenizer


def load_plain(folder: Path) -> Tokenizer:
    """The bare engine of a folder; control tokens typed in a text are text."""
    path = folder / TOKENIZER_FILE
    if not path.is_file():
        raise InputError(f"{folder} has no {TOKENIZER_FILE}: it is no tokenizer folder; materialise tokenizer again")
    return _as_text(Tokenizer.from_file(str(path)))


def _as_text(engine: Tokenizer) -> Tokenizer:
    engine.encode_special_tokens = True
    engine.no_padding()
    engine.no_truncation()
    return engine


_plain: "WeakKeyDictionary[Any, Tokenizer]" = WeakKeyDictionary()


def plain(tokenizer: "PreTrainedTokenizerFast | Tokenizer") -> Tokenizer:
    """The bare engine behind a tokenizer, as ``load_plain`` gives it; the tokenizer itself is not changed."""
    if isinstance(tokenizer, Tokenizer):
        if tokenizer.encode_special_tokens:
            return tokenizer
        return _as_text(Tokenizer.from_str(tokenizer.to_str()))
    if tokenizer not in _plain:
        _plain[tokenizer] = _as_text(Tokenizer.from_str(tokenizer.backend_tokenizer.to_str()))
    return _plain[tokenizer]


def vocab_size(engine: Tokenizer) -> int:
    """One more than the largest id, added tokens included: what a stored id and an embedding row must have room for."""
    return 1 + max(engine.get_vocab(with_added_tokens=True).values())


def token_dtype(vocabulary: int) -> np.dtype[Any]:
    """The smallest of uint16 and uint32 that holds every id of a vocabulary (case B19: 16 bits wrap silently above 65,536)."""
    if not 0 < vocabulary <= 2**32:
        raise InputError(f"a vocabulary of {vocabulary} ids can't be stored; 1 to 2^32 are possible")
    return np.dtype(np.uint16 if vocabulary <= 2**16 else np.uint32)


def separator(folder: Path, engine: Tokenizer) -> tuple[str, int]:
    """The document separator and its id: this tokenizer's own end-of-text token (case B20).

    Raises ``InputError`` where the folder names none, or names one that is not a single known control id.
    """
    path = folder / CONFIG_FILE
    named = read_json(path).get("eos_token") if path.is_file() else None
    token = named.get("content") if isinstance(named, dict) else named
    if not token:
        raise InputError(f"{path} names no eos_token, so documents have no separator; name one and rebuild the tokenizer")
    added = {entry.content: number for number, entry in engine.get_added_tokens_decoder().items() if entry.special}
    if token not in added:
        known = ", ".join(sorted(added)) or "none"
        raise InputError(
            f"{path}: the eos_token {token!r} is not one control id of this tokenizer (it has: {known}); "
            "documents can't be told apart; use the tokenizer's own token"
        )
    return str(token), added[token]
