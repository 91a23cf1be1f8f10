"""Serving: the exported model behind an API, and the proof that it answers."""

from llm_assets.core.spec import AssetSpec, Input

SPECS: tuple[AssetSpec, ...] = (
    AssetSpec(
        name="deployment",
        entry="llm_assets.stages.serving.deployment:run",
        inputs=(Input("quantized_export"), Input("tokenizer")),
        gates="llm_assets.stages.serving.deployment:gates",
        gate_names=("answered", "key_required", "ids_identical", "answers_identical", "file_untouched"),
        code=("llm_assets.stages.serving", "llm_assets.lm.chat", "llm_assets.lm.tokenizer"),
        libraries=("xllamacpp", "tokenizers", "starlette"),
        process=True,
    ),
)
