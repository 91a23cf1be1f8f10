"""What can be wrong with a SQL model."""

from collections.abc import Iterable
from difflib import get_close_matches

from llm_assets.core.errors import LlmAssetsError


class SqlError(LlmAssetsError):
    """A SQL model, its schema entry or its result is not as it must be. The message names file and line."""


def near(word: str, known: Iterable[str]) -> str:
    """``did you mean 'x'?``, or what there is when nothing is close."""
    names = sorted(known)
    close = get_close_matches(word, names, n=1)
    return f"did you mean {close[0]!r}?" if close else f"there are: {', '.join(names) or 'none'}"
