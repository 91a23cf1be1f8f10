"""The gateway: OpenAI's chat API in front of an engine that takes token ids.

It renders and tokenises by itself, with the function that training and evaluation used, and sends ids: what a client writes
into a message is text and never a control token, and the ids are the same everywhere.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar
from uuid import uuid4

import orjson
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send
from tokenizers import Tokenizer

from llm_assets.core.errors import InputError
from llm_assets.core.recipe.release import DeploymentConfig
from llm_assets.lm import chat
from llm_assets.lm.tokenizer import END_OF_TEXT
from llm_assets.stages.serving.guard import Budget, KeyGuard, Turns
from llm_assets.stages.serving.requests import ApiError, Ask, parse
from llm_assets.stages.serving.upstream import Piece, Sampling, Upstream, UpstreamError

T = TypeVar("T")
_GONE = 499  # nginx's number for a client that left; nobody receives it


@dataclass(frozen=True)
class Served:
    """What is behind the API. Every name of ``model_ids`` is the same model, and counts on the same budget."""

    model_ids: tuple[str, ...]
    sha256: str

    @property
    def fingerprint(self) -> str:
        """Names the weights in every answer."""
        return f"fp_{self.sha256[:12]}"


class Gateway:
    """The routes and what they share."""

    def __init__(self, upstream: Upstream, tokenizer: Tokenizer, served: Served, config: DeploymentConfig) -> None:
        self.upstream, self.tokenizer, self.served, self.config = upstream, tokenizer, served, config
        self.budget = Budget(config.requests_per_key)
        self.turns = Turns(config.parallel, config.waiting)
        self.started = int(time.time())
        end = tokenizer.token_to_id(END_OF_TEXT)
        if end is None:
            raise InputError(f"the tokenizer has no {END_OF_TEXT}; serve with the tokenizer made by the asset 'tokenizer'")
        self.document_end = end

    def app(self, keys: list[str]) -> KeyGuard:
        """The ASGI application, behind the key."""
        routes = [
            Route("/health", self.health, methods=["GET"]),
            Route("/v1/models", self.models, methods=["GET"]),
            Route("/v1/models/{model_id}", self.model, methods=["GET"]),
            Route("/v1/chat/completions", self.chat_completions, methods=["POST"]),
            Route("/v1/completions", self.completions, methods=["POST"]),
        ]

        @asynccontextmanager
        async def lifespan(_: Starlette) -> AsyncGenerator[None, None]:
            yield
            await self.upstream.close()

        handlers: dict[Any, Callable[[Request, Exception], Any]] = {
            ApiError: _api_error,
            HTTPException: _http_error,
            UpstreamError: _upstream_error,
            ClientDisconnect: _client_gone,
            Exception: _internal_error,
        }
        inner = Starlette(routes=routes, exception_handlers=handlers, lifespan=lifespan)
        inner.router.redirect_slashes = False  # one spelling a route
        return KeyGuard(inner, keys)

    async def health(self, request: Request) -> Response:
        """Open to all; says whether a request would be answered, and nothing else."""
        ready = await self.upstream.ready()
        return _json({"status": "ok" if ready else "unavailable"}, 200 if ready else 503)

    async def models(self, request: Request) -> Response:
        """The names of the served model."""
        return _json({"object": "list", "data": [self._card(name) for name in self.served.model_ids]})

    async def model(self, request: Request) -> Response:
        """One name."""
        return _json(self._card(self._checked_model(request.path_params["model_id"])))

    async def chat_completions(self, request: Request) -> Response:
        """OpenAI's chat completions."""
        return await self._answer(request, is_chat=True)

    async def completions(self, request: Request) -> Response:
        """OpenAI's text completions: the prompt is continued as the beginning of a document."""
        return await self._answer(request, is_chat=False)

    async def _answer(self, request: Request, *, is_chat: bool) -> Response:
        ask = parse(await self._body(request), self.config, chat=is_chat)
        model = self._checked_model(ask.model or self.served.model_ids[0])
        # Off the event loop: a long text takes milliseconds, in which others would wait.
        ids = await asyncio.to_thread(self._encode, ask)
        sampling = self._fitting(ids, ask.sampling)
        form = _Form(is_chat, model, self.served.fingerprint)
        key: bytes = request.scope["state"]["key"]
        self.budget.book(key)
        pieces = self._pieces(ids, sampling)
        handed_on = False
        try:
            # The first piece before the first byte of the answer: what fails until here fails with a status.
            first = await _unless_gone(request, anext(pieces))
            if ask.stream:
                handed_on = True
                return _Events(form, first, pieces, ask.include_usage)
            return await self._whole(request, form, first, pieces)
        except ApiError:  # the line is full: the model has not seen it
            self.budget.refund(key)
            raise
        finally:
            if not handed_on:
                await pieces.aclose()

    async def _whole(self, request: Request, form: "_Form", first: Piece, pieces: AsyncGenerator[Piece, None]) -> Response:
        async def collect() -> tuple[str, Piece]:
            texts, last = [first.text], first
            async for piece in pieces:
                texts.append(piece.text)
                last = piece
            return "".join(texts), last

        text, last = await _unless_gone(request, collect())
        return _json(form.whole(text, last))

    async def _pieces(self, ids: list[int], sampling: Sampling) -> AsyncGenerator[Piece, None]:
        async with self.turns.take(), aclosing(self.upstream.stream(ids, sampling)) as pieces:
            async for piece in pieces:
                yield piece

    def _encode(self, ask: Ask) -> list[int]:
        if ask.messages:
            return chat.encode(self.tokenizer, ask.messages, add_generation_prompt=True).ids
        return [self.document_end, *chat.encode_text(self.tokenizer, ask.prompt)]

    def _fitting(self, ids: list[int], sampling: Sampling) -> Sampling:
        room = self.upstream.context - len(ids)
        if room < 1:
            raise ApiError(
                400,
                f"the prompt has {len(ids)} tokens and the model reads {self.upstream.context}, answer included; shorten it",
                code="context_length_exceeded",
                param="messages",
            )
        return Sampling(**{**_fields(sampling), "max_tokens": min(sampling.max_tokens, room)})

    def _checked_model(self, name: str) -> str:
        if name not in self.served.model_ids:
            served = ", ".join(self.served.model_ids)
            raise ApiError(404, f"no model is named {name[:60]!r}; served: {served}", code="model_not_found", param="model")
        return name

    def _card(self, name: str) -> dict[str, Any]:
        return {"id": name, "object": "model", "created": self.started, "owned_by": "llm_assets", "sha256": self.served.sha256}

    async def _body(self, request: Request) -> bytes:
        """The body, cut off as soon as it is over the limit, whatever its length header says."""
        limit = self.config.max_body_bytes
        error = ApiError(413, f"the body is larger than {limit} bytes; send less", code="body_too_large")
        declared = request.headers.get("content-length", "")
        if declared.isdigit() and int(declared) > limit:
            raise error
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > limit:
                raise error
        return bytes(body)


def _fields(sampling: Sampling) -> dict[str, Any]:
    return {name: getattr(sampling, name) for name in Sampling.__dataclass_fields__}


async def _unless_gone(request: Request, work: Awaitable[T]) -> T:
    """The result of ``work``; if the client leaves first, it is cancelled (so the engine stops): ``ClientDisconnect``."""

    async def gone() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    task, watch = asyncio.ensure_future(work), asyncio.ensure_future(gone())
    try:
        await asyncio.wait({task, watch}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ClientDisconnect
        return task.result()
    finally:
        for each in (task, watch):
            each.cancel()
        await asyncio.gather(task, watch, return_exceptions=True)


@dataclass(frozen=True)
class _Form:
    """How answers are written: as a chat or as a text."""

    is_chat: bool
    model: str
    fingerprint: str

    def _head(self, kind: str) -> dict[str, Any]:
        prefix = "chatcmpl" if self.is_chat else "cmpl"
        return {
            "id": f"{prefix}-{uuid4().hex}",
            "object": kind,
            "created": int(time.time()),
            "model": self.model,
            "system_fingerprint": self.fingerprint,
        }

    def whole(self, text: str, last: Piece) -> dict[str, Any]:
        """The answer in one piece."""
        choice: dict[str, Any] = {"index": 0, "finish_reason": last.finish_reason, "logprobs": None}
        if self.is_chat:
            choice["message"] = {"role": "assistant", "content": text}
        else:
            choice["text"] = text
        head = self._head("chat.completion" if self.is_chat else "text_completion")
        return {**head, "choices": [choice], "usage": _usage(last)}

    def chunks(self) -> Callable[[dict[str, Any] | None, str, Piece | None], bytes]:
        """A function that writes one event of the stream; all carry the same id."""
        head = self._head("chat.completion.chunk" if self.is_chat else "text_completion")

        def write(delta: dict[str, Any] | None, reason: str, usage: Piece | None) -> bytes:
            choices = []
            if delta is not None:
                body = {"delta": delta} if self.is_chat else {"text": delta.get("content", "")}
                choices = [{"index": 0, **body, "finish_reason": reason or None, "logprobs": None}]
            event = {**head, "choices": choices, **({"usage": _usage(usage)} if usage else {})}
            return b"data: " + orjson.dumps(event) + b"\n\n"

        return write


def _usage(last: Piece) -> dict[str, int]:
    return {
        "prompt_tokens": last.prompt_tokens,
        "completion_tokens": last.completion_tokens,
        "total_tokens": last.prompt_tokens + last.completion_tokens,
    }


class _Events(StreamingResponse):
    """Server-sent events. However the answer ends, even before it has begun, the engine is told."""

    def __init__(self, form: _Form, first: Piece, pieces: AsyncGenerator[Piece, None], include_usage: bool) -> None:
        self._pieces = pieces
        super().__init__(
            _events(form, first, pieces, include_usage),
            media_type="text/event-stream",
            headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self._pieces.aclose()


async def _events(
    form: _Form, first: Piece, pieces: AsyncGenerator[Piece, None], include_usage: bool
) -> AsyncGenerator[bytes, None]:
    write = form.chunks()
    if form.is_chat:
        yield write({"role": "assistant", "content": ""}, "", None)
    piece = first
    try:
        while True:
            if piece.text:
                yield write({"content": piece.text}, "", None)
            if piece.finish_reason:
                yield write({}, piece.finish_reason, None)
                if include_usage:
                    yield write(None, "", piece)
                break
            piece = await anext(pieces)
    except UpstreamError as error:  # too late for a status: the stream says so, and does not end as if all were well
        yield b"data: " + ApiError(error.status, str(error), kind="server_error", code="engine_error").body() + b"\n\n"
        return
    yield b"data: [DONE]\n\n"


def _json(data: dict[str, Any], status: int = 200) -> Response:
    return Response(orjson.dumps(data), status, media_type="application/json")


def _error(error: ApiError) -> Response:
    return Response(error.body(), error.status, headers=error.headers, media_type="application/json")


def _api_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)
    return _error(error)


def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    path = request.url.path[:100]
    if error.status_code == 404:
        return _error(
            ApiError(404, f"there is no {path!r}; see /v1/models, /v1/chat/completions, /v1/completions", code="not_found")
        )
    if error.status_code == 405:
        allowed = (error.headers or {}).get("Allow", "")
        message = f"{path!r} takes {allowed}, not {request.method[:20]}"
        return _error(ApiError(405, message, code="method_not_allowed", headers=error.headers))
    return _error(ApiError(error.status_code, str(error.detail)[:200], headers=error.headers))


def _upstream_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, UpstreamError)
    kind = "invalid_request_error" if error.status == 400 else "server_error"
    return _error(ApiError(error.status, str(error), kind=kind, code="engine_error"))


def _client_gone(request: Request, error: Exception) -> Response:
    return Response(status_code=_GONE)


def _internal_error(request: Request, error: Exception) -> Response:
    return _error(
        ApiError(500, "the server failed on this request; its log says why", kind="server_error", code="internal_error")
    )
