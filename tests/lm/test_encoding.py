"""Batch encoding: the library's ids whoever encodes; a faster engine that errs is found out."""

import shutil
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from llm_assets.core.errors import InputError
from llm_assets.lm import encoding
from llm_assets.lm.encoding import BatchEncoder
from llm_assets.stages.tokens.train import SAMPLES
from tests.support import corpus


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("encoding")
    return corpus.make_tokenizer(root / "tokenizer", corpus.shards(root / "c1", corpus.rows(60), corpus.rows(40, "fr")))


TEXTS = [*SAMPLES, "", *(str(row["text"]) for row in corpus.rows(20)), " " * 300, "<|endoftext|>typed<|im_end|>"]


def wanted(folder):
    oracle = BatchEncoder(folder, "tokenizers").oracle
    return [oracle.encode(text, add_special_tokens=False).ids for text in TEXTS]


@pytest.mark.parametrize("engine", ["tokenizers", "auto", "fastokens"])
def test_ids_are_the_librarys(folder, engine):
    if engine == "fastokens":
        pytest.importorskip("fastokens", reason="fastokens (the extra [fast]) is not installed")
    ids, ends = BatchEncoder(folder, engine).encode(TEXTS)
    assert ids.dtype == np.uint32
    assert [part.tolist() for part in np.split(ids, ends[:-1])] == wanted(folder)


def test_no_texts_are_no_ids(folder):
    ids, ends = BatchEncoder(folder, "tokenizers").encode([])
    assert ids.size == ends.size == 0


class Wrong:
    """A fast engine that gives one id too many."""

    @classmethod
    def from_file(cls, path):
        if "unreadable" in path:
            raise ValueError("unsupported pre-tokenizer type")
        return cls()

    def encode_batch_flat(self, texts, *_):
        return np.zeros(len(texts), np.uint32).tobytes(), np.arange(len(texts) + 1, dtype=np.uint64).tobytes()


@pytest.fixture
def wrong(monkeypatch):
    monkeypatch.setitem(sys.modules, "fastokens", SimpleNamespace(Tokenizer=Wrong))
    monkeypatch.setattr(encoding, "find_spec", lambda name: True)


def test_an_engine_that_errs_is_turned_down(folder, wrong):
    told = []
    encoder = BatchEncoder(folder, "auto", told.append)
    ids, ends = encoder.encode(TEXTS)
    assert [part.tolist() for part in np.split(ids, ends[:-1])] == wanted(folder)
    assert encoder.used == "tokenizers" and "gives other ids" in told[0]
    with pytest.raises(InputError, match="fastokens gives other ids"):
        BatchEncoder(folder, "fastokens").encode(TEXTS)


def test_a_tokenizer_that_the_engine_cannot_read_is_left_to_the_library(folder, wrong, tmp_path):
    shutil.copytree(folder, tmp_path / "unreadable")
    told = []
    assert BatchEncoder(tmp_path / "unreadable", "auto", told.append).used == "tokenizers" and "can't read" in told[0]
    with pytest.raises(InputError, match="unsupported pre-tokenizer type; set tokenized_dataset.engine: auto"):
        BatchEncoder(tmp_path / "unreadable", "fastokens")


def test_an_engine_that_is_not_installed_is_named(folder, monkeypatch):
    monkeypatch.setattr(encoding, "find_spec", lambda name: None)
    assert BatchEncoder(folder, "auto").used == "tokenizers"
    with pytest.raises(InputError, match=r"isn't installed; run: pip install 'llm_assets\[fast\]'"):
        BatchEncoder(folder, "fastokens")
