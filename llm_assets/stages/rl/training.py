"""``rlhf_model``: PPO from the fine-tuned model against the reward model, and the round that is kept.

A policy can raise a learned reward and get worse. So each round is also judged on validation prompts by a gold metric
it is not trained on (ROUGE-L of greedy answers), and what is kept is the round with the best reward among those whose ROUGE-L
stays near the fine-tuned model's and whose KL is under the ceiling. If there is none, the fine-tuned model itself is kept and
the report says so. The final figures come from held-out prompts that chose nothing.
"""

from collections.abc import Sequence
from typing import Any

from llm_assets.core.artefact import Inputs, WorkDir
from llm_assets.core.progress import Progress
from llm_assets.core.recipe.post_training import RlhfModelConfig
from llm_assets.core.report import Report
from llm_assets.lm import device, model, tokenizer
from llm_assets.lm.tokenizer import TURN_END
from llm_assets.stages.rl import loop, prompts, reporting
from llm_assets.stages.rl.measuring import Scorer
from llm_assets.stages.rl.selection import Candidate, GoldBand


def run(inputs: Inputs, out: WorkDir, config: RlhfModelConfig, progress: Progress) -> Report:
    """Train, choose a round, judge it on held-out prompts, write the model folder. Resumes from ``out.private``."""
    device.set_threads(config.threads)
    cast = _load(inputs, config)
    data = _data(inputs, config, cast.tokenizer)
    before = loop.measure_on(cast, cast.reference, data.validation, config, loop.VALIDATION)
    band = GoldBand.of(before.rouge_l, slack=config.gold_slack, seed=config.seed)
    state = loop.initial(cast, config, Candidate.reference(band.mean))
    checkpoints = out.private / "checkpoints"
    if loop.resume(checkpoints, cast, state):
        progress.note(f"goes on after round {state.iteration} of {config.iterations}")
    while state.iteration < config.iterations and not loop.collapsed(state.history, config):
        row = loop.train_round(cast, data, state, config)
        row |= loop.judge(cast, data, state, config, before, band)
        state.history.append(row)
        loop.save(checkpoints, cast, state)
        shown = ("reward_sd", "kl_nats", "entropy_nats", "validation_reward_gain_sd", "validation_rouge_l")
        progress.update(state.iteration, config.iterations, "rounds", **{name: row[name] for name in shown})
    return _finish(inputs, out, cast, data, state, config, band)


def _load(inputs: Inputs, config: RlhfModelConfig) -> loop.Cast:
    target = device.resolve(config.device)
    folder = inputs.one("sft_model").files
    found = tokenizer.load(folder)
    reward = model.load(inputs.one("reward_model").files, kind="classifier", device=target).requires_grad_(False)
    reference = model.load(folder, device=target).requires_grad_(False)
    scorer = Scorer(reward, int(found.convert_tokens_to_ids(TURN_END)))
    return loop.Cast(model.load(folder, device=target), reference, scorer, found)


def _data(inputs: Inputs, config: RlhfModelConfig, found: Any) -> loop.Data:
    dataset = inputs.one("instruction_dataset")
    limits = prompts.Limits(config.max_prompt_tokens, config.max_answer_tokens)

    def examples(split: str, stream: int, count: int, tasks: Sequence[str]) -> tuple[list[prompts.Example], int]:
        seed = loop.stream_seed(config, stream)
        drawn, too_long = prompts.load(dataset, split, found, limits, count=count, seed=seed, tasks=tasks)
        prompts.require(drawn, split, tasks)
        return drawn, too_long

    rounds = config.iterations
    train, too_long = examples("train", loop.ORDER, rounds * loop.distinct_prompts(config), config.tasks)
    imitate, _ = examples("train", loop.IMITATION, max(1, rounds * loop.imitated_a_round(config)), ())
    validation, _ = examples("validation", loop.VALIDATION, config.validation_prompts, config.tasks)
    test, _ = examples("test", loop.TEST, config.test_prompts, config.tasks)
    return loop.Data(train=train, imitate=imitate, validation=validation, test=test, too_long=too_long)


def _finish(
    inputs: Inputs, out: WorkDir, cast: loop.Cast, data: loop.Data, state: loop.State, config: RlhfModelConfig, band: GoldBand
) -> Report:
    kept = cast.reference
    if state.kept_weights is not None:
        cast.policy.load_state_dict(state.kept_weights)
        kept = cast.policy
    before = loop.measure_on(cast, cast.reference, data.test, config, loop.TEST)
    after = before if kept is cast.reference else loop.measure_on(cast, kept, data.test, config, loop.TEST)
    model.save(kept, cast.tokenizer, out.files)
    texts = tuple(cast.tokenizer.batch_decode(found.answers, skip_special_tokens=True) for found in (before, after))
    return reporting.write(out.files, inputs, config, data, state, band, before, after, (texts[0], texts[1]))
