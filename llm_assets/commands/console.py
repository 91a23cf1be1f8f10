"""What a person sees while assets are made: one live bar for what runs, one line for what is done.

Libraries and training processes write what they like to file descriptors 1 and 2; Dagster keeps it with the run (and passes it
on). Here both go to ``console.log`` in the Dagster home while assets are made, and the console writes to a copy made before.
"""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from llm_assets.core.produce import Outcome
from llm_assets.core.store import named

# Which metrics a person wants to see in the one line of an asset; what an artefact has not is left out.
HIGHLIGHTS: dict[str, tuple[str, ...]] = {
    "raw_crawl": ("pages", "images", "revisits", "requests_per_second"),
    "extracted_pages": ("documents_in", "kept"),
    "image_dataset": ("documents_in", "kept", "captioned"),
    "cleaned_corpus": ("documents_in", "kept", "words"),
    "deduped_shards": (
        "kept",
        "dropped:exact_duplicate",
        "dropped:near_duplicate",
        "dropped:contaminated",
        "superseded",
    ),
    "tokenizer": ("vocab_size", "documents"),
    "tokenized_dataset": ("tokens", "bytes_per_token"),
    "training_mix": ("train_tokens", "validation_tokens"),
    "base_model": ("parameters", "tokens", "tokens_per_second", "bits_per_byte"),
    "instruction_dataset": ("rows_train", "rows_validation", "rows_test"),
    "preference_dataset": ("pairs_train", "pairs_test"),
    "sft_model": ("steps", "validation_loss_nats", "trained_token_share", "lora_max_logit_difference"),
    "reward_model": ("accuracy", "pairs_test"),
    "rlhf_model": ("rounds", "reward_gain_sd", "mean_kl_nats"),
    "eval_suite": ("items_topic", "items_describe", "items_translate", "items_perplexity"),
    "eval_report": ("topic_sft_model_accuracy", "describe_sft_model_rougeL", "perplexity_base_model_bits_per_byte"),
    "refresh_ablation": ("verdict", "difference_bits_per_byte", "models"),
    "quantized_export": ("q8_0_bits_per_weight", "q4_0_bits_per_weight", "strings"),
    "deployment": ("questions", "latency_median_s"),
}


def own_stdout() -> IO[str]:
    """A text stream on a copy of standard output."""
    try:
        return os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8", buffering=1)
    except (OSError, ValueError):  # a captured stdout (tests) has no descriptor
        return sys.stdout


@contextmanager
def quiet_descriptors(log: Path) -> Iterator[None]:
    """Send descriptors 1 and 2 of this process and its children to the end of ``log``."""
    log.parent.mkdir(parents=True, exist_ok=True)
    sys.stdout.flush()
    sys.stderr.flush()
    kept = os.dup(1), os.dup(2)
    with open(log, "ab") as handle:
        os.dup2(handle.fileno(), 1)
        os.dup2(handle.fileno(), 2)
    try:
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for number, copy in enumerate(kept, 1):
            os.dup2(copy, number)
            os.close(copy)


def short(value: Any) -> str:
    """A number as a person reads it: 12,345 or 0.123 or 1.79."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return str(value)


class ConsoleListener:
    """Listens to every asset of this process and draws; use as a context manager."""

    def __init__(self, stream: IO[str] | None = None) -> None:
        self.console = Console(file=stream or own_stdout(), highlight=False, soft_wrap=True)
        self.seconds: dict[str, float] = {}
        self.failures: dict[str, str] = {}
        self._bars = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[state]}"),
            TimeElapsedColumn(),
            console=self.console,
            transient=True,
            disable=not self.console.is_terminal,
        )
        self._tasks: dict[str, TaskID] = {}
        self._started: dict[str, float] = {}

    def __enter__(self) -> "ConsoleListener":
        from llm_assets.defs.progress import LISTENERS

        LISTENERS.append(self)
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        from llm_assets.defs.progress import LISTENERS

        LISTENERS.remove(self)
        self._bars.stop()

    def on_start(self, asset: str, partition: str) -> None:
        """A bar appears."""
        self._started[asset] = time.perf_counter()
        self._tasks[asset] = self._bars.add_task(asset, total=None, state="")

    def on_progress(self, asset: str, done: int, total: int | None, unit: str, metrics: dict[str, float]) -> None:
        """The bar moves."""
        if asset in self._tasks:
            figures = " ".join(f"{key} {short(number)}" for key, number in metrics.items())
            of = f"{done:,}/{total:,} {unit}" if total else f"{done:,} {unit}"
            self._bars.update(self._tasks[asset], completed=done, total=total, state=f"{of} {figures}".strip())

    def on_finish(self, asset: str, partition: str, outcome: Outcome) -> None:
        """The bar becomes a line."""
        seconds = self._end(asset)
        figures = {**outcome.report.counts, **outcome.report.metrics}
        chosen = [f"{key.replace('_', ' ')} {short(figures[key])}" for key in HIGHLIGHTS.get(asset, ()) if key in figures]
        state = "[cyan]reused[/]" if outcome.reused else f"{seconds:6.1f} s"
        mark = "[red]✗[/]" if outcome.failed else "[green]✓[/]"
        self.console.print(f"{mark} {named(asset, partition):<36} {state:>9}  {' · '.join(chosen)}")
        for gate in outcome.gates:
            if not gate.passed:
                word = "[red]refused[/]" if gate.blocking else "[yellow]warning[/]"
                self.console.print(f"    {word} {gate.name}: ", end="")
                self.console.print(gate.message, markup=False)
        if outcome.failed:
            self.failures[asset] = f"refused by {', '.join(outcome.failed)}"

    def on_fail(self, asset: str, partition: str, message: str) -> None:
        """The bar becomes a sentence."""
        self._end(asset)
        self.failures[asset] = message
        self.console.print(f"[red]✗[/] {asset}: ", end="")
        self.console.print(message, markup=False)

    def _end(self, asset: str) -> float:
        seconds = time.perf_counter() - self._started.pop(asset, time.perf_counter())
        self.seconds[asset] = self.seconds.get(asset, 0.0) + seconds
        task = self._tasks.pop(asset, None)
        if task is not None:
            self._bars.remove_task(task)
        return seconds
