"""Pace: speed since a count was first seen, the time left, and both in a sentence."""

import pytest

from llm_assets.core.pace import Pace, Pacer, duration, said


def test_nothing_can_be_said_before_the_second_look():
    assert Pacer().at(10.0, 5, 100, "shards") == Pace(None, None)


def test_speed_and_time_left():
    pacer = Pacer()
    pacer.at(10.0, 0, 100, "shards")
    assert pacer.at(20.0, 20, 100, "shards") == Pace(2.0, 40.0)
    assert pacer.at(20.0, 20, None, "shards") == Pace(2.0, None)
    assert pacer.at(60.0, 100, 100, "shards").seconds_left == 0


def test_what_a_resumed_run_had_done_is_not_its_speed():
    pacer = Pacer()
    pacer.at(0.0, 900, 1000, "steps")
    assert pacer.at(10.0, 910, 1000, "steps") == Pace(1.0, 90.0)


@pytest.mark.parametrize("later", [(3, "documents"), (1, "shards")])
def test_another_unit_or_a_smaller_number_is_a_new_count(later):
    pacer = Pacer()
    pacer.at(0.0, 0, 10, "shards")
    pacer.at(1.0, 5, 10, "shards")
    done, unit = later
    assert pacer.at(2.0, done, 10, unit) == Pace(None, None)
    assert pacer.at(3.0, done + 1, 10, unit).per_second == 1.0


def test_sentences():
    assert said(12, 40, "shards", Pace(2.5, 11.2)) == "12 of 40 shards (30%), 2.5 a second, about 11 s left"
    assert said(3, None, "pages", Pace(0.02, None)) == "3 pages, 1.2 a minute"
    assert said(1, 10, "rounds", Pace(None, None)) == "1 of 10 rounds (10%)"
    assert said(40, 40, "shards", Pace(12345.6, 0.0)) == "40 of 40 shards (100%), 12,346 a second"
    assert said(1, 9, "days", Pace(1e-4, 5.0)).startswith("1 of 9 days (11%), 0.36 a hour")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (59.6, "1 min"), (200, "3 min 20 s"), (3600, "1 h"), (18_600, "5 h 10 min"), (183_600, "2 d 3 h")],
)
def test_durations(seconds, text):
    assert duration(seconds) == text
