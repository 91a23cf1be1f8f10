"""What ``reward_model`` claims of held-out pairs: above both baselines overall, above chance by interval on three kinds.

Same-topic pairs are printed beside, and not claimed.
"""

from collections.abc import Mapping
from typing import Any

from llm_assets.core.claims import Claim
from llm_assets.stages.reward.model_gates import CLAIMED_KINDS

# A kind with fewer held-out pairs can't be told from chance: at 60 % right, 100 pairs are needed for an interval above 0.5.
MIN_PAIRS = 100


def claims(metrics: Mapping[str, Any], pairs_by_kind: Mapping[str, int]) -> list[dict[str, Any]]:
    """The rows for ``metrics["claims"]``; ``pairs_by_kind`` counts held-out pairs."""
    enough = all(pairs_by_kind.get(kind, 0) >= MIN_PAIRS for kind in CLAIMED_KINDS)
    found = [_above(metrics, name, enough) for name in ("length", "unigram")]
    same = f"same-topic pairs, not claimed: {metrics.get('accuracy_same_topic', 0.0):.3f}"
    for number, kind in enumerate(kind for kind in CLAIMED_KINDS if f"accuracy_{kind}" in metrics):
        low, high = metrics[f"accuracy_{kind}_low"], metrics[f"accuracy_{kind}_high"]
        found.append(
            Claim(
                name=f"reward_{kind}",
                statement=f"reward model prefers the true description to one that is {kind.replace('_', ' ')}",
                value=metrics[f"accuracy_{kind}"],
                against=0.5,
                passed=low > 0.5,
                applies=enough,
                interval=(low, high),
                note="" if number else same,
            )
        )
    return [claim.row() for claim in found]


def _above(metrics: Mapping[str, Any], name: str, enough: bool) -> Claim:
    return Claim(
        name=f"reward_above_{name}",
        statement=f"reward accuracy > by {'answer length' if name == 'length' else 'unigrams'} alone",
        value=metrics["accuracy"],
        against=metrics[f"{name}_accuracy"],
        passed=metrics[f"gain_over_{name}_low"] > 0,
        applies=enough,
        interval=(metrics["accuracy_low"], metrics["accuracy_high"]),
        note=f"paired gain at least {metrics[f'gain_over_{name}_low']:+.3f}",
    )
