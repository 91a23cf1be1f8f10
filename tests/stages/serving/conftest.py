"""A gateway over an engine that only remembers what it was sent, and raw ASGI calls to ask it."""

import asyncio
from dataclasses import dataclass, field
from types import SimpleNamespace

import orjson
import pytest

from llm_assets.core.recipe.release import DeploymentConfig
from llm_assets.lm.tokenizer import load_plain
from llm_assets.stages.serving.gateway import Gateway, Served
from llm_assets.stages.serving.upstream import Piece
from tests.support import tiny

KEY = "key-for-tests-0123456789"
OTHER_KEY = "another-key-for-tests-0123"
CHAT = {"messages": [{"role": "user", "content": "Hello"}]}


class FakeEngine:
    """Stands at the process boundary: answers with fixed pieces and notes ids, sampling and whether it was stopped."""

    def __init__(self, context=512):
        self.context = context
        self.sent, self.sampling = [], []
        self.texts = ["Bon", "jour"]
        self.fails = None
        self.fails_after = None
        self.hold = None  # an asyncio.Event: answers wait for it
        self.stalls = None  # an asyncio.Event: set after the first piece, and nothing follows
        self.running = self.most_running = self.stopped = 0
        self.alive, self.closed = True, False

    async def stream(self, ids, sampling):
        self.sent.append(list(ids))
        self.sampling.append(sampling)
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        try:
            if self.fails:
                raise self.fails
            if self.hold is not None:
                await self.hold.wait()
            for text in self.texts:
                yield Piece(text)
                if self.stalls is not None:
                    self.stalls.set()
                    await asyncio.Event().wait()
            if self.fails_after:
                raise self.fails_after
            yield Piece("", "stop", len(ids), len(self.texts))
        except (GeneratorExit, asyncio.CancelledError):
            self.stopped += 1
            raise
        finally:
            self.running -= 1

    async def ready(self):
        return self.alive

    async def close(self):
        self.closed = True


@dataclass
class Answer:
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def json(self):
        return orjson.loads(self.body)

    @property
    def error(self):
        return self.json["error"]

    @property
    def events(self):
        return [part.removeprefix(b"data: ") for part in self.body.split(b"\n\n") if part]


async def call(app, method, path, body=b"", key=KEY, headers=(), leave=None, chunks=None):
    """One request, spelt as given. ``leave``: an event after which the client is gone."""
    fields = [(b"host", b"test"), *headers]
    if key is not None:
        fields.append((b"authorization", f"Bearer {key}".encode()))
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": fields,
        "server": ("test", 80),
        "client": ("127.0.0.1", 1),
    }
    parts = list(chunks) if chunks is not None else [body if isinstance(body, bytes) else orjson.dumps(body)]
    answer = Answer()

    async def receive():
        if parts:
            part = parts.pop(0)
            return {"type": "http.request", "body": part, "more_body": bool(parts)}
        await (leave or asyncio.Event()).wait()
        return {"type": "http.disconnect"}

    async def send(message):
        if message["type"] == "http.response.start":
            answer.status = message["status"]
            answer.headers = {name.decode(): value.decode() for name, value in message["headers"]}
        else:
            answer.body += message.get("body", b"")

    await app(scope, receive, send)
    return answer


@pytest.fixture(scope="session")
def tokenizer_folder(tmp_path_factory):
    return tiny.byte_tokenizer(tmp_path_factory.mktemp("tokenizer"))


@pytest.fixture
def desk(tokenizer_folder):
    """``desk.open(**limits)`` makes a gateway; ``desk.ask(app, …)`` runs one request on it."""

    def open_(context=512, **limits):
        engine = FakeEngine(context)
        config = DeploymentConfig(**limits)
        gateway = Gateway(engine, load_plain(tokenizer_folder), Served(("small", "small-model-q4_0"), "ab" * 32), config)
        return SimpleNamespace(engine=engine, gateway=gateway, app=gateway.app([KEY, OTHER_KEY]))

    def ask(app, path="/v1/chat/completions", body=CHAT, method="POST", **options):
        return asyncio.run(call(app, method, path, body, **options))

    return SimpleNamespace(open=open_, ask=ask)


@pytest.fixture(scope="session")
def trained(tmp_path_factory, tokenizer_folder):
    """A random model as transformers has it."""
    return tiny.random_model(tmp_path_factory.mktemp("trained"), tokenizer_folder)


@pytest.fixture(scope="session")
def exported(tmp_path_factory, trained):
    """The same as an export folder that llama.cpp reads."""
    from llm_assets.lm import gguf

    folder = tmp_path_factory.mktemp("export")
    gguf.write(trained, folder / "model-f16.gguf", "f16", name="tiny")
    return folder
