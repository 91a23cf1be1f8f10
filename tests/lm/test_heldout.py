"""Documents that are scored: whose they are, and of what size."""

import json

from llm_assets.core.artefact import Inputs
from llm_assets.lm import heldout
from llm_assets.lm import tokenizer as tokenizers
from llm_assets.lm.data import MixDocuments
from tests.support import corpus


def test_held_out_documents_are_the_suites_where_there_is_one(tmp_path):
    inputs, *_ = corpus.two_crawls(tmp_path / "corpus")
    (tmp_path / "tasks").mkdir()
    texts = ["The river of winter.", "Music <|endoftext|> and science."]
    (tmp_path / "tasks/perplexity.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    with_suite = Inputs({**inputs.artefacts, **Inputs.of({"eval_suite": [tmp_path]}).artefacts})
    tokenizer = tokenizers.load(inputs.one("tokenizer").files)
    validation = MixDocuments(inputs.one("training_mix"), inputs, "validation")
    found = heldout.read(with_suite, validation, tokenizer, at_most=10)
    assert found.source == "eval_suite"
    assert found.sizes == list(map(len, texts))
    assert found.n_bytes == sum(map(len, texts))
    assert [ids.count(validation.separator_id) for ids in found.documents] == [1, 1]
    assert found.n_tokens == sum(map(len, found.documents))
    own = heldout.read(inputs, validation, tokenizer, at_most=3)
    assert (own.source, len(own.documents), len(own.sizes)) == ("training_mix validation", 3, 3)
