"""Release, first part: a model as GGUF files, proven equal to the model that was trained.

``quantize`` writes and measures (with ``lm.gguf`` and ``lm.llama_cpp``), ``measure`` compares with transformers, ``strings``
has the texts that tokenizers differ on, ``gates`` judges.
"""

from llm_assets.core.spec import AssetSpec, Input

_ONE_OF = "llm_assets.stages.export.source:used_only"

SPECS: tuple[AssetSpec, ...] = (
    AssetSpec(
        name="quantized_export",
        entry="llm_assets.stages.export.quantize:run",
        code_version="3",
        inputs=(
            Input("rlhf_model", optional=True, fingerprint=_ONE_OF),
            Input("sft_model", optional=True, fingerprint=_ONE_OF),
            Input("base_model", optional=True, fingerprint=_ONE_OF),
            Input("eval_suite"),
        ),
        gates="llm_assets.stages.export.gates:gates",
        gate_names=("export_complete", "export_same_ids", "export_same_predictions", "export_perplexity", "export_types"),
        code=(
            "llm_assets.lm.chat",
            "llm_assets.lm.gguf",
            "llm_assets.lm.llama_cpp",
            "llm_assets.lm.model",
            "llm_assets.lm.model_card",
            "llm_assets.lm.tokenizer",
        ),
        libraries=("gguf", "xllamacpp", "torch", "transformers", "tokenizers"),
        process=True,
    ),
)
