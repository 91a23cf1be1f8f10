from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.support import corpus


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """One crawl in English and French, its tokenizer and its token shards. Read only: tests copy what they damage."""
    root: Path = tmp_path_factory.mktemp("tokens")
    survivors = corpus.shards(root / "deduped/c1", corpus.rows(60), corpus.rows(40, "fr", words=84))
    tokenizer = corpus.make_tokenizer(root / "tokenizer", survivors)
    tokens = corpus.make_tokens(root / "tokenized", survivors, tokenizer)
    return SimpleNamespace(root=root, survivors=survivors, tokenizer=tokenizer, tokens=tokens)
