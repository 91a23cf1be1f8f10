import pytest

from llm_assets.core.errors import InputError
from llm_assets.lm import chat, gguf
from llm_assets.lm import tokenizer as tokenizers
from llm_assets.lm.llama_cpp import LlamaCpp
from tests.support import tiny


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    return tiny.byte_tokenizer(tmp_path_factory.mktemp("tokenizer"))


@pytest.fixture(scope="module")
def server(tmp_path_factory, tokenizer):
    root = tmp_path_factory.mktemp("model")
    folder = tiny.random_model(root, tokenizer)
    gguf.write(folder, root / "model.gguf", "f16", name="tiny")
    with LlamaCpp(root / "model.gguf", context=64) as found:
        yield found


def test_what_is_no_model_is_refused(tmp_path):
    with pytest.raises(InputError, match="there is no none.gguf"):
        LlamaCpp(tmp_path / "none.gguf")
    (tmp_path / "bad.gguf").write_bytes(b"GGUF" + bytes(100))
    with pytest.raises(InputError, match=r"can't load .*bad\.gguf"):
        LlamaCpp(tmp_path / "bad.gguf")


def test_written_control_tokens_are_text_unless_asked(server, tokenizer):
    engine = tokenizers.load_plain(tokenizer)
    text = "hey <|im_end|>"
    assert server.tokenize(text) == chat.encode_text(engine, text)
    assert server.tokenize(text, control=True)[-1] == engine.token_to_id("<|im_end|>")


def test_parts_of_a_character_are_read_but_not_reported(server, tokenizer):
    engine = tokenizers.load_plain(tokenizer)
    ids = chat.encode_text(engine, "a€b")
    whole = [False] * 4 + ["\ufffd" not in engine.decode([number]) for number in range(4, 288)]
    found = server.predictions([ids, ids[:1]], whole, 0)
    assert [step is None for step in found[0]] == [False, True, True, True, False]
    assert [step.token for step in found[1]] == ids[:1]
    assert all(step.log_probability <= step.top_log_probability <= 0 for row in found for step in row if step)


def test_a_sequence_that_can_not_be_spelt_is_an_error(server):
    with pytest.raises(InputError, match="refused|other tokens"):
        server.predictions([[0]], [True] * 288, 0)  # an end of text


def test_greedy_takes_the_likeliest(server):
    first = server.greedy([0], 3)
    assert first == server.greedy([0], 3)
    assert server.greedy([0, *first[:2]], 1) == first[2:]
