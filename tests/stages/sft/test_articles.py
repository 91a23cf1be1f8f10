from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_assets.stages.sft.articles import group, keys_of, plain, split_of
from llm_assets.stages.sft.overlap import HeldOut, worst

ADDRESSES = [f"http://a.test/{number}" for number in range(20)]


@pytest.mark.parametrize(
    ("url", "title", "keys"),
    [
        ("http://a.test/en/mona-lisa.html", "Mona Lisa", ("mona lisa",)),
        ("http://a.test/wiki/St._Louis", "St. Louis", ("st louis",)),
        ("http://a.test/fr/caf%C3%A9/", "Coffee", ("coffee", "cafe")),
        ("http://a.test/", "", ()),
        ("http://a.test/page?id=3", "Ōsaka", ("osaka", "page")),
    ],
)
def test_keys_of_a_page(url, title, keys):
    assert keys_of(url, title) == keys


def test_mirrors_and_other_addresses_are_one_article():
    keys = [("mona lisa",), ("la joconde", "mona lisa"), ("joconde", "la joconde"), ("david",)]
    names = group(keys, ADDRESSES, max_shared=12)
    assert names[0] == names[1] == names[2] == "joconde"
    assert names[3] == "david"


def test_a_key_that_many_pages_share_joins_nothing():
    keys = [("index", f"page {number}") for number in range(9)]
    assert len(set(group(keys, ADDRESSES, max_shared=8))) == 9
    assert len(set(group(keys, ADDRESSES, max_shared=9))) == 1


def test_pages_without_a_key_stay_apart():
    assert len(set(group([(), ()], ADDRESSES, max_shared=5))) == 2


@given(st.lists(st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=3), max_size=12), st.randoms())
def test_grouping_does_not_depend_on_the_order_of_pages(keys, rng):
    order = list(range(len(keys)))
    rng.shuffle(order)
    straight = group(keys, ADDRESSES, max_shared=4)
    mixed = group([keys[index] for index in order], [ADDRESSES[index] for index in order], max_shared=4)
    assert [straight[index] for index in order] == mixed


def test_split_shares_and_stability():
    counts = Counter(split_of(f"article {number}", 17) for number in range(20_000))
    assert counts["train"] / 20_000 == pytest.approx(0.8, abs=0.01)
    assert counts["validation"] / 20_000 == pytest.approx(0.1, abs=0.01)
    assert split_of("a", 1) == split_of("a", 1)
    assert any(split_of(f"{n}", 1) != split_of(f"{n}", 2) for n in range(20))


def test_plain_folds_case_marks_and_punctuation():
    assert plain("  Café_Noir — ÉTÉ! ") == "cafe noir ete"


def test_overlap_sees_clipped_and_quoted_copies_but_no_stock_phrase():
    text = " ".join(f"word{number}" for number in range(40))
    held_out = HeldOut([text, "another text of some length that nobody quotes at all today"], ["Save all"], 5)
    assert held_out.overlap(text) == 1
    assert held_out.overlap("Summarise: " + " ".join(text.split()[:24])) == pytest.approx(20 / 36)
    assert held_out.overlap("word1 word2 word3 word4 other words") == 0
    assert held_out.overlap("") == 0
    assert held_out.has_string("save ALL…") and not held_out.has_string("save")
    assert worst(held_out, ["nothing", text]) == (1.0, 1)
    assert worst(held_out, []) == (0.0, -1)


def test_texts_shorter_than_a_run_are_compared_whole():
    held_out = HeldOut(["three short words"], [], 13)
    assert held_out.overlap("Three short words!") == 1
    assert held_out.overlap("three short") == 0
