"""Asks one model everything in the suite.

Chat models get the very ids they were trained on. The base model has never seen a chat, so it gets worked examples in plain
text (the same questions, with answers from the training split) and its answer ends at the first line break: the fairest way
to ask a model that only continues texts. A topic is the class with the highest log-probability as the whole answer, its end
included.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from llm_assets.core.errors import InputError
from llm_assets.core.recipe.evaluation import EvalReportConfig
from llm_assets.lm import chat
from llm_assets.lm.generation import generate, sequence_logprobs
from llm_assets.lm.tokenizer import END_OF_TEXT, TURN_END, plain
from llm_assets.stages.evals.choices import score_choices
from llm_assets.stages.evals.suite import Item

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

WRITTEN = ("describe", "translate")
# The end of a worked example; a class is scored with it, so that one class that begins another is no advantage.
_BREAK = "\n\n"


@dataclass(frozen=True)
class Shot:
    """One worked example: a prompt of the training split with its answer."""

    prompt: str
    answer: str


@dataclass
class Answers:
    """What one subject (model or baseline) answered: texts by task and, of a model, code lengths of the held-out texts."""

    texts: dict[str, list[str]] = field(default_factory=dict)
    ended: dict[str, float] = field(default_factory=dict)  # share of answers that ended by themselves
    nats: list[float] = field(default_factory=list)  # −log-probability of each perplexity item
    tokens: list[int] = field(default_factory=list)
    shots: int = 0


def control_id(tokenizer: "PreTrainedTokenizerFast", token: str) -> int:
    """The id of a control token; ``InputError`` where the tokenizer has none."""
    number = plain(tokenizer).token_to_id(token)
    if number is None:
        raise InputError(f"the tokenizer has no {token}; evaluation needs the tokenizer made by the asset 'tokenizer'")
    return int(number)


class Asker:
    """A model with its way of being asked: as a chat, or with worked examples by task."""

    def __init__(
        self,
        model: Any,
        tokenizer: "PreTrainedTokenizerFast",
        config: EvalReportConfig,
        shots: dict[str, list[Shot]] | None = None,
    ) -> None:
        self.model, self.tokenizer, self.config, self.shots = model, tokenizer, config, shots
        self.context = int(model.config.max_position_embeddings)
        self.document_end, self.turn_end = control_id(tokenizer, END_OF_TEXT), control_id(tokenizer, TURN_END)
        if shots is None:
            self.ends = [self.turn_end, self.document_end]
        else:  # a byte-level vocabulary writes a line break as Ċ
            vocabulary = plain(tokenizer).get_vocab()
            self.ends = [self.document_end, *(number for token, number in vocabulary.items() if "Ċ" in token)]
        self.fewest_shots = self.config.few_shot if shots is not None else 0

    def ask(self, tasks: dict[str, list[Item]]) -> Answers:
        """All tasks. Raises ``InputError`` where a prompt doesn't fit the model's positions even without examples."""
        found = Answers()
        found.texts["topic"] = self._topics(tasks["topic"])
        for task in WRITTEN:
            found.texts[task], found.ended[task] = self._write(task, tasks[task])
        found.nats, found.tokens = self._read([item["text"] for item in tasks["perplexity"]])
        found.shots = self.fewest_shots
        return found

    def _prompts(self, task: str, items: Sequence[Item], room: int) -> list[list[int]]:
        """Ids of each item's prompt, which leave ``room`` tokens for what follows."""
        if self.shots is None:
            return [
                chat.encode(self.tokenizer, [{"role": "user", "content": item["prompt"]}], add_generation_prompt=True).ids
                for item in items
            ]
        examples = self.shots.get(task, [])
        for count in range(len(examples), -1, -1):
            head = "".join(f"{shot.prompt}\nAnswer: {shot.answer}{_BREAK}" for shot in examples[:count])
            prompts = chat.encode_texts(self.tokenizer, [f"{head}{item['prompt']}\nAnswer:" for item in items])
            prompts = [[self.document_end, *ids] for ids in prompts]
            if max(map(len, prompts), default=0) + room <= self.context:
                self.fewest_shots = min(self.fewest_shots, count)
                return prompts
        raise InputError(
            f"the prompts of the task {task!r} don't fit the model's {self.context} positions; shorten the prompts"
        )

    def _topics(self, items: Sequence[Item]) -> list[str]:
        if not items:
            return []
        names = sorted({name for item in items for name in item["choices"]})
        if self.shots is None:
            ids = {name: [*chat.encode_text(self.tokenizer, name), self.turn_end] for name in names}
        else:
            ids = {name: chat.encode_text(self.tokenizer, f" {name}{_BREAK}") for name in names}
        prompts = self._prompts("topic", items, max(map(len, ids.values())))
        choices = [[ids[name] for name in item["choices"]] for item in items]
        scores = score_choices(self.model, prompts, choices, batch_size=self.config.batch_size)
        return [item["choices"][row.index(max(row))] for item, row in zip(items, scores, strict=True)]

    def _write(self, task: str, items: Sequence[Item]) -> tuple[list[str], float]:
        if not items:
            return [], 0.0
        limit = self.config.max_new_tokens if task == "describe" else self.config.max_new_tokens_translate
        prompts = self._prompts(task, items, limit)
        answers = generate(
            self.model,
            prompts,
            max_new_tokens=limit,
            eos_ids=self.ends,
            batch_size=self.config.batch_size,
            seed=self.config.seed,
        )
        ends = set(self.ends)
        ended = sum(bool(ids) and ids[-1] in ends for ids in answers) / len(answers)
        kept = [ids[:-1] if ids and ids[-1] in ends else ids for ids in answers]
        return [" ".join(self.tokenizer.decode(ids, skip_special_tokens=True).split()) for ids in kept], ended

    def _read(self, texts: Sequence[str]) -> tuple[list[float], list[int]]:
        """−log-probability (nats) and tokens of each text after a document separator.

        A text longer than the model's positions is scored in pieces, each after a separator: no better than the whole.
        """
        rows: list[list[int]] = []
        owners: list[int] = []
        for owner, ids in enumerate(chat.encode_texts(self.tokenizer, texts)):
            for start in range(0, len(ids), self.context - 1):
                rows.append([self.document_end, *ids[start : start + self.context - 1]])
                owners.append(owner)
        marks = [[False] + [True] * (len(row) - 1) for row in rows]
        nats, tokens = [0.0] * len(texts), [0] * len(texts)
        scores = sequence_logprobs(self.model, rows, marks, batch_size=self.config.batch_size)
        for owner, row, score in zip(owners, rows, scores, strict=True):
            nats[owner] -= score
            tokens[owner] += len(row) - 1
        return nats, tokens
