import signal
import socket
import subprocess
import sys

import httpx
import pytest

from llm_assets.core.errors import InputError, LlmAssetsError
from llm_assets.core.recipe.release import DeploymentConfig
from llm_assets.stages.serving.server import bind, check_key, open_gateway, serve
from llm_assets.stages.serving.upstream import start_llama_cpp
from tests.support import tiny


def test_a_taken_port_is_one_sentence_that_says_what_to_do(tmp_path):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(LlmAssetsError, match=rf"^port {port} on 127.0.0.1 is taken by another program; .*--port$"):
            serve(tmp_path, tmp_path, port=port, api_key="k" * 20)


@pytest.mark.parametrize(("host", "port", "said"), [("127.0.0.1", 70000, "does not exist"), ("203.0.113.7", 0, "can't listen")])
def test_an_address_that_can_not_be_had_is_named(host, port, said):
    with pytest.raises(LlmAssetsError, match=said):
        bind(host, port)


@pytest.mark.parametrize("key", ["short", "k" * 15, "with a space in the key", "schlüssel-schlüssel", "line\nbreak-line-break"])
def test_a_key_that_protects_nothing_or_fits_no_header_is_refused(key):
    with pytest.raises(LlmAssetsError, match="API key"):
        check_key(key)


def test_serving_imports_neither_torch_nor_transformers():
    code = (
        "import sys, llm_assets.stages.serving.server, llm_assets.stages.serving.deployment;"
        "print([name for name in ('torch', 'transformers', 'xllamacpp') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_missing_and_a_damaged_file_are_named(tmp_path):
    options = {"parallel": 1, "threads": 1, "token_timeout_s": 5.0}
    with pytest.raises(InputError, match="there is no m.gguf"):
        start_llama_cpp(tmp_path / "m.gguf", **options)
    (tmp_path / "m.gguf").write_bytes(b"GGUF" + bytes(100))
    with pytest.raises(InputError, match="llama.cpp can't load"):
        start_llama_cpp(tmp_path / "m.gguf", **options)


def test_a_tokenizer_of_another_model_is_refused(tmp_path, exported, tokenizer_folder):
    other = tiny.byte_tokenizer(tmp_path / "other", merges=[])
    with pytest.raises(InputError, match="is not the tokenizer of"):
        open_gateway(exported, other, DeploymentConfig(file="model-f16.gguf"))


def test_serve_answers_until_it_is_told_to_stop_and_ends_in_good_order(exported, tokenizer_folder):
    code = f"""
from pathlib import Path
from llm_assets.core.recipe.release import DeploymentConfig
from llm_assets.stages.serving.server import serve
serve(Path({str(exported)!r}), Path({str(tokenizer_folder)!r}), port=0, config=DeploymentConfig(file="model-f16.gguf"),
      on_ready=lambda url, key: print(url, key, flush=True))
print("ended", flush=True)
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        url, key = process.stdout.readline().split()
        assert len(key) >= 16 and httpx.get(f"{url}/v1/models", trust_env=False).status_code == 401
        body = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 3}
        headers = {"Authorization": f"Bearer {key}"}
        answer = httpx.post(f"{url}/v1/chat/completions", json=body, headers=headers, trust_env=False, timeout=60)
        assert answer.status_code == 200 and answer.json()["usage"]["completion_tokens"] <= 3
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0 and out == "ended\n" and "Traceback" not in err
