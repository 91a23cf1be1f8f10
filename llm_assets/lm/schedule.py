"""Learning rates as a pure function of the step: a resumed training goes on with the rate an unbroken one had (case B24)."""

import math

KINDS = ("linear", "cosine", "constant")


def multiplier(kind: str, step: int, total_steps: int, *, warmup_steps: int = 0, floor: float = 0.0) -> float:
    """What the peak learning rate is multiplied by in ``step`` (0 to ``total_steps`` - 1).

    Rises linearly over ``warmup_steps`` (step 0 has 1/(warmup + 1), never 0), then falls to ``floor`` just after the last
    step: ``linear``, ``cosine`` (half a wave) or ``constant``. Linear decay to zero is the default of this project: best or
    equal best of the schedules compared by Bergsma et al. 2025, "Straight to Zero".
    """
    if kind not in KINDS:
        raise ValueError(f"schedule {kind!r} is not known; allowed: {', '.join(KINDS)}")
    if not 0 <= step < total_steps:
        raise ValueError(f"step {step} is outside 0 to {total_steps - 1}")
    if step < warmup_steps:
        return (step + 1) / (warmup_steps + 1)
    if kind == "constant":
        return 1.0
    done = (step - warmup_steps) / max(1, total_steps - warmup_steps)
    left = 1 - done if kind == "linear" else 0.5 * (1 + math.cos(math.pi * done))
    return floor + (1 - floor) * left
