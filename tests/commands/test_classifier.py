"""``llm-assets train-classifier``: labels in, a file out, and a recipe that uses it as printed."""

import json
import subprocess
import sys

import polars as pl
import yaml

from llm_assets.core import embedded
from llm_assets.core.recipe.cleaning import CleanedCorpusConfig
from llm_assets.stages.clean.filters import measured, rules_of


def cli(*arguments):
    command = [sys.executable, "-m", "llm_assets.cli", "train-classifier", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_it_trains_says_how_well_and_what_to_write_into_a_recipe(tmp_path):
    articles = [a for a in embedded.articles() if a.lang in ("fr", "es")][::40]
    lines = [json.dumps({"text": article.text, "label": article.lang}) for article in articles]
    (tmp_path / "labels.jsonl").write_text("\n".join(lines))
    out = tmp_path / "mine.safetensors"
    done = cli(tmp_path / "labels.jsonl", out, "--bits", "14", "--epochs", "3")
    assert done.returncode == 0, done.stderr
    assert "held out: 1.000 are labelled right" in done.stdout
    assert [line.split()[0] for line in done.stdout.splitlines()[2:4]] == ["es", "fr"]
    printed = yaml.safe_load(done.stdout[done.stdout.index("cleaned_corpus:") :])
    config = CleanedCorpusConfig.model_validate(printed["cleaned_corpus"])
    assert "classifier_es" in {rule.name for rule in rules_of(config)}
    frame = measured(pl.DataFrame({"text": ["El puente es viejo.", "Le pont est vieux."], "lang": ["es", "fr"]}), config)
    assert frame["_classifier"][0] > 0.5 > frame["_classifier"][1]


def test_mistakes_are_one_sentence(tmp_path):
    for arguments, message in (
        ((tmp_path / "absent.jsonl", tmp_path / "x.safetensors"), "is no file"),
        ((tmp_path / "absent.jsonl", tmp_path / "x.bin"), "a classifier is a .safetensors file"),
    ):
        done = cli(*arguments)
        assert done.returncode == 2 and message in done.stderr and "Traceback" not in done.stderr
