import json
import shutil

import numpy as np
import polars as pl
import pytest
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers

from llm_assets.core.artefact import Inputs, WorkDir
from llm_assets.core.errors import InputError
from llm_assets.core.progress import Recording, Silent
from llm_assets.core.recipe.tokens import TokenizedDatasetConfig
from llm_assets.core.report import Report
from llm_assets.core.spec import load_entry
from llm_assets.lm import tokenizer as files_of
from llm_assets.lm.chat import encode_text
from llm_assets.stages import spec_of
from llm_assets.stages.tokens import encode, gates
from tests.support import corpus
from tests.support.gating import all_block

CONFIG = TokenizedDatasetConfig()


def inputs(world):
    return Inputs.of({"deduped_shards": [world.survivors], "tokenizer": [world.tokenizer]})


def texts(world):
    frame = pl.read_parquet(world.survivors / "shards/*.parquet")
    return dict(zip(frame["doc_id"], frame["text"], strict=True))


def test_run_and_gates(world, tmp_path):
    out, progress = WorkDir.at(tmp_path, "c1"), Recording()
    report = load_entry(spec_of("tokenized_dataset").entry)(inputs(world), out, CONFIG, progress)
    assert report.counts["documents_in"] == report.counts["kept"] == 100
    assert report.metrics["dtype"] == "uint16" and report.metrics["separator"] == "<|endoftext|>"
    assert progress.updates[-1][:2] == (100, 100)
    assert all((out.files / path).stat().st_size < 200_000 for path in report.plots.values())
    assert [entry["lang"] for entry in report.tables["Tokens by language"]] == ["en", "fr"]
    found = gates.tokenized_dataset(inputs(world), out.files, CONFIG, report)
    assert [gate.name for gate in found] == list(spec_of("tokenized_dataset").gate_names)
    assert all_block(found) and all(gate.passed for gate in found), [gate.message for gate in found]


@pytest.mark.parametrize(("shard_tokens", "batch"), [(10**6, 1000), (500, 7), (1, 33)])
def test_shards_hold_every_text_whatever_their_size(world, tmp_path, shard_tokens, batch):
    """B19: decode(read(write(ids))) == text; no document is split over shards, and batches leave no trace."""
    config = TokenizedDatasetConfig(shard_tokens=shard_tokens, batch_documents=batch)
    files = corpus.make_tokens(tmp_path, world.survivors, world.tokenizer, config)
    engine = files_of.load_plain(world.tokenizer)
    wanted = texts(world)
    for row in pl.read_parquet(files / "documents.parquet").iter_rows(named=True):
        shard = np.load(files / encode.shard_name(row["shard"]), mmap_mode="r")
        assert shard.size <= shard_tokens or shard.size == row["length"]
        ids = shard[row["start"] : row["start"] + row["length"]].tolist()
        assert ids[-1] == 0 and ids[:-1] == encode_text(engine, wanted.pop(row["doc_id"]))
    assert not wanted
    assert len(list(files.glob("tokens-*.npy"))) == len(json.loads((files / "tokens.json").read_text())["shard_tokens"])


def test_a_killed_runs_shards_do_not_stay(world, tmp_path):
    out = WorkDir.at(tmp_path, "c1")
    np.save(out.files / "tokens-00007.npy", np.zeros(3, np.uint16))
    encode.run(inputs(world), out, CONFIG, Silent())
    assert [path.name for path in out.files.glob("tokens-*.npy")] == ["tokens-00000.npy"]


def test_a_page_that_types_a_control_token_adds_no_separator(tmp_path, world):
    """B20: separators are exactly one a document, also where a text spells one."""
    survivors = corpus.shards(tmp_path / "c9", [corpus.row("http://a.test/x", "stop <|endoftext|> and <|im_end|> here")])
    files = corpus.make_tokens(tmp_path, survivors, world.tokenizer)
    assert np.count_nonzero(np.load(files / "tokens-00000.npy") < 4) == 1


def test_an_empty_crawl_is_an_empty_shard(tmp_path, world):
    survivors = corpus.shards(tmp_path / "c9", [])
    files = corpus.make_tokens(tmp_path, survivors, world.tokenizer)
    assert np.load(files / "tokens-00000.npy").size == 0
    gate = gates.tokenized_dataset(
        Inputs.of({"deduped_shards": [survivors], "tokenizer": [world.tokenizer]}), files, CONFIG, Report()
    )[3]
    assert gate.name == "bytes_per_token" and not gate.passed


def large_tokenizer(folder, size, eos="</s>", named="</s>"):
    words = {f"w{number}": number for number in range(size)}
    engine = Tokenizer(models.WordLevel(words, unk_token="w0"))
    engine.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    engine.add_special_tokens([AddedToken(eos, special=True)])
    folder.mkdir()
    engine.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps({"eos_token": named}))
    return folder


@pytest.mark.parametrize(("size", "dtype"), [(65_535, "uint16"), (65_536, "uint32"), (70_000, "uint32")])
def test_ids_above_16_bits_are_stored_whole(tmp_path, size, dtype):
    """B19: added tokens count too (65,536 words and one control token no longer fit 16 bits); B20: its own eos is used."""
    tokenizer = large_tokenizer(tmp_path / "tokenizer", size)
    numbers = [number for number in (1, 65_534, 65_535, 65_536, 65_541, size - 1) if number < size]
    survivors = corpus.shards(tmp_path / "c1", [corpus.row("http://a.test/x", " ".join(f"w{n}" for n in numbers))])
    files = corpus.make_tokens(tmp_path / "out", survivors, tokenizer)
    shard = np.load(files / "tokens-00000.npy")
    assert shard.dtype == dtype and shard.tolist() == [*numbers, size]
    assert json.loads((files / "tokens.json").read_text()) | {"tokenizer": ""} == {
        "dtype": dtype,
        "vocab_size": size + 1,
        "separator": "</s>",
        "separator_id": size,
        "tokenizer": "",
        "shard_tokens": [len(numbers) + 1],
    }


def test_a_separator_of_another_tokenizer_is_refused(tmp_path):
    """B20: the configured eos is no control id of this tokenizer."""
    tokenizer = large_tokenizer(tmp_path / "tokenizer", 10, named="<|endoftext|>")
    survivors = corpus.shards(tmp_path / "c1", corpus.rows(2))
    with pytest.raises(InputError, match=r"'<\|endoftext\|>' is not one control id of this tokenizer \(it has: </s>\)"):
        corpus.make_tokens(tmp_path / "out", survivors, tokenizer)
    assert not list((tmp_path / "out/c1").glob("*.parquet"))


def test_ids_that_do_not_fit_are_an_error_not_a_wrap(tmp_path):
    """B19"""
    with pytest.raises(InputError, match="65541 does not fit uint16"):
        encode.ShardWriter(tmp_path, np.dtype(np.uint16), 10).append(np.array([5, 65_541]))
    with pytest.raises(InputError, match="can't be stored"):
        files_of.token_dtype(2**32 + 1)


@pytest.fixture
def doctored(world, tmp_path):
    files = tmp_path / "c1"
    shutil.copytree(world.tokens, files)

    def judge():
        return {gate.name: gate for gate in gates.tokenized_dataset(inputs(world), files, CONFIG, Report())}

    return files, judge


def test_a_changed_token_is_refused(doctored):
    files, judge = doctored
    shard = np.load(files / "tokens-00000.npy")
    shard[5:400] = (shard[5:400] % 200) + 10
    np.save(files / "tokens-00000.npy", shard)
    found = judge()
    assert not found["text_round_trips"].passed and not found["separators_match_documents"].passed


def test_a_clipped_shard_is_refused(doctored):
    files, judge = doctored
    np.save(files / "tokens-00000.npy", np.load(files / "tokens-00000.npy")[:-1])
    found = judge()
    assert not found["lengths_add_up"].passed and not found["separators_match_documents"].passed


def test_a_document_twice_or_lost_is_refused(doctored):
    files, judge = doctored
    frame = pl.read_parquet(files / "documents.parquet")
    pl.concat([frame[:-1], frame[:1]]).write_parquet(files / "documents.parquet")
    found = judge()
    assert not found["gx_unique_doc_id"].passed
    frame[:-1].write_parquet(files / "documents.parquet")
    found = judge()
    assert not found["counts_add_up"].passed and not found["lengths_add_up"].passed


def test_poor_compression_is_refused(world):
    strict = TokenizedDatasetConfig(min_bytes_per_token=6.0)
    gate = gates.tokenized_dataset(inputs(world), world.tokens, strict, Report())[3]
    assert not gate.passed and "at least 6.0 wanted" in gate.message
