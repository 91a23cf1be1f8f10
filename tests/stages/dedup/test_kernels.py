import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_assets.core.progress import Silent
from llm_assets.core.recipe.corpus import DedupedShardsConfig
from llm_assets.stages.dedup import compare_kernels, kernels
from llm_assets.stages.dedup.fingerprints import EvalRuns, HashFunctions, fingerprint, shingle_sets, word_hashes
from llm_assets.stages.dedup.index import stable_order
from llm_assets.stages.dedup.plain import normalise
from llm_assets.stages.dedup.signing import Frames, sign
from tests.support import corpus


def words_of(text):
    """How many words, and which of them are equal."""
    hashes, _ = word_hashes(normalise(pl.Series([text])).to_list())
    return hashes.tolist()


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("", 0),
        ("...!?  —–“”", 0),
        ("ok", 1),
        ("Hello, world!", 2),
        ("don't", 2),
        ("l’île d'Oléron", 4),
        ("3.14 × 2 ÷ 5", 4),
        ("汉字かな", 4),
        ("ภาษาไทย", 7),
        ("한국어 중문", 2),
        ("naïve café", 2),
        ("मानक हिन्दी", 2),
        ("a€b→c★d👍e", 5),
        ("ªµº", 1),
        ("、。！字", 1),
        ("𠀀𠀁", 2),
        ("မြန်မာ", 6),
    ],
)
def test_words(text, count):
    assert len(words_of(text)) == count


def test_words_do_not_see_case_spaces_or_punctuation():
    assert words_of("The  RIVER—long;\nwide.") == words_of("the river long wide") != words_of("the river wide long")
    assert words_of("ﬁne Ａ") == words_of("fine a")  # NFKC


def test_texts_do_not_run_into_each_other():
    hashes, ends = word_hashes(["ab", "cd", "", "ab"])
    assert ends.tolist() == [1, 2, 2, 3] and hashes[0] == hashes[2] != words_of("abcd")[0]


def reference_sets(texts, width):
    found = []
    for text in texts:
        listed = words_of(text)
        found.append({tuple(listed[at : at + width]) for at in range(len(listed) - width + 1)})
    return found


text_strategy = st.text("ab é漢.'\n", max_size=40)


@given(st.lists(text_strategy, min_size=1, max_size=6), st.integers(1, 6))
@settings(max_examples=60, deadline=None)
def test_jaccard_is_that_of_plain_python_sets(texts, width):
    shingles, ends = shingle_sets(*word_hashes(normalise(pl.Series(texts)).to_list()), width)
    sets = reference_sets(texts, width)
    mine = np.split(shingles, ends[:-1])
    assert [len(part) for part in mine] == [len(part) for part in sets]
    for one, a in zip(mine, sets, strict=True):
        for other, b in zip(mine, sets, strict=True):
            wanted = len(a & b) / len(a | b) if a and b else -1.0
            assert compare_kernels.jaccard(one, other, 0.0) == wanted


def test_sizes_alone_can_rule_a_pair_out():
    assert compare_kernels.jaccard(np.arange(7, dtype=np.uint32), np.arange(10, dtype=np.uint32), 0.8) == -1.0
    assert compare_kernels.jaccard(np.arange(8, dtype=np.uint32), np.arange(10, dtype=np.uint32), 0.8) == 0.8


def interpreted(kernel, *arguments):
    with np.errstate(over="ignore"):
        return kernel.py_func(*arguments)


def test_the_compiled_code_does_what_the_python_says():
    texts = ["the river is long and wide and cold", "漢字 is a word, or two", "", "short", "don't é 漢 ภา မ ★ ª × 。𠀀 \u2e80"]
    encoded = [text.encode() for text in texts]
    data, ends = np.frombuffer(b"".join(encoded), np.uint8), np.cumsum([len(text) for text in encoded])
    hashes, stops = kernels.words(data, ends)
    for compiled, plain in zip((hashes, stops), interpreted(kernels.words, data, ends), strict=True):
        assert np.array_equal(compiled, plain)
    for width in (1, 3):
        found = kernels.windows(hashes, stops, width)
        for compiled, plain in zip(found, interpreted(kernels.windows, hashes, stops, width), strict=True):
            assert np.array_equal(compiled, plain)
    shingles, set_ends = shingle_sets(hashes, stops, 2)
    functions = HashFunctions.of(DedupedShardsConfig(bands=4, rows=2))
    for kernel, given_ in ((kernels.tagged, (found[0], found[1])), (kernels.distinct, (np.sort(kernels.tagged(*found)), 5))):
        assert np.array_equal(np.hstack(kernel(*given_)), np.hstack(interpreted(kernel, *given_)))
    arguments = shingles, set_ends, functions.multipliers, functions.offsets, 4
    assert np.array_equal(kernels.band_keys(*arguments), interpreted(kernels.band_keys, *arguments))
    assert interpreted(compare_kernels.jaccard, shingles[:5], shingles[3:8], 0.1) == compare_kernels.jaccard(
        shingles[:5], shingles[3:8], 0.1
    )
    assert all(interpreted(kernels._kind, ord(c)) == kernels._kind(ord(c)) for c in "aA0 é×ªภမ★。漢豈𠀀\u0300👍")
    assert interpreted(kernels.mix, np.uint64(7)) == kernels.mix(np.uint64(7))


@pytest.fixture
def rng():
    return np.random.default_rng(5)


def test_greedy_passes_do_what_the_python_says(rng):
    n, bands = 40, 3
    shingles = np.concatenate([np.sort(part) for part in np.split(np.arange(n * 4, dtype=np.uint32) % 16, n)])
    ends = np.arange(4, n * 4 + 4, 4)
    starts = ends - 4
    urls = np.arange(n, dtype=np.uint64) // np.uint64(2)
    numbers = rng.integers(0, 4, (n, bands)) + 4 * np.arange(bands)
    sizes = np.bincount(numbers.ravel(), minlength=4 * bands)
    offsets, begins, room = np.arange(0, n * bands + 1, bands), np.cumsum(sizes) - sizes, np.full(4 * bands, 5, np.int32)
    twins = rng.integers(-1, 30, n)

    def settle(call):
        best, fate, partner = np.zeros(n), np.zeros(n, np.int8), np.full(n, -1)
        fate[3] = compare_kernels.SET_ASIDE
        buckets = numbers.ravel().astype(np.int32)
        call(offsets, buckets, begins, room, shingles, starts, ends, urls, twins, 0.5, best, fate, partner)
        return np.stack([best, fate, partner])

    found = settle(compare_kernels.settle)
    assert np.array_equal(found, settle(lambda *arguments: interpreted(compare_kernels.settle, *arguments)))
    assert set(found[1]) == {compare_kernels.KEPT, compare_kernels.EXACT, compare_kernels.NEAR, compare_kernels.SET_ASIDE}

    def older(call):
        best, partner = np.zeros(n), np.full(n, -1)
        call(texts, first, first + 4, rows, shingles, ends, urls, shingles, starts, ends, urls, 0.5, best, partner)
        return np.stack([best, partner])

    texts, first = np.sort(rng.integers(0, n, 2 * n)), rng.integers(0, n - 4, 2 * n)
    rows = rng.permutation(n).astype(np.uint32)
    found = older(compare_kernels.against_older)
    assert np.array_equal(found, older(lambda *arguments: interpreted(compare_kernels.against_older, *arguments)))
    assert (found[0] > 0).any()


sorted_values = st.lists(st.integers(0, 30), max_size=60).map(lambda values: np.sort(np.array(values, np.uint64)))


@given(sorted_values, sorted_values, st.integers(1, 5))
@settings(max_examples=150, deadline=None)
def test_ranges_are_those_of_searchsorted(haystack, needles, limit):
    first, last = kernels.ranges(haystack, needles, limit)
    assert first.tolist() == np.searchsorted(haystack, needles, "left").tolist()
    assert (last - first).tolist() == [min(limit, int((haystack == needle).sum())) for needle in needles]
    plain = interpreted(kernels.ranges, haystack, needles, limit)
    assert np.array_equal(plain, (first, last))


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), max_size=40).map(sorted), st.data())
@settings(max_examples=100, deadline=None)
def test_pairs_with_equal_upper_halves_are_told_apart(pairs, data):
    wanted = sorted(data.draw(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=10)))
    columns = [np.array([pair[half] for pair in part], np.uint64) for part in (pairs, wanted) for half in (0, 1)]
    first, last = kernels.ranges_of_pairs(*columns)
    assert (last - first).tolist() == [pairs.count(pair) for pair in wanted]
    assert all(pairs[a:b] == [pair] * (b - a) for a, b, pair in zip(first, last, wanted, strict=True))
    assert np.array_equal(interpreted(kernels.ranges_of_pairs, *columns), (first, last))


def test_common_runs_are_counted_and_the_first_is_named(rng):
    words = rng.integers(0, 2**63, 60).astype(np.uint64)
    ends = np.array([30, 30, 60])
    runs, _ = kernels.windows(words, ends, 4)
    table = np.sort(np.concatenate([runs[[3, 9, 40]], rng.integers(0, 2**63, 500).astype(np.uint64)]))
    items = np.arange(table.size, dtype=np.int32)
    found = []
    for call in (
        lambda *arguments: kernels.count_common(*arguments),
        lambda *arguments: interpreted(kernels.count_common, *arguments),
    ):
        count, item = np.zeros(3, np.int32), np.full(3, -1, np.int32)
        call(words, ends, 4, table, items, kernels.sieve(table), count, item)
        found.append((count.tolist(), item.tolist()))
    assert found[0] == found[1] == ([2, 0, 1], [np.searchsorted(table, runs[3]), -1, np.searchsorted(table, runs[40])])
    assert np.array_equal(kernels.sieve(table), interpreted(kernels.sieve, table))


def test_equal_runs_have_equal_hashes_wherever_they_stand(rng):
    words = rng.integers(0, 50, 300).astype(np.uint64)
    found, stops = kernels.windows(words, np.array([100, 102, 300]), 3)
    assert stops.tolist() == [98, 98, 294]
    plain = [tuple(words[at : at + 3]) for start, end in ((0, 100), (102, 300)) for at in range(start, end - 2)]
    assert len(set(found.tolist())) == len(set(plain)) and len(set(zip(found.tolist(), plain, strict=True))) == len(set(plain))


def test_threads_and_chunks_leave_no_trace(monkeypatch, tmp_path):
    texts = [f"the river number {number} is long and wide and cold" for number in range(50)]
    corpus.shards(tmp_path / "c1", [corpus.row(f"http://a.test/{n}", text) for n, text in enumerate(texts)])
    shards = sorted((tmp_path / "c1/shards").glob("*.parquet"))
    results = []
    for size, threads in ((1 << 20, 1), (300, 3)):
        monkeypatch.setattr("llm_assets.stages.dedup.signing._CHUNK_BYTES", size)
        private = tmp_path / str(threads)
        private.mkdir()
        config = DedupedShardsConfig(threads=threads)
        results.append(sign(Frames(shards), config, EvalRuns(), private, Silent())[0])
    for name in ("row", "doc_ids", "urls", "exact", "starts", "ends", "shingles", "overlap", "item"):
        assert np.array_equal(getattr(results[0], name), getattr(results[1], name)), name
    assert results[0].bands.path.read_bytes() == results[1].bands.path.read_bytes()
    alone = fingerprint(pl.Series(texts[7:8]), config, HashFunctions.of(config), EvalRuns())
    assert [results[0].keys(band)[7] for band in range(config.bands)] == alone.keys[0].tolist()


def test_bands_meet_as_often_as_the_formula_says(rng):
    """P(share a band) = 1 - (1 - s^rows)^bands: Leskovec, Rajaraman and Ullman, Mining of Massive Datasets, 3.4."""
    config = DedupedShardsConfig(bands=6, rows=4)
    functions = HashFunctions.of(config)
    trials, size, common = 600, 60, 45  # J = 45 / 75 = 0.6
    pairs, ends = [], []
    for _ in range(trials):
        drawn = rng.choice(2**32, 2 * size - common, replace=False).astype(np.uint32)
        pairs += [np.sort(drawn[:size]), np.sort(drawn[size - common :])]
    ends = np.arange(size, 2 * trials * size + 1, size)
    keys = kernels.band_keys(np.concatenate(pairs), ends, functions.multipliers, functions.offsets, 6)
    met = (keys[0::2] == keys[1::2]).any(axis=1).mean()
    wanted = 1 - (1 - 0.6**4) ** 6
    assert abs(met - wanted) < 4 * (wanted * (1 - wanted) / trials) ** 0.5


@given(st.lists(st.integers(0, 2**64 - 1) | st.integers(0, 5), max_size=60))
def test_the_quick_sort_is_stable(keys):
    keys = np.array(keys, np.uint64)
    assert stable_order(keys).tolist() == np.argsort(keys, kind="stable").tolist()


@pytest.mark.parametrize("room", [0, 1, 1 << 20])
def test_shards_are_the_same_kept_or_read_again(monkeypatch, tmp_path, room):
    monkeypatch.setattr("llm_assets.stages.dedup.signing._KEPT_BYTES", room)
    corpus.shards(tmp_path / "c1", [corpus.row(f"http://a.test/{n}", f"the river number {n}") for n in range(50)])
    (first,) = sorted((tmp_path / "c1/shards").glob("*.parquet"))
    frames = Frames([first, first, first])
    signed = [frames.first(number) for number in range(3)]
    assert all(frame.equals(signed[0]) and "text" in frame.columns for frame in signed)
    assert len(frames._kept) == {0: 0, 1: 1}.get(room, 3)
    whole = pl.read_parquet(first)
    assert all(frames.again(number).equals(whole) for number in range(3))
    assert frames._kept == {}
