"""What the reward model thinks of each subject's descriptions: shown beside ROUGE, since PPO was trained on it."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from llm_assets.core.artefact import Artefact
from llm_assets.core.recipe.evaluation import EvalReportConfig
from llm_assets.core.statistics import bootstrap_interval
from llm_assets.lm import chat
from llm_assets.lm import device as devices
from llm_assets.lm import model as models
from llm_assets.lm import tokenizer as tokenizers
from llm_assets.lm.generation import right_pad
from llm_assets.stages.evals.answers import Answers
from llm_assets.stages.evals.metrics import Figure, figure
from llm_assets.stages.evals.suite import Item

REFERENCE = "reference"


def describe_rewards(
    reward_model: Artefact | None,
    tokenizer: Artefact,
    items: Sequence[Item],
    subjects: Mapping[str, Answers],
    config: EvalReportConfig,
) -> dict[str, Figure]:
    """Mean raw score of each subject's descriptions and of the references; empty without a reward model or items."""
    if reward_model is None or not items:
        return {}
    model = models.load(reward_model.files, kind="classifier", device=devices.resolve(config.device))
    engine = tokenizers.load_plain(tokenizer.files)
    texts = {REFERENCE: [item["reference"] for item in items]}
    texts.update({name: answers.texts["describe"] for name, answers in subjects.items() if "describe" in answers.texts})
    found = {}
    for name, answers in texts.items():
        chats = [_turns(engine, item["prompt"], answer) for item, answer in zip(items, answers, strict=True)]
        scores = _scores(model, chats, config.batch_size)
        found[name] = figure(sum(scores) / len(scores), bootstrap_interval(scores, config.seed, config.resamples), len(scores))
    return found


def _turns(engine: Any, prompt: str, answer: str) -> list[int]:
    """The chat up to the token that ends the answer's turn: where the reward model reads its score."""
    whole = chat.encode(engine, [{"role": "user", "content": prompt}, {"role": "assistant", "content": answer}])
    return whole.ids[: 1 + max(place for place, trained in enumerate(whole.mask) if trained)]


@torch.inference_mode()
def _scores(model: Any, chats: Sequence[list[int]], batch_size: int) -> list[float]:
    order = sorted(range(len(chats)), key=lambda index: (len(chats[index]), index))
    pad = int(model.config.pad_token_id)
    limit = int(model.config.max_position_embeddings)
    scores = [0.0] * len(chats)
    for start in range(0, len(order), batch_size):
        rows = order[start : start + batch_size]
        # Cut from the left: the end of the answer is where the score is read.
        ids = right_pad([chats[row][-limit:] for row in rows], fill=pad).to(model.device)
        logits = model(input_ids=ids, attention_mask=(ids != pad).long(), use_cache=False).logits
        for row, value in zip(rows, logits[:, 0].double().tolist(), strict=True):
            scores[row] = value
    return scores
