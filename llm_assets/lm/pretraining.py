"""The training loop: next-token prediction with Muon and AdamW, resumable at any step, bit for bit on a CPU.

What a step computes depends on the step, the recipe and the mix only: the batch comes from ``TokenStream``, the learning rate
from ``schedule``, dropout from a seed that the step decides. A
checkpoint therefore holds weights, the optimisers' state and what was measured, and no generator.

Packed documents are kept apart by an attention mask (case B23): a separator begins a segment, and a token sees its own segment
only. The first token of a document is so predicted from the separator alone, as when documents are scored one by one; rotary
positions are relative, so they need no restart. With ``document_mask`` off, documents of a window see those before them.
"""

import copy
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from llm_assets.core.artefact import Artefact, Inputs
from llm_assets.core.progress import Progress
from llm_assets.core.recipe.pretraining import BaseModelConfig
from llm_assets.lm import checkpoint, fused, optim, schedule
from llm_assets.lm.data import TokenStream
from llm_assets.lm.device import DTYPES, autocast

LossFunction = Callable[[Tensor, Tensor, float], Tensor]  # ids, labels, weight → weight × sum of nats


@dataclass
class State:
    """What a checkpoint holds besides weights and optimisers. ``step`` is the number of steps done."""

    step: int = 0
    history: list[dict[str, float | int | None]] = field(default_factory=list)
    best_step: int = 0
    best_nats: float = math.inf
    without_gain: int = 0  # validations in a row
    best_weights: dict[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """A finished training; the model holds the weights of ``best_step``."""

    history: list[dict[str, float | int | None]]
    best_step: int
    best_nats: float
    stopped_early: bool
    tokens_per_second: float  # of the part that this process trained; 0 when it had nothing left to do


def document_mask(ids: Tensor, separator_id: int) -> Tensor:
    """(B, T) ids → (B, 1, T, T) to add to attention scores: 0 where a token may look, -inf elsewhere."""
    segment = (ids == separator_id).cumsum(1)
    allowed = (segment[:, None, :] == segment[:, :, None]).tril()
    return torch.zeros(allowed.shape, device=ids.device).masked_fill_(~allowed, float("-inf"))[:, None]


def add_dropout(model: nn.Module, probability: float) -> None:
    """Dropout on what each layer's attention and feed-forward half add, while the model is in training mode."""

    def hook(module: nn.Module, _inputs: Any, output: Any) -> Any:
        if not module.training:
            return output
        added, *rest = output if isinstance(output, tuple) else (output,)
        added = nn.functional.dropout(added, probability)
        return (added, *rest) if rest else added

    for layer in model.model.layers:  # type: ignore[union-attr]
        layer.self_attn.register_forward_hook(hook)
        layer.mlp.register_forward_hook(hook)


def loss_function(model: Any, config: BaseModelConfig, device: torch.device, separator_id: int) -> LossFunction:
    """The fast loss where it supports the model, else transformers' own modules under autocast."""
    fast = fused.supports(model, device)

    def mask(ids: Tensor) -> Tensor | None:
        return document_mask(ids, separator_id) if config.document_mask else None

    def by_hand(ids: Tensor, labels: Tensor, weight: float) -> Tensor:
        dropout = config.dropout if model.training else 0.0
        return fused.loss(model, ids, labels, weight, DTYPES[config.dtype], mask=mask(ids), dropout=dropout)

    def by_modules(ids: Tensor, labels: Tensor, weight: float) -> Tensor:
        with autocast(device, config.dtype):
            logits = model(input_ids=ids, attention_mask=mask(ids), use_cache=False).logits
            losses = nn.functional.cross_entropy(logits.float().flatten(0, 1), labels.flatten(), reduction="sum")
        return losses * weight

    if fast:
        return by_hand
    if config.dropout:
        add_dropout(model, config.dropout)
    return by_modules


def step_gradients(loss: LossFunction, batch: Tensor, micro_rows: int) -> float:
    """Gradients of a batch (rows, T + 1) in parts of ``micro_rows``; returns the mean loss in nats.

    Each part is weighted by its share of the batch's predicted tokens, never by the number of parts (case B22).
    """
    labels = batch[:, 1:].contiguous()
    weight = 1 / max(1, int((labels >= 0).sum()))
    total = 0.0
    for start in range(0, batch.shape[0], micro_rows or batch.shape[0]):
        rows = slice(start, start + (micro_rows or batch.shape[0]))
        part = loss(batch[rows, :-1].contiguous(), labels[rows], weight)
        part.backward()  # type: ignore[no-untyped-call]
        total += float(part.detach())
    return total


@torch.no_grad()
def mean_nats(model: nn.Module, loss: LossFunction, batches: list[Tensor]) -> float:
    """Mean loss over all tokens of the batches, in nats."""
    model.eval()
    counts = [int(batch[:, 1:].numel()) for batch in batches]
    sums = [float(loss(b[:, :-1].contiguous(), b[:, 1:].contiguous(), 1 / n)) * n for b, n in zip(batches, counts, strict=True)]
    model.train()
    return sum(sums) / sum(counts)


def validation_stream(mix: Artefact, inputs: Inputs, config: BaseModelConfig) -> TokenStream:
    """The validation split, in windows short enough for a small one to have any."""
    length = min(config.sequence_length, config.validation_tokens)
    return TokenStream(mix, inputs, "validation", length, config.batch_rows, config.seed)


def validation_batches(stream: TokenStream, config: BaseModelConfig, device: torch.device) -> list[Tensor]:
    """What a validation reads: whole batches, until ``validation_tokens`` are reached."""
    batches, tokens = [], 0
    for batch in stream.one_pass():
        batches.append(torch.from_numpy(batch).to(device))
        tokens += batch[:, 1:].size
        if tokens >= config.validation_tokens:
            break
    return batches


class Trainer:
    """One training; ``run`` goes on from the newest whole checkpoint below ``private``."""

    def __init__(
        self,
        model: Any,
        stream: TokenStream,
        validation: list[Tensor],
        config: BaseModelConfig,
        device: torch.device,
        private: Path,
    ) -> None:
        self.model, self.stream, self.validation, self.config, self.device = model, stream, validation, config, device
        self.folder = private / "checkpoints"
        self.loss = loss_function(model, config, device, stream.data.separator_id)
        self.optimizers = optim.muon_and_adamw(
            model,
            muon_lr=config.muon_lr,
            muon_momentum=config.muon_momentum,
            adamw_lr=config.adamw_lr,
            adamw_beta2=config.adamw_beta2,
            weight_decay=config.weight_decay,
            embedding_decay=config.embedding_decay,
        )
        self.state = State()

    def run(self, progress: Progress) -> Outcome:
        """Train to the end of the budget or until patience runs out; the model is left with its best weights."""
        self._resume(progress)
        config, state = self.config, self.state
        if not state.step and not state.history:
            state.best_nats = mean_nats(self.model, self.loss, self.validation)
            state.history.append(self._row(0, None, None, state.best_nats))
        first, clock = state.step, time.perf_counter()
        stopped = self._out_of_patience()
        self.model.train()
        while state.step < config.steps and not stopped:
            self._step()
            if state.step % config.evaluate_every_steps == 0 or state.step == config.steps:
                self._validate()
                stopped = self._out_of_patience()
            last = state.history[-1]
            shown = {key: float(value) for key, value in last.items() if key.endswith("_nats") and value is not None}
            progress.update(state.step, config.steps, "steps", **shown)
            if state.step % config.checkpoint_every_steps == 0 or state.step == config.steps or stopped:
                self._save()
        seconds, done = time.perf_counter() - clock, state.step - first
        if state.best_weights:
            self.model.load_state_dict(state.best_weights)
        self.model.eval()
        speed = done * config.batch_rows * config.sequence_length / seconds if done else 0.0
        return Outcome(state.history, state.best_step, state.best_nats, stopped, speed)

    def _step(self) -> None:
        config, step = self.config, self.state.step
        self.optimizers.set_rate(
            schedule.multiplier(
                config.schedule,
                step,
                config.steps,
                warmup_steps=int(config.warmup_fraction * config.steps),
                floor=config.final_lr_fraction,
            )
        )
        batch = torch.from_numpy(self.stream.batch(step)).to(self.device)
        with torch.random.fork_rng(devices=[self.device] if self.device.type == "cuda" else []):
            torch.manual_seed((config.seed << 32) + step)
            nats = step_gradients(self.loss, batch, config.micro_rows)
        rates = self.optimizers.rates()
        self.optimizers.step()
        self.state.step += 1
        self.state.history.append(self._row(self.state.step, nats, rates, None))

    def _row(self, step: int, nats: float | None, rates: list[float] | None, validation: float | None) -> dict[str, Any]:
        tokens = step * self.config.batch_rows * self.config.sequence_length
        muon, adamw = (rates[0], rates[-1]) if rates else (None, None)
        return {
            "step": step,
            "tokens": tokens,
            "loss_nats": nats,
            "learning_rate": muon,
            "adamw_learning_rate": adamw,
            "validation_nats": validation,
        }

    def _validate(self) -> None:
        state = self.state
        nats = mean_nats(self.model, self.loss, self.validation)
        state.history[-1]["validation_nats"] = nats
        if nats < state.best_nats - self.config.min_improvement_nats:
            state.best_nats, state.best_step, state.without_gain = nats, state.step, 0
            state.best_weights = copy.deepcopy(self.model.state_dict())
        else:
            state.without_gain += 1

    def _out_of_patience(self) -> bool:
        return self.state.without_gain >= self.config.patience and self.state.step < self.config.steps

    def _save(self) -> None:
        contents = {"state": vars(self.state), "model": self.model.state_dict(), "optimizers": self.optimizers.state_dict()}
        checkpoint.save(self.folder, self.state.step, contents)

    def _resume(self, progress: Progress) -> None:
        found = checkpoint.newest(self.folder, map_location=self.device)
        if found is None:
            return
        step, contents = found
        self.state = State(**contents["state"])
        self.model.load_state_dict(contents["model"])
        self.optimizers.load_state_dict(contents["optimizers"])
        progress.note(f"going on from the checkpoint of step {step}")
