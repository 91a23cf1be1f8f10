import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_assets.core.statistics import bootstrap_interval, bootstrap_statistic, macro_f1, paired_bootstrap, wilson


def test_an_interval_covers_the_true_mean_about_as_often_as_it_says():
    rng = np.random.default_rng(0)
    inside = sum(low <= 0.3 <= high for low, high in (bootstrap_interval(rng.random(80) < 0.3, k) for k in range(300)))
    assert 0.90 <= inside / 300 <= 0.99


def test_the_same_seed_gives_the_same_interval_and_another_one_another():
    values = list(range(20))
    assert bootstrap_interval(values, 1) == bootstrap_interval(values, 1) != bootstrap_interval(values, 2)


@pytest.mark.parametrize("values", [[], [1.0, float("nan")], [[1.0]]])
def test_what_has_no_mean_is_refused(values):
    with pytest.raises(ValueError, match="values"):
        bootstrap_interval(values, 0)


def test_pairing_sees_a_difference_that_separate_intervals_hide():
    rng = np.random.default_rng(3)
    hard = rng.normal(0, 5, 200)
    better = hard + 0.2 + rng.normal(0, 0.1, 200)
    difference, low, high = paired_bootstrap(better, hard, 0)
    assert low > 0 and low < difference < high
    assert bootstrap_interval(better, 0)[0] < bootstrap_interval(hard, 0)[1]
    assert paired_bootstrap(hard, better, 0)[0] == pytest.approx(-difference)


def test_pairs_must_be_of_the_same_items():
    with pytest.raises(ValueError, match="same items: 2 against 3"):
        paired_bootstrap([1, 2], [1, 2, 3], 0)


def test_wilson_equals_published_values():
    # Newcombe 1998, table I: 81 of 263, and 0 of 20.
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson(0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_stays_within_bounds_and_around_the_share(case):
    successes, n = case
    low, high = wilson(successes, n)
    assert 0 <= low <= successes / n + 1e-12 and successes / n - 1e-12 <= high <= 1


def test_wilson_refuses_what_is_no_proportion():
    with pytest.raises(ValueError, match="5 successes of 4"):
        wilson(5, 4)


def test_macro_f1_by_hand():
    # class 0: TP 1, FP 0, FN 1 → 2/3; class 1: TP 1, FP 1, FN 0 → 2/3; class 2 is named by neither side; −1 is no answer.
    assert macro_f1([0, 0, 1], [0, 1, 1], 3) == pytest.approx(2 / 3)
    assert macro_f1([0, 1], [-1, 1], 2) == pytest.approx(0.5)


def test_a_statistic_that_is_no_mean_gets_an_interval_too():
    values = np.arange(1.0, 50.0)
    low, high = bootstrap_statistic(len(values), lambda chosen: float(np.median(values[chosen])), 0)
    assert low < 25.0 < high
