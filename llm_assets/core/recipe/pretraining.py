"""Section of the pretraining group: base_model."""

from typing import Literal, Self

from pydantic import Field, model_validator

from llm_assets.core.recipe.base import Section, execution

BLOCK = 32  # weights in one block of Q8_0 and Q4_0: rows must be a multiple of it


class ModelShape(Section):
    """Shape of a decoder-only transformer that transformers, vLLM and llama.cpp load as it is."""

    architecture: Literal["llama", "qwen3"] = Field("qwen3", description="qwen3 = llama with normalised queries and keys")
    hidden_size: int = Field(192, ge=BLOCK, description="Width of the residual stream")
    n_layers: int = Field(4, ge=1)
    n_heads: int = Field(3, ge=1)
    n_kv_heads: int = Field(3, ge=1, description="Fewer than n_heads: grouped-query attention")
    head_dim: int = Field(64, ge=BLOCK)
    ffn_size: int = Field(512, ge=BLOCK, description="Inner width of the gated feed-forward layer")
    context_length: int = Field(1024, ge=16, description="Longest sequence, in tokens")
    rope_theta: float = Field(10_000.0, gt=0, description="Base of the rotary position frequencies")
    tie_embeddings: bool = Field(True, description="One matrix for input embedding and output head")

    @model_validator(mode="after")
    def _shapes(self) -> Self:
        for name in ("hidden_size", "head_dim", "ffn_size"):
            value = getattr(self, name)
            if value % BLOCK:
                raise ValueError(
                    f"{name} is {value}; it must be a multiple of {BLOCK}, because quantised formats store rows in blocks of "
                    f"{BLOCK}; use {max(BLOCK, value // BLOCK * BLOCK)} or {value // BLOCK * BLOCK + BLOCK}"
                )
        if self.n_heads % self.n_kv_heads:
            raise ValueError(f"n_heads ({self.n_heads}) must be a multiple of n_kv_heads ({self.n_kv_heads})")
        return self


class BaseModelConfig(Section):
    """Decoder-only transformer from random weights, trained to predict the next token."""

    model: ModelShape = ModelShape()
    seed: int = 1
    device: str = execution("auto", description="auto, cpu, cuda or cuda:N")
    threads: int = execution(0, ge=0, description="Threads of one torch operation; 0 = all cores")
