"""The release group: the quantised files and what is served."""

from llm_assets.defs.skin import Skin

SKINS = (
    Skin(
        "quantized_export",
        "release",
        "GGUF F16, Q8_0 and Q4_0, each loaded in llama.cpp and compared with the original: ids, log-probabilities, perplexity.",
        frozenset({"gguf"}),
    ),
    Skin(
        "deployment",
        "release",
        "Which file the gateway serves; proved by starting it and asking.",
        frozenset({"starlette"}),
    ),
)
