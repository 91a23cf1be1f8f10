"""Pre-training on a CPU: our loss against transformers' modules, Muon in stacks against torch's. Prints tokens/s and ratios.

    python benchmarks/pretraining.py [--rows 8] [--length 256] [--repeats 12]

Same model of the demo's shape, same batch, bfloat16 products, forward and backward; transformers both with its SDPA and its
eager attention. Then one update of all matrices by ``torch.optim.Muon`` and by ours. Variants take turns; the best of the
repeats counts, because other work on the machine only ever adds time. ``llm_assets`` is imported before torch, so that waiting
threads sleep (see its ``__init__``).
"""

import llm_assets  # noqa: F401  isort: skip

import argparse
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

from llm_assets.core.recipe.pretraining import ModelShape
from llm_assets.lm import device, fused, optim
from llm_assets.lm import model as models

VOCABULARY = 4096
CPU = torch.device("cpu")


def ours(model: nn.Module, batch: Tensor) -> Tensor:
    labels = batch[:, 1:].contiguous()
    return fused.loss(model, batch[:, :-1].contiguous(), labels, 1 / labels.numel(), torch.bfloat16)


def stock(model: nn.Module, batch: Tensor) -> Tensor:
    with device.autocast(CPU, "bfloat16"):
        logits = model(input_ids=batch[:, :-1], use_cache=False).logits
        return nn.functional.cross_entropy(logits.float().flatten(0, 1), batch[:, 1:].flatten())


def best(variants: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Seconds of the fastest of ``repeats`` calls of each, in turns, after two calls that don't count."""
    found = dict.fromkeys(variants, float("inf"))
    for turn in range(repeats + 2):
        for name, call in variants.items():
            start = time.perf_counter()
            call()
            if turn > 1:
                found[name] = min(found[name], time.perf_counter() - start)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=8)
    parser.add_argument("--length", type=int, default=256)
    parser.add_argument("--repeats", type=int, default=12)
    arguments = parser.parse_args()
    device.set_threads(0)
    device.keep_freed_memory()
    batch = torch.randint(2, VOCABULARY, (arguments.rows, arguments.length + 1), generator=torch.Generator().manual_seed(0))
    built = {
        attention: models.build(ModelShape(), VOCABULARY, seed=1, eos_id=0, pad_id=1, attention=attention).train()
        for attention in ("sdpa", "eager")
    }

    def step(loss: Callable[[nn.Module, Tensor], Tensor], attention: str) -> Callable[[], object]:
        def call() -> float:
            built[attention].zero_grad()
            value = loss(built[attention], batch)
            value.backward()  # type: ignore[no-untyped-call]
            return float(value.detach())

        return call

    variants = {
        "ours": step(ours, "sdpa"),
        "transformers, sdpa": step(stock, "sdpa"),
        "transformers, eager": step(stock, "eager"),
    }
    print("loss in nats:", ", ".join(f"{name} {call():.4f}" for name, call in variants.items()))
    seconds = best(variants, arguments.repeats)
    tokens = arguments.rows * arguments.length
    for name, value in seconds.items():
        print(f"{name:22} {1e3 * value:7.1f} ms  {tokens / value:8.0f} tokens/s  ours {value / seconds['ours']:.2f}x as fast")

    matrices = optim.split_parameters(built["sdpa"])["matrices"]
    for number, matrix in enumerate(matrices):
        matrix.grad = torch.randn(matrix.shape, generator=torch.Generator().manual_seed(number))
    muons = {"ours": optim.BatchedMuon(matrices, lr=0.02), "torch.optim.Muon": torch.optim.Muon(matrices, lr=0.02)}
    seconds = best({name: muon.step for name, muon in muons.items()}, arguments.repeats)
    for name, value in seconds.items():
        ratio = value / seconds["ours"]
        print(f"{name:22} {1e3 * value:7.1f} ms an update of {len(matrices)} matrices  ours {ratio:.2f}x as fast")


if __name__ == "__main__":
    main()
