"""Which round is kept: the best reward among those that the gold metric and the KL ceiling let pass."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from llm_assets.core.statistics import bootstrap_interval


@dataclass(frozen=True)
class GoldBand:
    """The reference's gold metric on the validation prompts, and the floor a round must reach."""

    mean: float
    low: float  # of the 95 % interval of the mean
    high: float
    floor: float

    @classmethod
    def of(cls, scores: Sequence[float], *, slack: float, seed: int) -> "GoldBand":
        """``slack``: share of the interval's lower half that a round may fall; 0 none, 1 down to its end."""
        mean = float(np.mean(scores))
        low, high = bootstrap_interval(scores, seed)
        return cls(mean, low, high, mean - slack * (mean - low))


@dataclass(frozen=True)
class Candidate:
    """A round as the validation prompts see it; iteration 0 is the reference itself."""

    iteration: int
    reward_gain_sd: float
    kl_nats: float
    gold: float
    eligible: bool

    @classmethod
    def reference(cls, gold: float) -> "Candidate":
        """What is kept as long as no round is better."""
        return cls(0, 0.0, 0.0, gold, True)

    def record(self) -> dict[str, Any]:
        """Plain values, for checkpoints and reports."""
        return asdict(self)


def candidate(
    iteration: int, reward_gain_sd: float, kl_nats: float, gold: float, *, band: GoldBand, kl_ceiling: float
) -> Candidate:
    """A round with its verdict: eligible with the gold metric at or above the floor and the KL at or below the ceiling."""
    return Candidate(iteration, reward_gain_sd, kl_nats, gold, gold >= band.floor and kl_nats <= kl_ceiling)


def better(new: Candidate, kept: Candidate) -> bool:
    """Whether the new round replaces the kept one: eligible, and more reward."""
    return new.eligible and new.reward_gain_sd > kept.reward_gain_sd
