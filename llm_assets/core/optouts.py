"""Opt-outs: what becomes of a page or an image whose crawl recorded that it does not want to be used."""

from collections.abc import Iterable, Mapping
from typing import Any

from llm_assets.core.ledger import Verdict


def refused(row: Mapping[str, Any], honoured: Iterable[str]) -> Verdict | None:
    """The verdict by the first of the honoured signals that was recorded for a row of a crawl's index; None where none was.

    A signal is a column ``optout_<signal>`` of the index; the crawl looks for them all, and the recipe says which are honoured.
    """
    for signal in honoured:
        if row.get(f"optout_{signal}"):
            return Verdict(False, f"optout_{signal}")
    return None
