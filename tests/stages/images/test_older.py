"""Copies across crawls: the oldest stays, its later copies name it, and crawl by crawl gives what all at once would."""

import tempfile
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_assets.core.artefact import Artefact, Inputs, WorkDir
from llm_assets.core.errors import InputError
from llm_assets.core.manifest import hash_files
from llm_assets.core.progress import Silent
from llm_assets.core.recipe.images import ImageDatasetConfig
from llm_assets.stages.images import SPECS, checks
from llm_assets.stages.images.copies import BITS, Candidate, choose, order_of
from llm_assets.stages.images.older import OlderImages, _near, equal_in, similar_in, write_index
from llm_assets.stages.images.run import run
from tests.support.pictures import crawl, doc, encoded, picture

CONFIG = ImageDatasetConfig()
LARGE = picture().resize((240, 160))


def made_of(root, name, items, older=(), config=CONFIG):
    """One crawl after others: (files, report); its ids are those of its own names."""
    raw = crawl(root / name / "raw", [(f"{name}/{path}", data, dict(changes)) for path, data, changes in items])
    named = [Artefact("image_dataset", one, "0", root / one / "work/files") for one in older]
    inputs = Inputs({"raw_crawl": [Artefact("raw_crawl", name, "0", raw)], "image_dataset": named})
    work = WorkDir.at(root / name / "work", name, "image_dataset")
    report = run(inputs, work, config, Silent())
    assert [gate.name for gate in checks.gates(inputs, work.files, config, report) if not gate.passed] == []
    return work.files, report


def fates(files):
    ledger = pl.read_parquet(files / "ledger.parquet")
    return {
        row["url"].removeprefix("http://site.example/"): (row["rule"], row["related_doc"], row["detail"])
        for row in ledger.iter_rows(named=True)
    }


def test_the_oldest_wins_and_is_named(tmp_path):
    first, _ = made_of(tmp_path, "c1", [("a.png", encoded(picture()), {}), ("b.png", encoded(picture(seed=5)), {})])
    before = hash_files(first)
    items = [
        ("same.png", encoded(picture()), {}),
        ("again.png", encoded(picture()), {}),
        ("large.jpg", encoded(LARGE, "JPEG"), {}),  # with more pixels, but later
        ("new.png", encoded(picture(seed=3)), {}),
        ("new.gif", encoded(picture(seed=3), "GIF"), {}),
        ("private.png", encoded(picture()), {"optout_noai": True}),
    ]
    second, report = made_of(tmp_path, "c2", items, ["c1"])
    old, new = doc("c1/a.png"), doc("c2/new.gif")
    assert fates(second) == {
        "c2/same.png": ("exact_duplicate", old, "of c1"),
        "c2/again.png": ("exact_duplicate", old, "of c1"),
        "c2/large.jpg": ("near_duplicate", old, "of c1"),
        "c2/new.gif": ("kept", None, None),
        "c2/new.png": ("near_duplicate", new, "of c2"),
        "c2/private.png": ("optout_noai", None, None),
    }
    assert report.metrics["duplicates_by_crawl"] == {"c1": 3, "c2": 1}
    assert report.metrics["older_crawls"] == ["c1"]
    third, report = made_of(tmp_path, "c3", [*items[:4], ("b.gif", encoded(picture(seed=5), "GIF"), {})], ["c1", "c2"])
    assert fates(third) == {
        "c3/same.png": ("exact_duplicate", old, "of c1"),
        "c3/again.png": ("exact_duplicate", old, "of c1"),
        "c3/large.jpg": ("near_duplicate", old, "of c1"),
        "c3/new.png": ("near_duplicate", new, "of c2"),
        "c3/b.gif": ("near_duplicate", doc("c1/b.png"), "of c1"),
    }
    assert report.counts["kept"] == 0
    assert hash_files(first) == before


def test_bytes_that_an_older_crawl_kept_are_not_decoded_again(tmp_path):
    made_of(tmp_path, "c1", [("a.png", encoded(picture()), {})])
    strict = CONFIG.model_copy(update={"min_side_pixels": 500})
    files, _ = made_of(tmp_path, "c2", [("a.png", encoded(picture()), {}), ("b.png", encoded(LARGE), {})], ["c1"], strict)
    assert [rule for rule, _, _ in fates(files).values()] == ["exact_duplicate", "too_small"]


def test_crawls_of_other_pixels_are_not_compared(tmp_path):
    made_of(tmp_path, "c1", [("a.png", encoded(picture()), {})])
    square = CONFIG.model_copy(update={"shape": "square"})
    with pytest.raises(InputError, match=r"image_dataset\[c1\] was indexed with shape = whole.*image_dataset.against"):
        made_of(tmp_path, "c2", [("a.png", encoded(picture()), {})], ["c1"], square)


def test_older_crawls_are_an_input():
    (spec,) = SPECS
    assert [(rule.asset, rule.which, rule.optional) for rule in spec.inputs][1:] == [("image_dataset", "earlier", True)]
    assert CONFIG.against == ["*"]


HASHES = st.integers(0, 2**BITS - 1) | st.sets(st.integers(0, BITS - 1), max_size=4).map(lambda bits: sum(1 << b for b in bits))


@given(st.lists(HASHES, max_size=30), st.lists(HASHES, max_size=30), st.integers(0, 8))
def test_the_look_up_finds_what_comparing_with_all_finds(new, old, distance):
    everyone = [((a ^ b).bit_count(), i, k) for i, a in enumerate(new) for k, b in enumerate(old)]
    found = _near(np.array(new, np.uint64), np.array(old, np.uint64), distance)
    assert found == sorted(one for one in everyone if one[0] <= distance)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 3),  # the crawl
            st.sets(st.integers(0, 8), max_size=4).map(lambda bits: sum(1 << bit for bit in bits)),
            st.integers(1, 4),
            st.sampled_from([0, 40]),
            st.integers(0, 9),  # the bytes
        ),
        max_size=30,
    ),
    st.integers(0, 3),
)
def test_crawl_by_crawl_keeps_what_all_at_once_would(rows, distance):
    candidates = [
        (crawl, Candidate(f"d{n:02d}", order_of(pixels, f"http://a/{n}", ""), value, np.full((16, 16, 3), colour, np.uint8)))
        for n, (crawl, value, pixels, colour, _) in enumerate(rows)
    ]
    at_once = [Candidate(one.doc_id, (crawl, *one.order), one.dhash, one.thumb) for crawl, one in candidates]
    expected = {one.doc_id for one, verdict in choose(at_once, distance, 12.0) if verdict.kept}
    kept, older, by_id = set(), [], {one.doc_id: one for _, one in candidates}
    with tempfile.TemporaryDirectory() as name:
        for number in range(4):
            mine = [one for crawl, one in candidates if crawl == number]
            twins = similar_in(older, mine, distance, 12.0)
            for doc_id, verdict in twins.items():
                assert verdict.related_doc in kept
                assert (by_id[doc_id].dhash ^ by_id[verdict.related_doc].dhash).bit_count() == verdict.value <= distance
            left = [one for one in mine if one.doc_id not in twins]
            stay = [one for one, verdict in choose(left, distance, 12.0) if verdict.kept]
            files = Path(name) / f"c{number}"
            files.mkdir()
            write_index(files, stay, {one.doc_id: f"sha256:{one.doc_id}" for one in stay}, CONFIG)
            older.append(OlderImages(Artefact("image_dataset", files.name, "0", files), CONFIG))
            kept |= {one.doc_id for one in stay}
        digests = {f"sha256:{doc_id}" for doc_id in by_id}
        assert {digest[7:] for digest in equal_in(older, digests)} == kept == expected
