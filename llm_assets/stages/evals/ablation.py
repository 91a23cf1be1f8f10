"""``refresh_ablation``: does the newest crawl of the mix help? A tiny model trained with it and without, on equal budgets.

For each seed one model reads the training mix, the other the mix as it would be without its newest crawl (pages that the crawl
replaced are back in). Both then score the same held-out documents. The verdict is ``helps`` or ``harms`` only where the whole
95 % interval of the difference in bits per byte lies on one side of 0 and every seed agrees; else ``inconclusive``. The
interval is a bootstrap at two levels, seeds and documents (after Davison & Hinkley 1997, 3.8), so that the chance of a training
counts as well as the choice of documents; with three seeds it is rough, hence the second condition.

With one crawl there is nothing to compare, which is said, and nothing is trained. The difference is that of this budget and
this size: a small model that does not finish one pass sees little of what new pages are worth.
"""

import math
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from llm_assets.core import plots
from llm_assets.core.artefact import Inputs, WorkDir
from llm_assets.core.jsonio import read_json, write_json
from llm_assets.core.progress import Progress
from llm_assets.core.recipe.evaluation import RefreshAblationConfig
from llm_assets.core.report import Gate, Report

RESULTS_FILE, SCORES_FILE = "results.json", "scores.parquet"
HELPS, HARMS, INCONCLUSIVE, NOTHING = "helps", "harms", "inconclusive", "nothing to compare"
WITH, WITHOUT = "with", "without"
_CUTS = (0.025, 0.975)
Numbers = npt.NDArray[np.float64]


def run(inputs: Inputs, out: WorkDir, config: RefreshAblationConfig, progress: Progress) -> Report:
    """Train, score, compare. A killed run goes on with the models that are missing."""
    crawls = [str(entry["crawl"]) for entry in read_json(inputs.one("training_mix").file("mix.json"))["crawls"]]
    if len(crawls) < 2:
        progress.note(f"the mix has one crawl, {crawls[0]}: there is nothing to compare")
        results: dict[str, Any] = {"verdict": NOTHING, "crawls": crawls, "newest": crawls[-1], "arms": []}
        write_json(out.files / RESULTS_FILE, results)
        return Report(counts={"crawls": 1, "models": 0}, metrics={"verdict": NOTHING, "newest_crawl": crawls[-1]})
    from llm_assets.stages.evals.ablation_arms import train_and_score  # torch: not where there is nothing to train

    nats, sizes, about = train_and_score(inputs, out, config, crawls[-1], progress)
    results = compare(nats[WITH], nats[WITHOUT], sizes, resamples=config.resamples)
    results |= {"crawls": crawls, "newest": crawls[-1], "seeds": config.seeds, **about}
    write_json(out.files / RESULTS_FILE, results)
    _scores(nats, sizes, config.seeds).write_parquet(out.files / SCORES_FILE, compression="zstd")
    return _report(results, config.seeds, out.files)


def compare(with_nats: Numbers, without_nats: Numbers, sizes: Numbers, *, resamples: int) -> dict[str, Any]:
    """Verdict, difference (with − without; below 0 is a gain) and interval in bits per byte.

    Shapes: (seeds, documents) nats of each arm, (documents,) UTF-8 bytes.
    """
    difference = (with_nats - without_nats) / math.log(2)
    by_seed = difference.sum(axis=1) / sizes.sum()
    rng = np.random.default_rng(0)
    seeds, documents = difference.shape
    drawn_seeds = rng.integers(0, seeds, size=(resamples, seeds))
    drawn_documents = rng.integers(0, documents, size=(resamples, documents))
    resampled = [
        difference[np.ix_(mine, texts)].sum(axis=1).mean() / sizes[texts].sum()
        for mine, texts in zip(drawn_seeds, drawn_documents, strict=True)
    ]
    low, high = (float(cut) for cut in np.quantile(resampled, _CUTS))
    verdict = INCONCLUSIVE
    if high < 0 and (by_seed < 0).all():
        verdict = HELPS
    elif low > 0 and (by_seed > 0).all():
        verdict = HARMS
    bits = sizes.sum() * math.log(2)
    return {
        "verdict": verdict,
        "difference_bits_per_byte": float(by_seed.mean()),
        "interval": [low, high],
        "difference_by_seed": by_seed.tolist(),
        "bits_per_byte": {WITH: (with_nats.sum(axis=1) / bits).tolist(), WITHOUT: (without_nats.sum(axis=1) / bits).tolist()},
    }


def gates(inputs: Inputs, files: Path, config: RefreshAblationConfig, report: Report) -> list[Gate]:
    """Every model scored every document, and learned something: it predicts better than equal chances do."""
    results = read_json(files / RESULTS_FILE)
    if results["verdict"] == NOTHING:
        return [Gate("ablation_scored", True, f"one crawl, {results['newest']}: nothing to compare")]
    bits = [value for arm in results["bits_per_byte"].values() for value in arm]
    chance = results["chance_bits_per_byte"]
    sound = len(bits) == 2 * len(config.seeds) and all(math.isfinite(value) and value < chance for value in bits)
    return [
        Gate(
            "ablation_scored",
            sound,
            f"{len(bits)} models, {max(bits):.3f} bits per byte at most; equal chances give {chance:.3f}",
            {"worst_bits_per_byte": max(bits), "chance_bits_per_byte": chance},
        )
    ]


def _scores(nats: dict[str, Numbers], sizes: Numbers, seeds: list[int]) -> pl.DataFrame:
    rows = [
        {"arm": arm, "seed": seed, "document": number, "nats": float(value), "n_bytes": int(sizes[number])}
        for arm, table in nats.items()
        for seed, row in zip(seeds, table, strict=True)
        for number, value in enumerate(row)
    ]
    return pl.DataFrame(rows)


def _report(results: dict[str, Any], seeds: list[int], files: Path) -> Report:
    low, high = results["interval"]
    mean = results["difference_bits_per_byte"]
    singles = [(f"seed {seed}", value, value, value) for seed, value in zip(seeds, results["difference_by_seed"], strict=True)]
    plots.intervals(
        files / "plots/difference.png",
        [("all, 95 %", mean, low, high), *singles],
        title=f"With {results['newest']} and without: {results['verdict']}",
        x="difference in bits per byte on held-out documents; below 0 the crawl helps",
    )
    pairs = zip(seeds, results["bits_per_byte"][WITH], results["bits_per_byte"][WITHOUT], strict=True)
    return Report(
        counts={"crawls": len(results["crawls"]), "models": 2 * len(seeds), "heldout_documents": results["heldout_documents"]},
        metrics={
            "verdict": results["verdict"],
            "newest_crawl": results["newest"],
            "difference_bits_per_byte": mean,
            "interval_low": low,
            "interval_high": high,
            "train_tokens_each": results["train_tokens"],
            "passes_without": results["passes"][WITHOUT],
            "passes_with": results["passes"][WITH],
            "device": results["device"],
        },
        plots={"Does the newest crawl help?": "plots/difference.png"},
        tables={
            "Bits per byte": [
                {"seed": seed, "with": round(own, 5), "without": round(other, 5), "difference": round(own - other, 5)}
                for seed, own, other in pairs
            ]
        },
    )
