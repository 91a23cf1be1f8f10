"""The smallest real things: a byte-level tokenizer and a random model."""

from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

from llm_assets.lm import tokenizer as files_of
from llm_assets.stages.tokens.train import write_folder

# llama.cpp wants at least one merge.
MERGES = [("h", "e")]


def byte_tokenizer(folder: Path, merges: list[tuple[str, str]] = MERGES) -> Path:
    """Control tokens, the 256 bytes and one merge: 261 ids, filled up to 288 by tokens that never occur."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokens = [*files_of.CONTROL_TOKENS, *alphabet, "he"]
    tokens += [f"Ġunused{number}" for number in range(288 - len(tokens))]
    engine = Tokenizer(models.BPE(vocab={token: number for number, token in enumerate(tokens)}, merges=merges))
    engine.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    engine.decoder = decoders.ByteLevel()
    engine.add_special_tokens([AddedToken(token, special=True) for token in files_of.CONTROL_TOKENS])
    write_folder(folder, engine)
    return folder


def random_model(
    folder: Path, tokenizer: Path, *, seed: int = 0, context: int = 512, kind: str = "causal", **over: Any
) -> Path:
    """A two-layer llama with random weights large enough that its answers differ; ``kind`` as in ``lm.model.load``."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM, LlamaForSequenceClassification

    from llm_assets.lm import model as lm

    values: dict[str, Any] = {
        "vocab_size": 288,
        "hidden_size": 64,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "max_position_embeddings": context,
        "eos_token_id": 3,
        "bos_token_id": None,
        "pad_token_id": 1,
        "tie_word_embeddings": True,
        "initializer_range": 0.3,
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        config = LlamaConfig(**(values | over), **({"num_labels": 1} if kind == "classifier" else {}))
        made = (LlamaForSequenceClassification if kind == "classifier" else LlamaForCausalLM)(config)
    lm.save(made, files_of.load(tokenizer), folder)
    return folder
