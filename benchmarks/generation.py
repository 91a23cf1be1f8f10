"""Decoding: our loop against transformers' ``generate``: same model, prompts and greedy answers. Prints tokens/s and a ratio.

    python benchmarks/generation.py [--prompts 256] [--new-tokens 40] [--repeats 3]

The model has the demo's shape and random weights; its end token is made likely, so that answers end at different lengths as
real ones do. Both run batches of 64 sorted by length, padded on the left. The best of the repeats counts.
"""

import argparse
import random
import time

import torch
from transformers import GenerationConfig

from llm_assets.core.recipe.pretraining import ModelShape
from llm_assets.lm import device, model
from llm_assets.lm.generation import generate

END, PAD, BATCH, VOCABULARY = 3, 1, 64, 4096


def demo_model() -> torch.nn.Module:
    built = model.build(ModelShape(tie_embeddings=False), VOCABULARY, seed=1, eos_id=END, pad_id=PAD).eval()
    with torch.no_grad():
        # Scale the logits up, then lift the end token's until about one token in twelve is an end.
        generator = torch.Generator().manual_seed(1)
        built.lm_head.weight.copy_(torch.randn(built.lm_head.weight.shape, generator=generator))
        built.lm_head.weight[END] *= 1.8
    return built


def theirs(built: torch.nn.Module, prompts: list[list[int]], new_tokens: int) -> list[list[int]]:
    options = GenerationConfig(max_new_tokens=new_tokens, do_sample=False, eos_token_id=END, pad_token_id=PAD)
    answers: list[list[int]] = [[] for _ in prompts]
    order = sorted(range(len(prompts)), key=lambda index: len(prompts[index]))
    for start in range(0, len(order), BATCH):
        rows = order[start : start + BATCH]
        width = max(len(prompts[row]) for row in rows)
        ids = torch.tensor([[PAD] * (width - len(prompts[row])) + prompts[row] for row in rows])
        found = built.generate(ids, attention_mask=(ids != PAD).long(), generation_config=options)[:, width:].tolist()
        for row, answer in zip(rows, found, strict=True):
            answers[row] = answer[: answer.index(END) + 1] if END in answer else answer
    return answers


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prompts", type=int, default=256)
    parser.add_argument("--new-tokens", type=int, default=40)
    parser.add_argument("--repeats", type=int, default=3)
    asked = parser.parse_args()
    threads = device.set_threads()
    built, draw = demo_model(), random.Random(1)
    prompts = [[draw.randrange(4, VOCABULARY) for _ in range(draw.randint(70, 150))] for _ in range(asked.prompts)]
    runs = {
        "ours": lambda: generate(built, prompts, max_new_tokens=asked.new_tokens, eos_ids=[END], batch_size=BATCH),
        "transformers": lambda: theirs(built, prompts, asked.new_tokens),
    }
    best, answers = dict.fromkeys(runs, float("inf")), {}
    for _ in range(asked.repeats):
        for name, run in runs.items():
            start = time.perf_counter()
            answers[name] = run()
            best[name] = min(best[name], time.perf_counter() - start)
    same = sum(one == two for one, two in zip(answers["ours"], answers["transformers"], strict=True))
    tokens = sum(map(len, answers["ours"]))
    print(f"{asked.prompts} prompts, {tokens} new tokens (mean {tokens / asked.prompts:.1f}), {threads} threads")
    for name, seconds in best.items():
        print(f"{name:>14}: {seconds:6.2f} s, {tokens / seconds:8.0f} tokens/s")
    print(f"ratio {best['transformers'] / best['ours']:.2f}; same answers {same} of {asked.prompts}")


if __name__ == "__main__":
    main()
