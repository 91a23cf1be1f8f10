"""Sections of the release group: quantized_export, deployment."""

from typing import Literal

from pydantic import Field

from llm_assets.core import prompts
from llm_assets.core.recipe.base import Section, execution


class QuantizedExportConfig(Section):
    """GGUF files in F16, Q8_0 and Q4_0, and what they must keep of the model they are made from."""

    model: Literal["base_model", "sft_model", "rlhf_model"] = Field("rlhf_model", description="Which model is exported")
    measured_tokens: int = Field(4_000, ge=64, description="Held-out tokens that each file predicts")
    document_tokens: int = Field(200, ge=16, description="Tokens read of one held-out text at most")
    min_strings: int = Field(200, ge=1, description="Gate: strings whose ids are compared with llama.cpp's")
    exempt_gap_nats: float = Field(0.01, ge=0, description="The likeliest two tokens may change places when closer than this")
    max_difference_nats: float = Field(
        0.01, gt=0, description="Gate: log-probabilities of F16 in llama.cpp and in transformers"
    )
    max_q8_rise: float = Field(0.01, ge=0, description="Gate: rise of perplexity, as a ratio, with Q8_0 (and F16)")
    max_q4_rise: float = Field(0.1, ge=0, description="Gate: the same with Q4_0, which costs small models dearly")
    min_quantised_share: float = Field(0.95, gt=0, le=1, description="Gate: weights that really have a quantised type")
    threads: int = execution(0, ge=0, description="Threads of one torch operation; 0: all cores")


class DeploymentConfig(Section):
    """What is served, and how. Limits hold for each request; a request over one gets an error that names it."""

    file: Literal["model-f16.gguf", "model-q8_0.gguf", "model-q4_0.gguf"] = Field(
        "model-q8_0.gguf", description="Which file of quantized_export is served"
    )
    model_id: str = Field("llm-assets", pattern=r"^[A-Za-z0-9._-]+$", description="Name of the model in the API")
    questions: list[str] = Field(
        [
            prompts.describe_prompt("Electron"),
            prompts.topic_prompt(
                "A violin is a wooden string instrument that is played with a bow. Violins are used in many kinds of music."
            ),
            prompts.translate_prompt("Open the file"),
        ],
        min_length=1,
        description="Asked by HTTP before the deployment counts as made",
    )
    default_temperature: float = Field(0.0, ge=0, le=2, description="Where a request names none; 0 is greedy")
    default_max_tokens: int = Field(128, ge=1, description="Longest answer where a request names no limit, in tokens")
    max_tokens: int = Field(512, ge=1, description="Longest answer that a request can get, in tokens")
    max_body_bytes: int = Field(262_144, ge=1024, description="Largest request body")
    max_messages: int = Field(64, ge=1, description="Longest conversation")
    parallel: int = execution(2, ge=1, description="Requests answered at once")
    waiting: int = execution(16, ge=0, description="Requests that may wait for a turn; the next gets 429")
    requests_per_key: int = execution(
        0, ge=0, description="Requests that one API key may make until the server stops; 0: no limit"
    )
    threads: int = execution(1, ge=0, description="Threads of llama.cpp, which spin while they wait; 0: all cores")
    token_timeout_s: float = execution(60.0, gt=0, description="Longest wait for the next token")
    shutdown_s: int = execution(10, ge=0, description="How long running requests may still finish when the server is stopped")
