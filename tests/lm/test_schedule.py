from itertools import pairwise

import pytest

from llm_assets.lm import schedule


@pytest.mark.parametrize("kind", schedule.KINDS)
def test_it_rises_then_falls_to_its_floor(kind):
    rates = [schedule.multiplier(kind, step, 100, warmup_steps=10, floor=0.1) for step in range(100)]
    assert 0 < rates[0] < rates[9] < 1
    assert rates[10] == 1
    assert all(a >= b for a, b in pairwise(rates[10:]))
    assert rates[-1] == 1 if kind == "constant" else 0.1 < rates[-1] < 0.12


@pytest.mark.parametrize("kind", ["linear", "cosine"])
def test_a_resumed_training_has_the_same_rates(kind):
    """Case B24: the rate depends on the step alone, so ten steps straight equal five and five."""
    straight = [schedule.multiplier(kind, step, 10, warmup_steps=3) for step in range(10)]
    resumed = [schedule.multiplier(kind, step, 10, warmup_steps=3) for step in [*range(5), *range(5, 10)]]
    assert straight == resumed
    assert straight[:3] == [0.25, 0.5, 0.75]


def test_linear_decay_goes_straight_down():
    assert [schedule.multiplier("linear", step, 4) for step in range(4)] == [1, 0.75, 0.5, 0.25]


@pytest.mark.parametrize(("kind", "step"), [("linear", -1), ("linear", 10), ("sawtooth", 0)])
def test_what_can_not_be_is_refused(kind, step):
    with pytest.raises(ValueError, match="sawtooth|outside"):
        schedule.multiplier(kind, step, 10)
