from pathlib import Path
from types import SimpleNamespace

import pytest

from llm_assets.core.artefact import Inputs
from llm_assets.lm import finetune
from llm_assets.lm import model as models
from llm_assets.lm import tokenizer as tokenizers
from tests.support import articles, tiny


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """The made-up encyclopedia with its datasets and a random chat model. Read only."""
    root: Path = tmp_path_factory.mktemp("reward")
    folders = articles.world(root)
    tokenizer = tiny.byte_tokenizer(root / "tokenizer/all")
    chat = tiny.random_model(root / "sft/all", tokenizer, initializer_range=0.05)
    model, known = models.load(chat), tokenizers.load(tokenizer)
    finetune.end_turns(model, known)
    models.save(model, known, chat)
    folders["sft_model"] = [chat]
    return SimpleNamespace(root=root, folders=folders, inputs=Inputs.of(folders), tokenizer=known)
