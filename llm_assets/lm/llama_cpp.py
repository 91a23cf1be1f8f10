"""llama.cpp in this process, asked by token ids: its own tokenizer, its log-probabilities, its greedy answers.

llama.cpp's server has no request for the probabilities of a given text, and one request a token is slow. But it reports the
probability, before any constraint, of each token that it draws; a grammar that allows one sequence of tokens makes it draw just
that one. Tokens that are part of a character (a byte of an emoji, say) are never reported, whatever is asked: they are read as
context, and passed over as predictions.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from llm_assets.core.errors import InputError

_TIMEOUT_S = 120.0


@dataclass(frozen=True, slots=True)
class Predicted:
    """One step: the token asked for, and the one that the model holds likeliest, with their log-probabilities in nats."""

    token: int
    log_probability: float
    top_token: int
    top_log_probability: float


def start_server(
    path: Path,
    *,
    parallel: int,
    threads: int = 0,
    context: int = 0,
    key: str = "",
    exact_cache: bool = False,
    warmup: bool = True,
) -> Any:
    """llama.cpp's server over a GGUF file, listening on a free port of 127.0.0.1 until its last reference goes.

    ``parallel``: requests answered at once, each with ``context`` tokens (0: what the model was trained with). ``threads``: 0
    is llama.cpp's own choice. ``key``: a bearer token that each request must carry. ``exact_cache`` keeps keys and values in
    float32. Raises ``InputError`` where the file is missing or llama.cpp can't load it.
    """
    import xllamacpp

    if not path.is_file():
        raise InputError(f"there is no {path.name} in {path.parent}; materialise quantized_export, or serve another file")
    params = xllamacpp.CommonParams()
    params.model.path = str(path)
    params.n_parallel, params.n_ctx = parallel, parallel * context
    params.kv_unified = False
    if threads:
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
    params.port, params.hostnames = 0, ["127.0.0.1"]
    if key:
        params.api_keys = [key]
    params.n_threads_http = parallel + 2
    params.ui = params.endpoint_slots = False
    params.warmup = warmup
    params.verbosity = 0
    if exact_cache:
        params.cache_type_k = params.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32
        params.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
    try:
        return xllamacpp.Server(params)
    except RuntimeError as error:
        raise InputError(
            f"llama.cpp can't load {path}: {error} The file may be damaged; build quantized_export again"
        ) from error


class LlamaCpp:
    """A GGUF file loaded by llama.cpp's server on a free port of 127.0.0.1; a context manager.

    ``threads``: llama.cpp's threads spin while they wait for each other, so one is the fastest for a small model wherever
    anything else runs. ``exact_cache`` keeps keys and values in float32, so that a comparison measures the file and not the
    cache. ``parallel``: requests answered at once, each with ``context`` tokens (0: the model's own).
    Raises ``InputError`` where llama.cpp can't load the file.
    """

    def __init__(
        self, path: Path, *, parallel: int = 4, threads: int = 1, context: int = 512, exact_cache: bool = False
    ) -> None:
        self._server = start_server(
            path, parallel=parallel, threads=threads, context=context, exact_cache=exact_cache, warmup=False
        )
        self.parallel = parallel
        self._client = httpx.Client(base_url=self._server.listening_address, trust_env=False, timeout=_TIMEOUT_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._client.close()
        self._server = None  # the server ends with its last reference

    def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        answer = self._client.post(path, json=body)
        if answer.status_code != 200:
            raise InputError(f"llama.cpp refused {path} with status {answer.status_code}: {answer.text[:300]}")
        found: dict[str, Any] = answer.json()
        return found

    def tokenize(self, text: str, *, control: bool = False) -> list[int]:
        """llama.cpp's ids of a text; with ``control``, a control token written in it becomes its id."""
        answer = self._post("/tokenize", {"content": text, "add_special": False, "parse_special": control})
        return [int(number) for number in answer["tokens"]]

    def greedy(self, ids: Sequence[int], n_tokens: int) -> list[int]:
        """The likeliest ``n_tokens`` ids after a prompt, one after another; ends of text don't stop it."""
        body = _body(list(ids), n_tokens) | {"temperature": 0.0, "n_probs": 0, "ignore_eos": True, "return_tokens": True}
        return [int(number) for number in self._post("/completion", body)["tokens"]]

    def predictions(
        self, sequences: Sequence[Sequence[int]], whole: Sequence[bool], start: int
    ) -> list[list[Predicted | None]]:
        """Every token of each sequence, given ``start`` and all tokens before it; None where ``whole`` says no.

        ``whole[id]``: whether that id alone is text in valid UTF-8, and no control token.
        """
        with ThreadPoolExecutor(self.parallel) as pool:
            return list(pool.map(lambda ids: self._sequence(list(ids), whole, start), sequences))

    def _sequence(self, ids: list[int], whole: Sequence[bool], start: int) -> list[Predicted | None]:
        found: list[Predicted | None] = []
        while len(found) < len(ids):
            first = last = len(found)
            while last < len(ids) and whole[ids[last]]:
                last += 1
            found += self._held_to([start, *ids[:first]], ids[first:last]) if last > first else [None]
        return found

    def _held_to(self, prompt: list[int], ids: list[int]) -> list[Predicted]:
        grammar = "root ::= " + " ".join(f"<[{number}]>" for number in ids)
        return _read(self._post("/completion", _body(prompt, len(ids)) | {"grammar": grammar}), ids)


def _body(prompt: list[int], n_tokens: int) -> dict[str, Any]:
    """Draw from the model's own distribution, no cut-offs, and report log-probabilities as they were before any constraint."""
    return {
        "prompt": prompt,
        "n_predict": n_tokens,
        "n_probs": 1,
        "temperature": 1.0,
        "samplers": ["temperature"],
        "post_sampling_probs": False,
        "cache_prompt": False,
        "seed": 0,
    }


def _read(answer: dict[str, Any], ids: list[int]) -> list[Predicted]:
    steps = [
        Predicted(
            int(step["id"]),
            float(step["logprob"]),
            int(step["top_logprobs"][0]["id"]),
            float(step["top_logprobs"][0]["logprob"]),
        )
        for step in answer.get("completion_probabilities", [])
    ]
    drawn = [step.token for step in steps]
    if drawn != ids:
        raise InputError(f"llama.cpp drew other tokens than it was held to: {drawn[:8]} for {ids[:8]}")
    return steps
