"""Models: transformers architectures from random weights, saved and loaded without a weight lost or made up.

Every model of the project is a folder that transformers, peft, trl, vLLM and the GGUF export read as it is.
"""

import json
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    GenerationConfig,
    LlamaConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    Qwen3Config,
)
from transformers.utils.logging import disable_progress_bar

from llm_assets.core.errors import InputError
from llm_assets.core.recipe.pretraining import ModelShape

disable_progress_bar()  # a bar for one small file only litters the log
INIT_STD = 0.02  # of all matrices before scaling, the value both architectures ship with
_CONFIGS = {"llama": LlamaConfig, "qwen3": Qwen3Config}
_HEADS = {"causal": AutoModelForCausalLM, "classifier": AutoModelForSequenceClassification}


def config_for(shape: ModelShape, vocab_size: int, *, eos_id: int, pad_id: int) -> Any:
    """The transformers config of a shape. There is no bos: documents are told apart by the separator ``eos_id``."""
    return _CONFIGS[shape.architecture](
        vocab_size=vocab_size,
        hidden_size=shape.hidden_size,
        intermediate_size=shape.ffn_size,
        num_hidden_layers=shape.n_layers,
        num_attention_heads=shape.n_heads,
        num_key_value_heads=shape.n_kv_heads,
        head_dim=shape.head_dim,
        max_position_embeddings=shape.context_length,
        rope_parameters={"rope_type": "default", "rope_theta": shape.rope_theta},
        tie_word_embeddings=shape.tie_embeddings,
        initializer_range=INIT_STD,
        attention_bias=False,
        bos_token_id=None,
        eos_token_id=eos_id,
        pad_token_id=pad_id,
        dtype="float32",
    )


def build(
    shape: ModelShape, vocab_size: int, *, seed: int, eos_id: int, pad_id: int, attention: str = "sdpa"
) -> PreTrainedModel:
    """A model with random float32 weights that depend on shape, vocabulary and seed only; the global generator is left alone.

    The matrices that write into the residual stream start at zero, so that each layer begins as the identity.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        config = config_for(shape, vocab_size, eos_id=eos_id, pad_id=pad_id)
        model = AutoModelForCausalLM.from_config(config, attn_implementation=attention)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name.endswith(("o_proj.weight", "down_proj.weight")):
                weight.zero_()
    model.generation_config = GenerationConfig(eos_token_id=eos_id, pad_token_id=pad_id)
    return model


def count_parameters(model: torch.nn.Module) -> int:
    """Weights, a tied matrix counted once."""
    return sum(parameter.numel() for parameter in model.parameters())


def save(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
    """Write a model folder: safetensors, config, generation config, and the tokenizer with its chat template."""
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder, safe_serialization=True)
    tokenizer.save_pretrained(folder)


def load(
    folder: Path,
    *,
    kind: str = "causal",
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
    attention: str = "sdpa",
    **overrides: Any,
) -> PreTrainedModel:
    """Load a model folder in evaluation mode; ``kind`` is ``causal`` or ``classifier``.

    Raises ``InputError`` when a weight is missing from the folder, left over, or of another shape: transformers would only warn
    and go on with random numbers (case B31).
    """
    model, info = _HEADS[kind].from_pretrained(
        folder, dtype=dtype, attn_implementation=attention, output_loading_info=True, local_files_only=True, **overrides
    )
    for what in ("missing_keys", "unexpected_keys", "mismatched_keys", "error_msgs"):
        found = info.get(what)
        if found:
            raise InputError(f"{folder}: {what.replace('_', ' ')} while loading the model: {sorted(map(str, found))[:8]}")
    return model.to(device).eval()


def vocabulary_rows(folder: Path) -> int:
    """Rows of the embedding according to ``config.json``."""
    return int(json.loads((folder / "config.json").read_text("utf-8"))["vocab_size"])
