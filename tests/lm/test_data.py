import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_assets.core.errors import InputError, StoreError
from llm_assets.core.recipe.tokens import TokenizedDatasetConfig, TrainingMixConfig
from llm_assets.lm.data import MixDocuments, Permutation, TokenStream
from tests.support import corpus

SEQ, ROWS = 32, 3


@pytest.fixture(scope="module")
def read(tmp_path_factory):
    """A mix of two crawls, French twice, in many small shards."""
    root = tmp_path_factory.mktemp("stream")
    first = corpus.shards(root / "d/c1", corpus.rows(30))
    second = corpus.shards(root / "d/c2", corpus.rows(15, "fr", prefix="f", day=2))
    tokenizer = corpus.make_tokenizer(root / "tokenizer", first)
    small = TokenizedDatasetConfig(shard_tokens=700)
    tokens = [corpus.make_tokens(root / "t", survivors, tokenizer, small) for survivors in (first, second)]
    config = TrainingMixConfig(languages={"en": 1.0, "fr": 2.0}, validation_fraction=0.1)
    _, inputs = corpus.make_mix(root / "mix", [first, second], tokens, config)
    return inputs


def stream(read, split="train", seq=SEQ, rows=ROWS, seed=0):
    return TokenStream(read.one("training_mix"), read, split, seq, rows, seed)


@given(size=st.integers(1, 3000), key=st.text(max_size=5))
@settings(max_examples=60, deadline=None)
def test_a_permutation_is_one_and_is_inverted(size, key):
    permutation = Permutation(size, key)
    order = permutation.forward(np.arange(size))
    assert np.array_equal(np.sort(order), np.arange(size))
    assert np.array_equal(permutation.inverse(order), np.arange(size))


def test_a_permutation_of_a_billion_needs_no_memory_and_looks_random():
    permutation = Permutation(10**9 + 7, "k")
    index = np.arange(20_000)
    found = permutation.forward(index)
    assert np.array_equal(permutation.inverse(found), index)
    # uniform: the mean of n draws lies within 5 standard errors of the middle; neighbours don't correlate
    assert abs(found.mean() / 10**9 - 0.5) < 5 * (12 * 20_000) ** -0.5
    assert abs(np.corrcoef(found[:-1], found[1:])[0, 1]) < 5 * 20_000**-0.5
    assert not np.array_equal(found, Permutation(10**9 + 7, "l").forward(index))


def test_a_permutation_refuses_what_is_outside():
    with pytest.raises(ValueError, match="0 to 4 can be permuted"):
        Permutation(5, "").forward([5])
    with pytest.raises(ValueError, match="at least one"):
        Permutation(0, "")


def test_batches_are_a_function_of_seed_step_and_mix(read):
    batch = stream(read).batch(4)
    assert batch.shape == (ROWS, SEQ + 1) and batch.dtype == np.int64
    jumping = stream(read)
    for step in (900, 4, 0):  # any order, any epoch before
        again = jumping.batch(step)
        if step == 4:
            assert np.array_equal(again, batch)
    assert not np.array_equal(stream(read, seed=1).batch(4), batch)


def test_the_order_is_pinned():
    """A change here changes the order of every training: it needs a new code version of base_model."""
    assert Permutation(1000, "0 train 0").forward(range(8)).tolist() == [799, 599, 991, 538, 494, 650, 720, 141]


def test_an_epoch_reads_each_token_as_often_as_the_mix_says(read):
    """Every token is a label once a reading, but for the tail that makes no whole window; French is read twice."""
    found = stream(read, rows=1)
    counts = {doc: np.zeros(length, int) for doc, length in found.data.frame.select("doc_id", "length").iter_rows()}
    for step in range(found.windows):
        first = True
        for doc, start, end in found.documents(step):
            counts[doc][start + first : end] += 1  # a window's first token is no label
            first = False
    seen = sum(int(count.sum()) for count in counts.values())
    assert seen == found.windows * SEQ
    total = int((found.data.lengths * found.data.epochs).sum())
    assert total - seen <= SEQ
    wanted = dict(found.data.frame.select("doc_id", "epochs").iter_rows())
    short = sum(int((wanted[doc] - count).sum()) for doc, count in counts.items())
    assert short == total - seen and all((count <= wanted[doc]).all() for doc, count in counts.items())
    assert set(wanted.values()) == {1, 2}


def test_documents_say_what_batches_hold(read):
    found = stream(read)
    for step in (0, 7, found.steps_per_epoch, 3 * found.steps_per_epoch + 1):
        rebuilt = [found.data.ids(found.data.rows[doc], start, end) for doc, start, end in found.documents(step)]
        assert np.array_equal(np.concatenate(rebuilt), found.batch(step).ravel())


def test_epochs_are_shuffled_anew(read):
    found = stream(read, rows=1)
    first = [tuple(found.batch(step)[0]) for step in range(found.windows)]
    second = [tuple(found.batch(found.windows + step)[0]) for step in range(found.windows)]
    assert len(set(first) & set(second)) < found.windows // 10


def test_steps_is_the_inverse_of_documents(read):
    found = stream(read)
    total = 2 * found.steps_per_epoch + 3
    by_document: dict[str, list[int]] = {}
    for step in range(total):
        for doc in {span.doc_id for span in found.documents(step)}:
            by_document.setdefault(doc, []).append(step)
    for doc in found.data.frame["doc_id"]:
        assert found.steps(doc, total) == by_document.get(doc, []), doc
    assert found.steps("0" * 32, total) == [] and found.steps(doc, 0) == []


def test_validation_is_read_once_and_shares_no_document(read):
    found = stream(read, "validation")
    batches = list(found.one_pass())
    assert sum(len(batch) for batch in batches) == found.windows
    assert not set(found.data.frame["doc_id"]) & set(stream(read).data.frame["doc_id"])


def test_documents_of_a_mix(read):
    data = MixDocuments(read.one("training_mix"), read, "train")
    ids = list(data)
    assert len(ids) == len(data) and sum(len(document) for document in ids) == data.n_tokens
    assert all(document[-1] == data.separator_id and (document[:-1] > 3).all() for document in ids)
    assert data.n_bytes == data.frame["n_bytes"].sum() and data.vocab_size == 512


def test_errors_name_what_to_do(read, tmp_path):
    with pytest.raises(InputError, match="fewer than one window of 100000"):
        stream(read, seq=100_000)
    with pytest.raises(InputError, match="no document in its test split"):
        stream(read, "test")
    with pytest.raises(InputError, match="1 or more"):
        stream(read, seq=0)
    with pytest.raises(ValueError, match="0 or more"):
        stream(read).batch(-1)
    from llm_assets.core.artefact import Inputs

    with pytest.raises(StoreError, match="tokenized_dataset/c. is not in the store|is not in the store"):
        TokenStream(read.one("training_mix"), Inputs({}), "train", SEQ, ROWS, 0).batch(0)
    folder = tmp_path / "c1"
    folder.mkdir()
    bare = Inputs.of({"tokenized_dataset": [folder, tmp_path / "c2"]})
    with pytest.raises(InputError, match=r"tokens-\d+\.npy is missing"):
        TokenStream(read.one("training_mix"), bare, "train", SEQ, ROWS, 0).batch(0)


def test_rows_of_the_table_are_in_crawl_order(read):
    data = MixDocuments(read.one("training_mix"), read, "train")
    assert data.frame["ref"].to_list() == sorted(data.frame["ref"].to_list())
    assert data.frame.filter(pl.col("lang") == "fr")["epochs"].to_list() == [2] * data.frame["lang"].to_list().count("fr")
