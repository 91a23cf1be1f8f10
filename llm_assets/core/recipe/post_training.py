"""Sections of the post_training group: instruction_dataset, preference_dataset, sft_model, reward_model, rlhf_model."""

from typing import Literal, Self

from pydantic import Field, model_validator

from llm_assets.core.recipe.base import Section, execution
from llm_assets.core.recipe.expected import ExpectedRows


class InstructionDatasetConfig(Section):
    """Instruction data: four tasks over real pages and interface strings, split 8:1:1 by article."""

    languages: list[str] = Field(["en"], min_length=1, description="Languages of the pages that tasks are made of")
    seed: int = Field(17, ge=0, description="Salts the hash that splits and orders articles")
    max_articles: int = Field(0, ge=0, description="Articles used at most, by hash order; 0 takes all")
    min_description_words: int = Field(2, ge=1, description="Pages with a shorter description give no description task")
    max_description_words: int = Field(24, ge=1, description="Pages with a longer description give no description task")
    min_text_words: int = Field(12, ge=1, description="Pages with a shorter text give no task about the text")
    max_string_words: int = Field(24, ge=1, description="Longer interface strings are left out")
    max_shared_keys: int = Field(
        12, ge=2, description="A title or file name that more pages share does not make them one article"
    )
    overlap_words: int = Field(13, ge=3, description="Length of the word sequences that are compared with the evaluation suite")
    max_overlap: float = Field(
        0.3, gt=0, le=1, description="Largest share of an evaluation text's word sequences that one training text may hold"
    )
    share_tolerance: float = Field(0.02, gt=0, description="Gate: how far the split's shares may be from 0.8, 0.1, 0.1")
    min_rows_per_task: int = Field(50, ge=1, description="Gate: training rows that each task has at least")
    min_rows_per_topic: int = Field(20, ge=1, description="Gate: training rows that each evaluated topic has at least")
    expected: ExpectedRows = ExpectedRows()


class PreferenceDatasetConfig(Section):
    """Preference pairs: the true description against a wrong or damaged one."""

    seed: int = Field(17, ge=0, description="Salts the hashes that choose negatives")
    max_articles: int = Field(0, ge=0, description="Articles of the training split used at most, by hash order; 0 takes all")
    max_answer_words: int = Field(24, ge=1, description="Answers are compared after clipping to this many words")
    min_pairs: int = Field(400, ge=1, description="Gate: training pairs")
    balance_tolerance: float = Field(0.1, gt=0, lt=1, description="Gate: how far a kind's share of a split may be from 1/4")
    expected: ExpectedRows = ExpectedRows()


class FinetuneConfig(Section):
    """What the two trainings that run in TRL share. Steps are optimiser steps."""

    seed: int = Field(17, ge=0, description="Seed of the data order, of dropout and of new weights")
    max_steps: int = Field(300, ge=1)
    batch_size: int = Field(32, ge=1, description="Rows an optimiser step")
    learning_rate: float = Field(1e-3, gt=0)
    warmup_steps: int = Field(10, ge=0, description="Linear warm-up; cosine to zero after")
    weight_decay: float = Field(0.01, ge=0)
    adam_beta2: float = Field(0.98, gt=0, lt=1)
    gradient_clip: float = Field(1.0, gt=0, description="Largest norm of the gradient")
    max_tokens: int = Field(320, ge=8, description="Longer rows are left out and counted; no answer is ever cut")
    dtype: Literal["float32", "bfloat16"] = Field("bfloat16", description="Of matrix products; weights stay float32")
    evaluate_every: int = Field(50, ge=1, description="Steps between validations, which are also checkpoints")
    validation_rows: int = Field(256, ge=1, description="Validation rows of each validation, by hash order")
    patience: int = Field(3, ge=1, description="Validations without a better loss after which training stops")
    device: str = execution("auto", description="auto, cpu, cuda or cuda:N")
    threads: int = execution(0, ge=0, description="Threads of one torch operation; 0 = all cores")


class LoraConfig(Section):
    """A low-rank adapter on all linear layers."""

    rank: int = Field(16, ge=1)
    alpha: float = Field(32.0, gt=0, description="The update is scaled by alpha / rank")
    dropout: float = Field(0.0, ge=0, lt=1)
    learning_rate: float = Field(4e-3, gt=0)
    demo_steps: int = Field(40, ge=0, description="Steps of the small adapter trained beside a full fine-tuning; 0 = none")
    verify_rows: int = Field(32, ge=1, description="Validation rows on which the merged model is compared")
    max_logit_difference: float = Field(1e-3, gt=0, description="Gate: adapter apart against merged, in float32")
    min_token_agreement: float = Field(
        0.999, gt=0, le=1, description="Gate: share of answer positions with the same greedy token"
    )


class SftModelConfig(FinetuneConfig):
    """Supervised fine-tuning on the answers only."""

    method: Literal["full", "lora"] = Field("full", description="All weights, or a low-rank adapter that is merged at the end")
    task_shares: dict[str, float] = Field(
        {"describe": 0.15, "summarise": 0.35, "topic": 0.35, "translate": 0.15},
        min_length=1,
        description="Task → share of the training rows drawn; each task goes through its own rows again and again",
    )
    lora: LoraConfig = LoraConfig()
    max_untrained_share: float = Field(
        0.001, ge=0, lt=1, description="Rows without a trained token above this share are an error"
    )
    max_left_out_share: float = Field(0.02, ge=0, lt=1, description="Gate: share of rows longer than max_tokens")
    min_loss_gain_nats: float = Field(
        0.1, ge=0, description="Gate: how far the validation loss must fall below that of the base model, a token"
    )


class RewardModelConfig(FinetuneConfig):
    """Reward model on preference pairs."""

    max_steps: int = Field(160, ge=1)
    batch_size: int = Field(
        32, ge=4, multiple_of=4, description="Pairs an optimiser step; the four of a question stay together"
    )
    learning_rate: float = Field(5e-4, gt=0)
    evaluate_every: int = Field(40, ge=1, description="Steps between validations, which are also checkpoints")
    validation_rows: int = Field(128, ge=1, description="Validation pairs of each validation, by hash order")
    center_coefficient: float = Field(0.01, ge=0, description="Weight of (chosen + rejected)², which keeps scores near zero")
    test_pairs: int = Field(1_000, ge=8, description="Held-out pairs of the final figures, by hash order")
    max_left_out_share: float = Field(0.02, ge=0, lt=1, description="Gate: share of pairs left out as too long or equal")
    max_equal_share: float = Field(0.001, ge=0, lt=1, description="Gate: share of pairs whose ids are equal")
    max_reload_difference: float = Field(1e-5, gt=0, description="Gate: score before saving against after loading")
    require_claims: bool = Field(
        True, description="Block a model that is not above the baselines, or near chance on a kind; off for smoke runs"
    )


class RlhfModelConfig(Section):
    """PPO against the reward model, with a KL penalty to the fine-tuned model.

    Rewards are in standard deviations (sd) of the reward model's scores on answers sampled from the fine-tuned model;
    KL is in nats a sequence (the whole answer).
    """

    seed: int = 1
    tasks: list[str] = Field(
        ["summarise"], min_length=1, description="Prompts of these tasks; it knows what the reward model knows"
    )
    max_prompt_tokens: int = Field(256, ge=1, description="Longer prompts are left out and counted")
    max_answer_tokens: int = Field(40, ge=1)
    iterations: int = Field(4, ge=1, description="Rounds of rollouts and updates")
    rollouts_per_iteration: int = Field(256, ge=2, description="Answers sampled a round")
    samples_per_prompt: int = Field(4, ge=1, description="Answers to one prompt in a round: each prompt is computed once")
    epochs: int = Field(1, ge=1, description="Passes over a round's rollouts")
    minibatch_size: int = Field(64, ge=1, description="Answers an optimiser step")
    learning_rate: float = Field(1e-4, gt=0)
    value_learning_rate: float = Field(1e-3, gt=0)
    clip_ratio: float = Field(0.2, gt=0, lt=1)
    value_clip: float = Field(0.2, gt=0, description="sd")
    gamma: float = Field(1.0, gt=0, le=1)
    gae_lambda: float = Field(0.95, ge=0, le=1)
    gradient_clip: float = Field(1.0, gt=0, description="Norm; policy and critic apart")
    kl_coefficient: float = Field(0.2, ge=0, description="sd of reward a nat")
    kl_controller: Literal["fixed", "adaptive"] = Field("fixed", description="adaptive: steer the coefficient to the target")
    kl_target_nats: float = Field(3.0, gt=0)
    kl_horizon: int = Field(2_000, ge=1, description="Sequences in which an adaptive coefficient changes by up to a fifth")
    kl_ceiling_nats: float = Field(6.0, gt=0, description="Mean KL that the kept model may not exceed")
    reward_clip_sd: float = Field(4.0, gt=0, description="Scores beyond are held at it")
    missing_end_penalty_sd: float = Field(1.0, ge=0, description="Taken off an answer that does not end by itself")
    ptx_coefficient: float = Field(0.5, ge=0, description="Weight of the supervised loss on reference answers; 0: off")
    ptx_batch_size: int = Field(32, ge=1, description="Reference answers an optimiser step")
    validation_prompts: int = Field(128, ge=2, description="Prompts on which each round is judged")
    test_prompts: int = Field(256, ge=2, description="Held-out prompts of the final figures")
    gold_slack: float = Field(
        0.5, ge=0, le=1, description="How far validation ROUGE-L of a kept round may fall, in lower halves of its interval"
    )
    collapse_kl_nats: float = Field(-0.1, lt=0, description="Mean sampled KL below it: sampling and scoring disagree")
    collapse_iterations: int = Field(2, ge=1, description="Rounds in a row below it that fail the asset")
    require_gain: bool = Field(True, description="Refuse a model whose reward gain is not above 0 by its interval")
    dtype: Literal["float32", "bfloat16"] = Field(
        "bfloat16", description="Of matrix products in training; weights stay float32"
    )
    device: str = execution("auto", description="auto, cpu, cuda or cuda:N")
    threads: int = execution(0, ge=0, description="Threads of one torch operation; 0 = all cores")

    @model_validator(mode="after")
    def _even(self) -> Self:
        for name in ("rollouts_per_iteration", "minibatch_size"):
            if getattr(self, name) % self.samples_per_prompt:
                raise ValueError(
                    f"{name} ({getattr(self, name)}) must be a multiple of samples_per_prompt ({self.samples_per_prompt})"
                )
        return self
