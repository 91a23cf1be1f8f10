"""The engine behind the gateway: llama.cpp's own server, in this process, on a port of its own that only the gateway can use.

The gateway talks to it by token ids. Anything that answers ``Upstream`` can stand in its place.
"""

import secrets
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import httpx
import orjson

from llm_assets.core.errors import LlmAssetsError
from llm_assets.lm.llama_cpp import start_server


@dataclass(frozen=True)
class Sampling:
    """How an answer is drawn. ``temperature`` 0 is greedy; otherwise from the model's own distribution, cut at ``top_p``."""

    max_tokens: int
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0
    stop: tuple[str, ...] = ()
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0


@dataclass(frozen=True)
class Piece:
    """Some more text; the last piece has a ``finish_reason`` ("stop" or "length") and the counts of tokens."""

    text: str
    finish_reason: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0


class UpstreamError(LlmAssetsError):
    """The engine did not answer as it should. ``status`` is the HTTP status that the client gets."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class Upstream(Protocol):
    """What the gateway needs of an engine."""

    context: int  # tokens, prompt and answer together

    def stream(self, ids: Sequence[int], sampling: Sampling) -> AsyncGenerator[Piece, None]:
        """The answer piece by piece; closing the generator stops the engine. Raises ``UpstreamError``."""
        ...

    async def ready(self) -> bool:
        """Whether requests would be answered now."""
        ...

    async def close(self) -> None:
        """Stop for good."""
        ...


class LlamaCpp:
    """llama.cpp's server over HTTP, as an ``Upstream``."""

    def __init__(self, url: str, key: str, context: int, token_timeout_s: float, engine: Any = None) -> None:
        self.context = context
        self.url, self.key = url, key
        self._engine = engine  # lives as long as this object
        self._client = httpx.AsyncClient(
            base_url=url,
            headers={"Authorization": f"Bearer {key}"},
            timeout=httpx.Timeout(token_timeout_s, connect=5.0),
            limits=httpx.Limits(max_connections=None),
            trust_env=False,
        )

    async def stream(self, ids: Sequence[int], sampling: Sampling) -> AsyncGenerator[Piece, None]:
        """See ``Upstream``."""
        finished = False
        try:
            async with self._client.stream("POST", "/completion", json=request_body(ids, sampling)) as response:
                if response.status_code != 200:
                    raise UpstreamError(f"the model refused the request: {_reason(await response.aread())}", _status(response))
                async for line in response.aiter_lines():
                    if line.startswith("error:"):
                        raise UpstreamError(f"the model stopped with an error: {line[6:200].strip()}", 502)
                    if line.startswith("data:"):
                        piece = _piece(orjson.loads(line[5:]))
                        finished = finished or bool(piece.finish_reason)
                        yield piece
        except httpx.TimeoutException as error:
            raise UpstreamError("the model took too long for its next token; ask for less, or try again later", 504) from error
        except httpx.HTTPError as error:
            raise UpstreamError(f"the model can't be reached ({type(error).__name__}); restart the server", 503) from error
        if not finished:
            raise UpstreamError("the model's answer broke off before its end; try again", 502)

    async def ready(self) -> bool:
        """See ``Upstream``."""
        try:
            return (await self._client.get("/health")).status_code == 200
        except httpx.HTTPError:
            return False

    def tokenize(self, text: str, *, control: bool = False) -> list[int]:
        """llama.cpp's own ids of a text; with ``control`` a written control token becomes its id."""
        answer = self.post("/tokenize", {"content": text, "add_special": False, "parse_special": control})
        return [int(number) for number in answer["tokens"]]

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """One blocking request to the engine itself, past the gateway: for checks, not for serving."""
        headers = {"Authorization": f"Bearer {self.key}"}
        answer = httpx.post(f"{self.url}{path}", json=body, headers=headers, trust_env=False, timeout=self._client.timeout)
        found: dict[str, Any] = answer.raise_for_status().json()
        return found

    async def close(self) -> None:
        """See ``Upstream``."""
        await self._client.aclose()
        self._engine = None


def request_body(ids: Sequence[int], sampling: Sampling) -> dict[str, Any]:
    """What llama.cpp's ``/completion`` is sent."""
    return {
        "prompt": list(ids),
        "stream": True,
        "n_predict": sampling.max_tokens,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        # llama.cpp's own defaults cut the distribution; a request gets what it asked for.
        "top_k": 0,
        "min_p": 0.0,
        "seed": sampling.seed,
        "stop": list(sampling.stop),
        "frequency_penalty": sampling.frequency_penalty,
        "presence_penalty": sampling.presence_penalty,
        # A cached prefix is computed in other batches, and so to other last bits: the same request should get the same answer.
        "cache_prompt": False,
    }


def _piece(data: dict[str, Any]) -> Piece:
    if "error" in data:
        raise UpstreamError(f"the model stopped with an error: {str(data['error'])[:200]}", 502)
    if not data.get("stop"):
        return Piece(data["content"])
    reason = "length" if data["stop_type"] == "limit" else "stop"
    return Piece(data["content"], reason, int(data["tokens_evaluated"]), int(data["tokens_predicted"]))


def _reason(body: bytes) -> str:
    try:
        return str(orjson.loads(body)["error"]["message"])[:200]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return body[:200].decode("utf-8", "replace")


def _status(response: httpx.Response) -> int:
    return 400 if response.status_code == 400 else 503 if response.status_code == 503 else 502


def start_llama_cpp(gguf: Path, *, parallel: int, threads: int, token_timeout_s: float) -> LlamaCpp:
    """Load a GGUF file and listen on a free port of 127.0.0.1, behind a key that only this process knows.

    Raises ``InputError`` where the file is missing or llama.cpp can't load it.
    """
    key = secrets.token_urlsafe(32)
    engine = start_server(gguf, parallel=parallel, threads=threads, key=key)
    url = engine.listening_address
    answer = httpx.get(f"{url}/props", headers={"Authorization": f"Bearer {key}"}, trust_env=False, timeout=30.0)
    context = int(answer.raise_for_status().json()["default_generation_settings"]["n_ctx"])
    return LlamaCpp(url, key, context, token_timeout_s, engine)
