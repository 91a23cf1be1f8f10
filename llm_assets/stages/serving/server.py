"""``llm-assets serve``: loads a GGUF file, puts the gateway before it and listens until told to stop.

Nothing here imports torch or transformers: a server needs neither.
"""

import errno
import hashlib
import secrets
import socket
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import uvicorn
from tokenizers import Tokenizer

from llm_assets.core.errors import InputError, LlmAssetsError
from llm_assets.core.recipe.release import DeploymentConfig
from llm_assets.lm import chat
from llm_assets.lm.tokenizer import load_plain, vocab_size
from llm_assets.stages.serving.gateway import Gateway, Served
from llm_assets.stages.serving.upstream import LlamaCpp, start_llama_cpp

MIN_KEY_CHARACTERS = 16
_PROBED_TOKENS = 8192
# Letters, digits, accents, spaces, line breaks and a typed control token.
_PROBE = "Hello, world! It's 1234 déjà-vu …\n\n  Γειά 漢字 🙂 <|im_end|> x"


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, as hex."""
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def bind(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one. ``LlmAssetsError`` says in one sentence why it can't be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(512)
    except (OSError, OverflowError) as error:
        listener.close()
        raise LlmAssetsError(_why_not(host, port, error)) from error
    return listener


def _why_not(host: str, port: int, error: Exception) -> str:
    code = error.errno if isinstance(error, OSError) else None
    if code == errno.EADDRINUSE:
        return f"port {port} on {host} is taken by another program; stop that one, or choose another port with --port"
    if code == errno.EACCES:
        return f"port {port} may not be used by this user; choose one above 1023 with --port"
    if isinstance(error, OverflowError):
        return f"port {port} does not exist; choose one from 1 to 65535 with --port"
    return f"can't listen on {host}, port {port}: {error}; choose an address of this machine with --host"


def check_key(key: str) -> str:
    """The key itself; ``LlmAssetsError`` where it is too short to be one or can't stand in a header."""
    if len(key) < MIN_KEY_CHARACTERS:
        raise LlmAssetsError(
            f"the API key has {len(key)} characters; use at least {MIN_KEY_CHARACTERS}, "
            "or give none and one is made and printed"
        )
    if not key.isascii() or not key.isprintable() or " " in key:
        raise LlmAssetsError("the API key may only have printable ASCII characters and no spaces")
    return key


def probe_text(tokenizer: Tokenizer) -> str:
    """A text that two tokenizers read differently if they differ at all: awkward characters, and the vocabulary itself."""
    size = vocab_size(tokenizer)
    sample = range(0, size, -(-size // _PROBED_TOKENS))
    return "\n".join([_PROBE, *(tokenizer.decode([number], skip_special_tokens=True) for number in sample)])


def open_gateway(export_folder: Path, tokenizer_folder: Path, config: DeploymentConfig) -> tuple[Gateway, LlamaCpp, Tokenizer]:
    """Load tokenizer and model. ``InputError`` where either is missing or they don't belong together."""
    tokenizer = load_plain(tokenizer_folder)
    chat.control_ids(tokenizer)
    path = export_folder / config.file
    upstream = start_llama_cpp(path, parallel=config.parallel, threads=config.threads, token_timeout_s=config.token_timeout_s)
    probe = probe_text(tokenizer)
    theirs, ours = upstream.tokenize(probe), chat.encode_text(tokenizer, probe)
    if theirs != ours:
        raise InputError(
            f"{tokenizer_folder} is not the tokenizer of {path}: the same text gives other ids ({len(ours)} against "
            f"{len(theirs)}); serve a model with the tokenizer it was trained with"
        )
    served = Served((config.model_id, f"{config.model_id}-{path.stem}"), sha256_of(path))
    return Gateway(upstream, tokenizer, served, config), upstream, tokenizer


class Server(uvicorn.Server):
    """uvicorn's server, which tells ``on_ready`` when requests are answered."""

    on_ready: Callable[[], None] = staticmethod(lambda: None)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then tell."""
        await super().startup(sockets)
        if self.started:
            self.on_ready()


def make_server(gateway: Gateway, keys: list[str], config: DeploymentConfig) -> Server:
    """The HTTP server, not yet running."""
    settings = uvicorn.Config(
        gateway.app(keys),
        log_level="warning",
        access_log=False,  # what people ask is nobody's business
        lifespan="on",
        server_header=False,
        timeout_graceful_shutdown=config.shutdown_s,
    )
    return Server(settings)


def serve(
    export_folder: Path,
    tokenizer_folder: Path,
    host: str = "127.0.0.1",
    port: int = 8000,
    api_key: str = "",
    config: DeploymentConfig | None = None,
    on_ready: Callable[[str, str], None] | None = None,
) -> None:
    """Serve until SIGINT or SIGTERM; running requests may finish within ``config.shutdown_s``.

    With no ``api_key`` one is made. ``on_ready`` is called with the URL and the key once requests are answered. Raises
    ``LlmAssetsError`` where the port, the key, the file or the tokenizer won't do.
    """
    config = config or DeploymentConfig()
    key = check_key(api_key) if api_key else secrets.token_urlsafe(24)
    listener = bind(host, port)
    try:
        gateway, _, _ = open_gateway(export_folder, tokenizer_folder, config)
        server = make_server(gateway, [key], config)
        address = f"[{host}]" if ":" in host else host
        url = f"http://{address}:{listener.getsockname()[1]}"
        if on_ready is not None:
            tell = on_ready
            server.on_ready = lambda: tell(url, key)
        with suppress(KeyboardInterrupt):  # uvicorn raises the signal again after it has shut down in good order
            server.run(sockets=[listener])
    finally:
        listener.close()
