"""Work shared by threads keeps its order, takes no more than it needs, and fails where it failed."""

import threading

import pytest

from llm_assets.core.threads import in_order


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_results_come_in_the_order_of_the_items(threads):
    assert list(in_order(lambda n: n * n, range(40), threads)) == [n * n for n in range(40)]
    assert list(in_order(str, [], threads)) == []


def test_two_items_are_under_way_at_once():
    both = threading.Barrier(2, timeout=20)
    assert list(in_order(lambda n: both.wait() * 0 + n, range(4), 2)) == [0, 1, 2, 3]


@pytest.mark.parametrize("threads", [1, 3])
def test_items_are_taken_only_as_they_are_needed(threads):
    taken = []

    def items():
        for n in range(1000):
            taken.append(n)
            yield n

    results = in_order(lambda n: n, items(), threads, ahead=2)
    assert [next(results) for _ in range(5)] == [0, 1, 2, 3, 4]
    assert len(taken) <= 5 + 2 * threads
    results.close()


@pytest.mark.parametrize("threads", [1, 4])
def test_an_error_is_raised_in_its_place_and_ends_the_work(threads):
    begun = []

    def work(n):
        begun.append(n)
        if n == 3:
            raise ValueError("the fourth")
        return n

    got = []
    with pytest.raises(ValueError, match="the fourth"):
        for n in in_order(work, range(1000), threads):
            got.append(n)
    assert got == [0, 1, 2]
    assert len(begun) <= 4 + threads
    assert threading.active_count() == 1 or all("ThreadPool" not in thread.name for thread in threading.enumerate())


def test_an_error_of_the_items_is_raised_too():
    def items():
        yield 1
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        list(in_order(lambda n: n, items(), 2))
