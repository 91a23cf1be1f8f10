"""Files that a recipe names: found by their path, trusted by their digest, so that equal recipes always mean equal files."""

import hashlib
from pathlib import Path

from llm_assets.core.errors import RecipeError


def pinned(path: Path, sha256: str, field: str) -> Path:
    """``path``, if it is a file with that SHA-256. ``field`` is the recipe's field for the digest; ``RecipeError`` names it."""
    if not path.is_file():
        raise RecipeError(f"{field.rpartition('.')[0]}: {path} is no file; name one, or switch this filter off")
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != sha256:
        was = "is not given" if not sha256 else f"is {sha256}"
        raise RecipeError(
            f"cleaned_corpus.{field} {was}, but {path} has {found}; the digest is part of what identifies the corpus: "
            "write it into the recipe if this is the file you mean"
        )
    return path
