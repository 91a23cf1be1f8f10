"""The kept round: most reward among those that the gold metric and the ceiling allow."""

import pytest

from llm_assets.stages.rl.selection import Candidate, GoldBand, better, candidate

BAND = GoldBand(mean=0.15, low=0.13, high=0.17, floor=0.14)


def judged(gain: float, kl: float, gold: float) -> Candidate:
    return candidate(3, gain, kl, gold, band=BAND, kl_ceiling=5.0)


def test_a_gamed_reward_is_not_kept() -> None:
    start = Candidate.reference(0.15)
    assert not better(judged(1.0, 1.0, 0.122), start)
    assert not better(judged(1.0, 5.1, 0.16), start)
    assert better(judged(0.1, 1.0, 0.141), start)
    assert not better(judged(0.1, 1.0, 0.17), judged(0.2, 1.0, 0.141))
    assert not better(judged(-0.1, 1.0, 0.2), start)


@pytest.mark.parametrize(("slack", "share"), [(0.0, 0.0), (0.5, 0.5), (1.0, 1.0)])
def test_the_floor_lies_between_the_mean_and_the_intervals_end(slack: float, share: float) -> None:
    band = GoldBand.of([0.0, 0.1, 0.2, 0.3, 0.4] * 20, slack=slack, seed=1)
    assert band.low < band.mean < band.high
    assert band.floor == pytest.approx(band.mean - share * (band.mean - band.low))
