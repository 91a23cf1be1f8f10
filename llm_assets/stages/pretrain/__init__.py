"""Pre-training: the base model, from random weights, held against Kneser-Ney n-gram models on the same documents.

``lm/pretraining`` trains, ``kneser_ney`` is the bar, ``heldout`` compares, ``model`` is the stage, ``gates`` judges.
"""

from llm_assets.core.spec import AssetSpec, Input

SPECS: tuple[AssetSpec, ...] = (
    AssetSpec(
        name="base_model",
        entry="llm_assets.stages.pretrain.model:run",
        inputs=(
            Input("training_mix"),
            Input("tokenized_dataset", "read_by", by="training_mix"),
            Input("tokenizer"),
            Input("eval_suite", optional=True),
        ),
        gates="llm_assets.stages.pretrain.gates:gates",
        gate_names=("base_loss_finite", "base_learned", "base_beats_bigram", "base_reloads"),
        code=(
            "llm_assets.lm.chat",
            "llm_assets.lm.checkpoint",
            "llm_assets.lm.data",
            "llm_assets.lm.fused",
            "llm_assets.lm.heldout",
            "llm_assets.lm.model",
            "llm_assets.lm.model_card",
            "llm_assets.lm.optim",
            "llm_assets.lm.pretraining",
            "llm_assets.lm.schedule",
            "llm_assets.lm.scoring",
            "llm_assets.lm.tokenizer",
        ),
        libraries=("torch", "transformers"),
        process=True,
    ),
)
