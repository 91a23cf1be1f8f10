from pathlib import Path
from types import SimpleNamespace

import pytest

from llm_assets.core.artefact import Inputs
from tests.support import articles, tiny


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """The made-up encyclopedia with its datasets, a byte tokenizer and a random base model. Read only."""
    root: Path = tmp_path_factory.mktemp("sft")
    folders = articles.world(root)
    tokenizer = tiny.byte_tokenizer(root / "tokenizer/all")
    folders["tokenizer"] = [tokenizer]
    folders["base_model"] = [tiny.random_model(root / "base/all", tokenizer, initializer_range=0.05)]
    return SimpleNamespace(root=root, folders=folders, inputs=Inputs.of(folders))
