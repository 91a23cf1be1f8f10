"""Copies: the banded look-up finds what comparing with all finds, and which copy stays depends on the images alone."""

import io
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageEnhance

from llm_assets.stages.images.copies import (
    BITS,
    Candidate,
    NearHashes,
    choose,
    colour_difference,
    difference_hash,
    order_of,
    thumbnail,
)
from tests.support.pictures import encoded, picture

HASHES = st.integers(0, 2**BITS - 1)
# hashes with few bits set share many bands: the look-up meets many that are too far
CROWDED = st.sets(st.integers(0, BITS - 1), max_size=4).map(lambda bits: sum(1 << bit for bit in bits))


@given(st.lists(HASHES | CROWDED, max_size=60), CROWDED | HASHES, st.integers(0, 8))
def test_the_look_up_finds_what_comparing_with_all_finds(values, asked, distance):
    index = NearHashes(distance)
    for number, value in enumerate(values):
        assert index.add(value) == number
    everyone = sorted(((value ^ asked).bit_count(), number) for number, value in enumerate(values))
    assert index.near(asked) == [pair for pair in everyone if pair[0] <= distance]


@given(HASHES, st.sets(st.integers(0, BITS - 1), max_size=5))
def test_flipped_bits_are_found_up_to_the_distance_and_no_further(value, bits):
    index = NearHashes(3)
    index.add(value)
    asked = value ^ sum(1 << bit for bit in bits)
    assert index.near(asked) == ([(len(bits), 0)] if len(bits) <= 3 else [])


def test_a_look_up_compares_few_of_many():
    """Near-linear: of 20,000 random hashes a question meets some, not all (pairs of bands have 32 bits: hardly any)."""
    chance = random.Random(3)
    index = NearHashes(2)
    for _ in range(20_000):
        index.add(chance.getrandbits(BITS))
    met = sum(len(index.candidates(chance.getrandbits(BITS))) for _ in range(200))
    assert met < 10


def candidate(name, pixels, dhash, colour=0):
    thumb = np.full((16, 16, 3), colour, np.uint8)
    return Candidate(name, order_of(pixels, f"http://a.example/{name}", name), dhash, thumb)


def judged(candidates, distance=2, difference=12.0):
    return {one.doc_id: (verdict.kept, verdict.related_doc) for one, verdict in choose(candidates, distance, difference)}


FAMILY = [
    candidate("small", 100, 0b000),
    candidate("large", 900, 0b001),
    candidate("middle", 400, 0b011),
    candidate("other", 100, 0xFFFF),
    candidate("blue", 100, 0b001, colour=99),
]


def test_the_largest_stays_and_the_others_name_it():
    assert judged(FAMILY) == {
        "large": (True, None),
        "small": (False, "large"),
        "middle": (False, "large"),
        "other": (True, None),
        "blue": (True, None),  # the same hash, but not the same colours
    }


@given(st.permutations(FAMILY + [candidate(f"n{n}", 50 + n % 3, 1 << n | 1 << (n + 1) % 9) for n in range(9)]))
def test_which_stays_does_not_depend_on_the_order_of_arrival(shuffled):
    assert judged(shuffled) == judged(sorted(shuffled, key=lambda one: one.doc_id))


@given(st.lists(st.tuples(CROWDED, st.integers(1, 5), st.sampled_from([0, 40])), max_size=40), st.integers(0, 6))
def test_what_stays_is_what_comparing_all_pairs_leaves(rows, distance):
    """The quadratic rule said again: go by order, drop what is near one that stayed, name the nearest."""
    candidates = [candidate(f"d{n:02d}", pixels, value, colour) for n, (value, pixels, colour) in enumerate(rows)]
    kept, expected = [], {}
    for one in sorted(candidates, key=lambda c: c.order):
        near = [
            ((one.dhash ^ other.dhash).bit_count(), place)
            for place, other in enumerate(kept)
            if colour_difference(one.thumb, other.thumb) <= 12
        ]
        best = min(near, default=(99, 0))
        expected[one.doc_id] = (True, None) if best[0] > distance else (False, kept[best[1]].doc_id)
        if best[0] > distance:
            kept.append(one)
    assert judged(candidates, distance) == expected


def same(one, other):
    return (difference_hash(one) ^ difference_hash(other)).bit_count() <= 2 and colour_difference(
        thumbnail(one), thumbnail(other)
    ) <= 12


def test_equal_sizes_are_told_apart_by_address_then_by_id():
    rows = [
        order_of(9, "http://a/2", "a"),
        order_of(9, "http://a/1", "z"),
        order_of(9, "http://a/1", "b"),
        order_of(10, "x", "x"),
    ]
    assert sorted(rows) == [rows[3], rows[2], rows[1], rows[0]]


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "GIF"])
def test_a_copy_in_another_format_and_size_is_one_and_another_picture_is_not(kind):
    copy = Image.open(io.BytesIO(encoded(picture().resize((240, 160)), kind))).convert("RGB")
    assert same(picture(), copy)
    assert not same(picture(), picture(seed=5))


def test_a_brighter_copy_is_one_and_one_in_other_colours_is_not():
    assert same(picture(), ImageEnhance.Brightness(picture()).enhance(1.05))
    red, green, blue = picture().split()
    assert not same(picture(), Image.merge("RGB", (blue, red, green)))
