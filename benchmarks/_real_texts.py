"""Real text of a given size that every machine has: the demo's Wikipedia introductions, then the standard library."""

import os
from pathlib import Path

from llm_assets.core.embedded import articles


def real_texts(n_bytes: int) -> list[str]:
    """Texts of about ``n_bytes`` UTF-8 bytes in all, in a fixed order."""
    found, filled = [], 0
    for text in (article.text for article in articles()):
        found.append(text)
        filled += len(text.encode())
        if filled >= n_bytes:
            return found
    for path in sorted(Path(os.__file__).parent.rglob("*.py")):
        if "site-packages" in path.parts:
            continue
        found.append(path.read_text("utf-8", "replace"))
        filled += len(found[-1].encode())
        if filled >= n_bytes:
            break
    return found
