"""``llm-assets train-classifier``: labelled texts to a classifier, how well it does, and what to write into a recipe."""

from pathlib import Path
from typing import Any

from llm_assets.core.errors import InputError


def run_train_classifier(labels: Path, out: Path, bits: int, epochs: int, seed: int) -> str:
    """Train, write ``out``, and return what to print. ``InputError`` where the labels or the name of the file won't do."""
    from llm_assets.stages.clean import linear

    if out.suffix != ".safetensors":
        raise InputError(f"{out}: a classifier is a .safetensors file; name one, such as {out.with_suffix('.safetensors')}")
    model, told = linear.train(linear.read_labels(labels), bits=bits, epochs=epochs, seed=seed)
    digest = model.save(out, told)
    return "\n".join([*_told(told), "", *_recipe(out, digest, model.labels)])


def _told(told: dict[str, Any]) -> list[str]:
    held = told["held_out"]
    lines = [
        f"{sum(told['texts'].values())} texts, {held['texts']} of them held out: {held['accuracy']:.3f} are labelled right"
    ]
    lines.append(f"{'label':<24}{'texts':>8}{'held out':>10}{'precision':>11}{'recall':>8}")
    for label, count in sorted(told["texts"].items()):
        found = held[label]
        lines.append(f"{label:<24}{count:>8}{found['texts']:>10}{found['precision']:>11.3f}{found['recall']:>8.3f}")
    return lines


def _recipe(out: Path, digest: str, labels: tuple[str, ...]) -> list[str]:
    return [
        "In a recipe (label: the one that pages must have; threshold: the least score of it):",
        "",
        "cleaned_corpus:",
        "  classifier:",
        "    enabled: true",
        f"    path: {out.resolve()}",
        f"    sha256: {digest}",
        f"    label: {labels[0]}",
        "    threshold: 0.5",
    ]
