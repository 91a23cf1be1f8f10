from collections import Counter, defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_assets.stages.pretrain.kneser_ney import KneserNey, _discounts, bits_per_byte

VOCABULARY = 12


def corpus(count=60, seed=0):
    """Documents of a noisy cycle, each ended by 0, so that two tokens of context say more than one."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        ids = [int(rng.integers(1, VOCABULARY))]
        for _ in range(int(rng.integers(3, 20))):
            step = 1 if len(ids) < 2 or ids[-2] % 2 else 3
            ids.append((ids[-1] + step) % (VOCABULARY - 1) + 1 if rng.random() < 0.8 else int(rng.integers(1, VOCABULARY)))
        found.append(np.array([*ids, 0], dtype=np.uint16))
    return found


class Slow:
    """Interpolated modified Kneser-Ney by dictionaries, straight from the formulas."""

    def __init__(self, documents, order):
        self.order, begin = order, -1
        self.counts = []
        for size in range(1, order + 1):
            own = Counter(
                tuple(([begin] * (size - 1) + list(map(int, ids)))[place : place + size])
                for ids in documents
                for place in range(len(ids))
            )
            self.counts.append(own)
        for size in range(order - 1, 0, -1):
            left = defaultdict(set)
            for gram in self.counts[size]:
                left[gram[1:]].add(gram[0])
            own = self.counts[size - 1]
            self.counts[size - 1] = {g: n if size > 1 and g[0] == begin else len(left[g]) for g, n in own.items()}

    def probability(self, context, token):
        padded = (-1,) * (self.order - 1) + tuple(context)
        value = 1 / VOCABULARY
        for size in range(1, self.order + 1):
            before = padded[len(padded) - size + 1 :]
            counts = self.counts[size - 1]
            taken = _discounts(np.array(list(counts.values())))
            seen = {gram: n for gram, n in counts.items() if gram[:-1] == before}
            if not seen:
                continue
            total = sum(seen.values())
            own = seen.get((*before, token), 0)
            left = sum(taken[min(n, 3)] for n in seen.values()) / total
            value = (own - taken[min(own, 3)]) / total + left * value
        return value


@pytest.mark.parametrize("order", [1, 2, 3])
@settings(max_examples=25, deadline=None)
@given(context=st.lists(st.integers(0, VOCABULARY - 1), max_size=5))
def test_probabilities_sum_to_one_after_any_context(order, context):
    assert KneserNey(corpus(), VOCABULARY, order).distribution(context).sum() == pytest.approx(1)


@pytest.mark.parametrize("order", [1, 2, 3])
def test_it_is_the_textbooks_model(order):
    documents, unseen = corpus(), corpus(5, seed=1)
    fast, slow = KneserNey(documents, VOCABULARY, order), Slow(documents, order)
    found = np.exp(fast.log_probabilities(unseen))
    wanted = [slow.probability(ids[:place].tolist(), int(ids[place])) for ids in unseen for place in range(len(ids))]
    assert found == pytest.approx(np.array(wanted))
    assert found[0] == pytest.approx(fast.distribution([])[int(unseen[0][0])])


def test_more_context_predicts_better_where_there_is_something_to_learn():
    documents, unseen = corpus(400), corpus(50, seed=1)
    nats = [-KneserNey(documents, VOCABULARY, order).log_probabilities(unseen).mean() for order in (1, 2, 3)]
    assert nats[0] > nats[1] > nats[2]


def test_a_context_never_seen_falls_back_to_what_is_known():
    documents = [np.array([1, 2, 0]), np.array([1, 3, 0])]
    model = KneserNey(documents, VOCABULARY, 3)
    assert model.distribution([9, 9]) == pytest.approx(KneserNey(documents, VOCABULARY, 3).distribution([7, 8]))
    assert (model.distribution([9, 9]) > 0).all()


def test_the_entropy_of_single_tokens():
    assert KneserNey([np.array([1, 2, 1, 2])], VOCABULARY, 1).unigram_entropy_nats == pytest.approx(np.log(2))


def test_discounts_need_counts_of_counts():
    assert _discounts(np.array([1] * 100 + [2] * 40 + [3] * 20 + [4] * 10)) == pytest.approx(
        [0, 1 - 2 * (100 / 180) * 0.4, 2 - 3 * (100 / 180) * 0.5, 3 - 4 * (100 / 180) * 0.5]
    )
    assert _discounts(np.array([5, 6])).tolist() == [0, 0.5, 0.5, 0.5]
    assert _discounts(np.array([1, 1, 2])).tolist() == [0, 0.5, 0.5, 0.5]


@pytest.mark.parametrize(
    ("documents", "vocabulary", "order", "message"),
    [
        ([], 5, 2, "no document"),
        ([np.array([1, 7])], 5, 2, "ids must be 0 to 4"),
        ([np.array([1])], 5, 0, "order 0"),
        ([np.array([1])], 2**22, 3, "64 bits"),
    ],
)
def test_what_can_not_be_counted_is_refused(documents, vocabulary, order, message):
    with pytest.raises(ValueError, match=message):
        KneserNey(documents, vocabulary, order)


def test_bits_per_byte():
    assert bits_per_byte(np.log(2) * 16, 8) == pytest.approx(2)
    with pytest.raises(ValueError, match="at least one byte"):
        bits_per_byte(1.0, 0)
