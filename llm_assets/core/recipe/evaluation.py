"""Sections of the evaluation group: eval_suite, eval_report, refresh_ablation."""

from pydantic import Field

from llm_assets.core.recipe.base import Section, execution
from llm_assets.core.recipe.pretraining import BaseModelConfig, ModelShape

_TINY = BaseModelConfig(
    model=ModelShape(hidden_size=96, n_layers=2, n_heads=3, n_kv_heads=3, head_dim=32, ffn_size=256),
    train_tokens=81_920,
    sequence_length=128,
    batch_rows=8,
    evaluate_every_steps=80,
    validation_tokens=8_192,
    checkpoint_every_steps=10_000,
)


class EvalSuiteConfig(Section):
    """What is held out and asked. Articles are chosen by a keyed hash of their title, strings by one of their text."""

    key: str = Field(
        "llm_assets eval 1", min_length=1, max_length=64, description="Key of the hash that chooses what is held out"
    )
    topic_items: int = Field(240, ge=1, description="Articles whose topic is asked")
    describe_items: int = Field(160, ge=1, description="Articles whose one-line description is asked")
    translate_items: int = Field(80, ge=0, description="English interface strings to put into French")
    perplexity_items: int = Field(120, ge=1, description="Articles whose text is scored in bits per byte")
    min_words: int = Field(40, ge=8, description="Shorter introductions are not held out: overlap could not find their copies")
    max_words: int = Field(150, ge=8, description="Longer introductions are not held out: they must fit the demo's context")
    min_string_words: int = Field(3, ge=1, description="Shorter interface strings are not held out")
    max_string_words: int = Field(20, ge=1, description="Longer interface strings are not held out")


class EvalReportConfig(Section):
    """How models are compared."""

    seed: int = Field(17, ge=0, description="Seed of the bootstraps and of the few-shot examples")
    resamples: int = Field(1000, ge=100, description="Bootstrap resamples behind each 95 % interval")
    few_shot: int = Field(3, ge=1, description="Worked examples in the base model's prompt, from the training split")
    max_new_tokens: int = Field(32, ge=1, description="Longest description, in tokens")
    max_new_tokens_translate: int = Field(48, ge=1, description="Longest translation, in tokens")
    samples_per_task: int = Field(12, ge=1, description="Items shown in full for a person to read")
    min_claim_items: int = Field(50, ge=1, description="With fewer items a claim is printed but does not apply")
    require_claims: bool = Field(True, description="Block when a claim on what was learned does not hold")
    device: str = execution("auto", description="auto, cpu, cuda or cuda:N")
    threads: int = execution(0, ge=0, description="Threads of one torch operation; 0 = all cores")
    batch_size: int = execution(64, ge=1, description="Sequences a forward pass")


class RefreshAblationConfig(Section):
    """Whether the newest crawl of the mix helps: a tiny model trained with it and without, on equal budgets, for some seeds."""

    training: BaseModelConfig = Field(_TINY, description="Of each of the models, as in base_model; its seed is set by seeds")
    seeds: list[int] = Field([1, 2, 3], min_length=2, description="Each trains a pair of models; at least two")
    heldout_documents: int = Field(120, ge=8, description="Documents that are scored: the evaluation suite's, at most so many")
    resamples: int = Field(2_000, ge=100, description="Bootstrap resamples behind the 95 % interval")
