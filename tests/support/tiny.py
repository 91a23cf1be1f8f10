"""The smallest real things: a byte-level tokenizer, a random model, and the same model as GGUF."""

from pathlib import Path
from typing import Any

import numpy as np
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


def random_model(folder: Path, tokenizer: Path, *, seed: int = 0, context: int = 512, kind: str = "causal", **over: Any) -> Path:
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


def gguf_of(model: Path, tokenizer: Path, target: Path) -> Path:
    """The model as an F32 GGUF file that llama.cpp loads."""
    import gguf

    from llm_assets.lm import model as lm

    loaded = lm.load(model)
    config = loaded.config
    writer = gguf.GGUFWriter(target, "llama")
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_dimension_count(config.hidden_size // config.num_attention_heads)
    writer.add_vocab_size(config.vocab_size)
    vocabulary = files_of.load_plain(tokenizer).get_vocab()
    tokens = sorted(vocabulary, key=lambda token: vocabulary[token])
    control = set(files_of.CONTROL_TOKENS)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(tokens)
    writer.add_token_types([gguf.TokenType.CONTROL if token in control else gguf.TokenType.NORMAL for token in tokens])
    writer.add_token_merges([" ".join(pair) for pair in MERGES])
    writer.add_eos_token_id(3)
    writer.add_pad_token_id(1)
    writer.add_add_bos_token(False)
    for name, tensor in loaded.state_dict().items():
        found = _gguf_name(name)
        if found:
            array = tensor.float().numpy()
            if ".attn_q." in found or ".attn_k." in found:
                array = _interleave(array, config.num_attention_heads)
            writer.add_tensor(found, np.ascontiguousarray(array))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return target


_TOP = {"model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight", "lm_head.weight": ""}
_INNER = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}


def _gguf_name(name: str) -> str:
    if name in _TOP:
        return _TOP[name]
    _, _, layer, *inner = name.split(".")
    return f"blk.{layer}.{_INNER['.'.join(inner[:-1])]}.weight"


def _interleave(array: Any, heads: int) -> Any:
    """llama.cpp's llama rotates neighbouring pairs, transformers' rotates halves: rows are put in the other order."""
    rows, columns = array.shape
    return array.reshape(heads, 2, rows // heads // 2, columns).swapaxes(1, 2).reshape(rows, columns)
