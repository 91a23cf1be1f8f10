"""Indexes that one crawl leaves for later ones: whether they were made as the recipe says now."""

from collections.abc import Mapping
from typing import Any

from llm_assets.core.artefact import Artefact
from llm_assets.core.errors import InputError


def check_comparable(artefact: Artefact, about: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """``InputError`` where an older crawl's index was not made with what is ``wanted``; ``about``: what it says of itself."""
    of = f"{artefact.asset}[{artefact.partition}]"
    for name, value in wanted.items():
        if about.get(name) != value:
            raise InputError(
                f"{of} was indexed with {name} = {about.get(name)}, the recipe says {value}; materialise {of} again first "
                f"(oldest crawl first), or leave it out of {artefact.asset}.against"
            )
