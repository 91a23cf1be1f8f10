"""Section of the pretraining group: base_model."""

from typing import Literal, Self

from pydantic import Field, model_validator

from llm_assets.core.recipe.base import Section, execution

BLOCK = 32  # weights in one block of Q8_0 and Q4_0: rows must be a multiple of it (case B42)


class ModelShape(Section):
    """Shape of a decoder-only transformer that transformers, vLLM and llama.cpp load as it is."""

    architecture: Literal["llama", "qwen3"] = Field(
        "llama", description="qwen3 normalises queries and keys; llama has the fast loss on CPUs"
    )
    hidden_size: int = Field(192, ge=BLOCK, description="Width of the residual stream")
    n_layers: int = Field(4, ge=1)
    n_heads: int = Field(3, ge=1)
    n_kv_heads: int = Field(3, ge=1, description="Fewer than n_heads: grouped-query attention")
    head_dim: int = Field(64, ge=BLOCK)
    ffn_size: int = Field(512, ge=BLOCK, description="Inner width of the gated feed-forward layer")
    context_length: int = Field(512, ge=16, description="Longest sequence that later stages may use, in tokens")
    rope_theta: float = Field(10_000.0, gt=0, description="Base of the rotary position frequencies")
    tie_embeddings: bool = Field(True, description="One matrix for input embedding and output head")

    @model_validator(mode="after")
    def _shapes(self) -> Self:
        rows = {"hidden_size": self.hidden_size, "head_dim": self.head_dim, "ffn_size": self.ffn_size}
        for name, value in rows.items():
            if value % BLOCK:
                raise ValueError(
                    f"{name} is {value}; it must be a multiple of {BLOCK}, because quantised formats store rows in blocks of "
                    f"{BLOCK}; use {max(BLOCK, value // BLOCK * BLOCK)} or {value // BLOCK * BLOCK + BLOCK}"
                )
        if self.n_heads % self.n_kv_heads:
            raise ValueError(f"n_heads ({self.n_heads}) must be a multiple of n_kv_heads ({self.n_kv_heads})")
        return self


class BaseModelConfig(Section):
    """Decoder-only transformer from random weights, trained to predict the next token. The budget is tokens, never seconds."""

    model: ModelShape = ModelShape()
    train_tokens: int = Field(2_457_600, ge=1, description="Tokens predicted in all, repeats counted")
    sequence_length: int = Field(256, ge=16, description="Tokens of one window; documents are packed")
    batch_rows: int = Field(8, ge=1, description="Windows of one optimiser step")
    document_mask: bool = Field(True, description="Packed documents do not attend to each other; off: they do")
    muon_lr: float = Field(0.02, gt=0, description="Peak learning rate of the layers' matrices (Muon)")
    muon_momentum: float = Field(0.95, ge=0, lt=1)
    adamw_lr: float = Field(8e-3, gt=0, description="Peak learning rate of embeddings and norms (AdamW)")
    adamw_beta2: float = Field(0.95, gt=0, lt=1)
    weight_decay: float = Field(0.1, ge=0, description="Of the layers' matrices, times the learning rate of the step")
    embedding_decay: float = Field(0.0, ge=0, description="The same of the embeddings")
    dropout: float = Field(0.0, ge=0, lt=1, description="On what each half of a layer adds; 0 is best where passes are few")
    schedule: Literal["linear", "cosine", "constant"] = "linear"
    warmup_fraction: float = Field(0.02, ge=0, lt=1, description="Share of the steps in which the learning rate rises")
    final_lr_fraction: float = Field(0.0, ge=0, le=1, description="Learning rate at the end, as a share of the peak")
    dtype: Literal["bfloat16", "float32"] = Field("bfloat16", description="Of matrix products; weights and sums are float32")
    evaluate_every_steps: int = Field(250, ge=1, description="Steps between validations")
    validation_tokens: int = Field(32_768, ge=1, description="Tokens of the validation split that a validation reads at most")
    patience: int = Field(4, ge=1, description="Stop after so many validations in a row without a new best")
    min_improvement_nats: float = Field(0.0, ge=0, description="By which a new best must be better")
    heldout_documents: int = Field(2_000, ge=1, description="Documents scored against the n-gram models at most")
    must_beat_bigram: bool = Field(True, description="Gate: fewer bits per byte than the Kneser-Ney bigram model")
    max_reload_difference_nats: float = Field(1e-4, gt=0, description="Gate: log-probabilities of the saved model, read again")
    seed: int = Field(1, description="Of weights, data order and dropout")
    micro_rows: int = execution(0, ge=0, description="Windows in memory at a time (gradient accumulation); 0: the batch")
    device: str = execution("auto", description="auto, cpu, cuda or cuda:N")
    threads: int = execution(0, ge=0, description="Threads of one torch operation; 0: all cores")
    checkpoint_every_steps: int = execution(250, ge=1, description="A killed run goes on from the last one")

    @model_validator(mode="after")
    def _budget(self) -> Self:
        per_step = self.batch_rows * self.sequence_length
        if self.train_tokens < per_step:
            raise ValueError(
                f"train_tokens is {self.train_tokens}, less than one step reads (batch_rows × sequence_length = {per_step})"
            )
        if self.sequence_length > self.model.context_length:
            raise ValueError(
                f"sequence_length ({self.sequence_length}) is above model.context_length ({self.model.context_length})"
            )
        return self

    @property
    def steps(self) -> int:
        """Optimiser steps that the token budget buys."""
        return self.train_tokens // (self.batch_rows * self.sequence_length)
