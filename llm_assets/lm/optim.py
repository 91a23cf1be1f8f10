"""Optimisers: Muon for the matrices of the layers, AdamW for everything else.

Muon (Jordan et al. 2024) replaces the momentum of a matrix by the nearest orthogonal one. ``BatchedMuon`` is torch's own
``torch.optim.Muon``, which treats one matrix at a time, over stacks of matrices of one shape: the same update in
a fraction of the calls, three times as fast for matrices of 192 × 512.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

# Rows of rare ids have gradients far below the usual 1e-8, which would then hold their updates back.
_ADAMW_EPS = 1e-10
_EMBEDDINGS = ("embed_tokens.weight", "lm_head.weight", "score.weight")


def orthogonalise(stack: Tensor, coefficients: tuple[float, float, float], steps: int, eps: float) -> Tensor:
    """Newton-Schulz iteration towards the orthogonal factor of each matrix of a stack (n, rows, columns), in bfloat16.

    The quintic and its coefficients are those of ``torch.optim.Muon``: singular values end between about 0.7 and 1.2, not at 1.
    """
    a, b, c = coefficients
    x = stack.bfloat16()
    tall = x.shape[-2] > x.shape[-1]
    if tall:
        x = x.mT.contiguous()
    x = x / torch.linalg.matrix_norm(x, keepdim=True).clamp(min=eps)
    for _ in range(steps):
        gram = torch.bmm(x, x.mT)
        polynomial = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
        x = torch.baddbmm(x, polynomial, x, beta=a)
    return x.mT if tall else x


class BatchedMuon(torch.optim.Muon):
    """``torch.optim.Muon`` with matrices of equal shape updated together; options and state are its own."""

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One update; returns what ``closure`` (evaluated with gradients on) returned."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            by_shape: dict[tuple[int, ...], list[Tensor]] = defaultdict(list)
            for parameter in group["params"]:
                if parameter.grad is not None:
                    by_shape[tuple(parameter.shape)].append(parameter)
            for parameters in by_shape.values():
                self._update(group, parameters)
        return loss

    def _update(self, group: dict[str, Any], parameters: list[Tensor]) -> None:
        momentum, updates = group["momentum"], []
        for parameter in parameters:
            grad, state = parameter.grad, self.state[parameter]
            if grad is None:
                raise RuntimeError("a parameter lost its gradient during the step")
            if "momentum_buffer" not in state:
                state["momentum_buffer"] = torch.zeros_like(grad)
            buffer = state["momentum_buffer"].lerp_(grad, 1 - momentum)
            updates.append(grad.lerp(buffer, momentum) if group["nesterov"] else buffer)
        stack = orthogonalise(torch.stack(updates), group["ns_coefficients"], group["ns_steps"], group["eps"])
        rows, columns = parameters[0].shape
        rate = group["lr"] * _shape_factor(group["adjust_lr_fn"], rows, columns)
        for parameter, update in zip(parameters, stack.float().unbind(), strict=True):
            parameter.mul_(1 - group["lr"] * group["weight_decay"]).add_(update, alpha=-rate)


def _shape_factor(kind: str | None, rows: int, columns: int) -> float:
    """How the learning rate of a matrix depends on its shape: ``original`` (Jordan) or ``match_rms_adamw`` (Moonshot)."""
    if kind == "match_rms_adamw":
        return 0.2 * math.sqrt(max(rows, columns))
    return math.sqrt(max(1.0, rows / columns))


def split_parameters(model: nn.Module) -> dict[str, list[nn.Parameter]]:
    """Trainable parameters by how they are updated: ``matrices`` (of the layers), ``embeddings`` (and heads), ``vectors``."""
    parts: dict[str, list[nn.Parameter]] = {"matrices": [], "embeddings": [], "vectors": []}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        if name.endswith(_EMBEDDINGS):
            parts["embeddings"].append(parameter)
        else:
            parts["matrices" if parameter.ndim == 2 else "vectors"].append(parameter)
    return parts


class Optimizers:
    """Several optimisers driven as one; ``set_rate`` multiplies each group's own peak learning rate."""

    def __init__(self, optimizers: Iterable[torch.optim.Optimizer]) -> None:
        self.all = list(optimizers)
        for optimizer in self.all:
            for group in optimizer.param_groups:
                group["peak_lr"] = float(group["lr"])

    def set_rate(self, multiplier: float) -> None:
        """Learning rate of every group = its peak × ``multiplier``."""
        for optimizer in self.all:
            for group in optimizer.param_groups:
                group["lr"] = group["peak_lr"] * multiplier

    def rates(self) -> list[float]:
        """The learning rate of each group now."""
        return [float(group["lr"]) for optimizer in self.all for group in optimizer.param_groups]

    def step(self) -> None:
        """Update all parameters and drop their gradients."""
        for optimizer in self.all:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)

    def state_dict(self) -> list[dict[str, Any]]:
        """States in order, for a checkpoint."""
        return [optimizer.state_dict() for optimizer in self.all]

    def load_state_dict(self, states: list[dict[str, Any]]) -> None:
        """What ``state_dict`` gave."""
        for optimizer, state in zip(self.all, states, strict=True):
            optimizer.load_state_dict(state)


def muon_and_adamw(
    model: nn.Module,
    *,
    muon_lr: float,
    adamw_lr: float,
    weight_decay: float,
    embedding_decay: float = 0.0,
    muon_momentum: float = 0.95,
    adamw_beta2: float = 0.95,
) -> Optimizers:
    """Muon for the layers' matrices, fused AdamW for embeddings and vectors (vectors are never decayed)."""
    parts = split_parameters(model)
    groups = [
        {"params": parts["embeddings"], "weight_decay": embedding_decay},
        {"params": parts["vectors"], "weight_decay": 0.0},
    ]
    adamw = torch.optim.AdamW(
        [group for group in groups if group["params"]], lr=adamw_lr, betas=(0.9, adamw_beta2), eps=_ADAMW_EPS, fused=True
    )
    muon = BatchedMuon(parts["matrices"], lr=muon_lr, momentum=muon_momentum, weight_decay=weight_decay)
    return Optimizers([muon, adamw])
