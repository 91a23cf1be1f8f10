"""Doctored artefacts: an entry that copies the current artefact of an asset and spoils it, as a fault of its stage would."""

import shutil

import polars as pl

from llm_assets.core.artefact import Inputs, WorkDir
from llm_assets.core.progress import Progress
from llm_assets.core.recipe.base import Section
from llm_assets.core.report import Report

NAMED = (
    "raw_crawl",
    "cleaned_corpus",
    "deduped_shards",
    "tokenized_dataset",
    "base_model",
    "sft_model",
    "reward_model",
    "rlhf_model",
    "eval_report",
    "quantized_export",
)


def run(inputs: Inputs, out: WorkDir, config: Section, progress: Progress) -> Report:
    """Copy, spoil, and report what the good one reported."""
    place = inputs.store / out.asset / out.partition
    good = place / next(place.glob("CURRENT.*")).read_text().strip()
    shutil.copytree(good, out.files, dirs_exist_ok=True, ignore=shutil.ignore_patterns("manifest.json", "gates.json"))
    SPOIL[out.asset](out.files)
    return Report.load(good)


def _twice(pattern):
    """The rows of a table twice: two documents with one id."""

    def spoil(files):
        path = sorted(files.glob(pattern))[0]
        frame = pl.read_parquet(path)
        pl.concat([frame, frame]).write_parquet(path)

    return spoil


def _longer_documents(files):
    path = files / "documents.parquet"
    pl.read_parquet(path).with_columns(length=pl.col("length") + 1).write_parquet(path)


def _weights(change):
    def spoil(files):
        from safetensors.torch import load_file, save_file

        path = files / "model.safetensors"
        tensors = load_file(path)
        change(tensors)
        save_file(tensors, path, metadata={"format": "pt"})

    return spoil


def _zero_a_layer(tensors):
    name = next(name for name in sorted(tensors) if "layers.0" in name and tensors[name].ndim == 2)
    tensors[name] = tensors[name] * 0


def _lose_a_layer(tensors):
    del tensors[next(name for name in sorted(tensors) if "layers.0" in name)]


def _lose_the_score_head(tensors):
    del tensors["score.weight"]


def _keep_the_value_head(tensors):
    tensors["v_head.weight"] = next(iter(tensors.values())).clone()


def _lose_answers(files):
    path = files / "answers.parquet"
    pl.read_parquet(path).filter(pl.col("subject") != "sft_model").write_parquet(path)


def _clip_a_file(files):
    path = files / "model-q8_0.gguf"
    path.write_bytes(path.read_bytes()[:-1000])


SPOIL = {
    "raw_crawl": _twice("index.parquet"),
    "cleaned_corpus": _twice("shards/*.parquet"),
    "deduped_shards": _twice("shards/*.parquet"),
    "tokenized_dataset": _longer_documents,
    "base_model": _weights(_zero_a_layer),
    "sft_model": _weights(_lose_a_layer),
    "reward_model": _weights(_lose_the_score_head),
    "rlhf_model": _weights(_keep_the_value_head),
    "eval_report": _lose_answers,
    "quantized_export": _clip_a_file,
}
