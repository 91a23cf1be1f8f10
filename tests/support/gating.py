"""Which gates stop the line."""

from llm_assets.core.suites import SUITES

WARNINGS = {expectation.name for suite in SUITES.values() for expectation in suite if not expectation.blocking}


def all_block(gates) -> bool:
    """Whether all gates do but the expectations that are a matter of degree."""
    return all(gate.blocking != (gate.name in WARNINGS) for gate in gates)
