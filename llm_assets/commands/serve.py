"""``llm-assets serve``: the gateway over the current export, until Ctrl-C."""

import secrets
from pathlib import Path

from llm_assets.commands.ui import check_port
from llm_assets.core.errors import LlmAssetsError
from llm_assets.defs import settings


def run_serve(host: str, port: int, model: Path | None, api_key: str) -> int:
    """Serve; returns the exit code."""
    check_port(host, port, "the gateway")
    store = settings.store()
    export = store.current("quantized_export")
    tokenizer = store.current("tokenizer")
    folder = model or (export.files if export else None)
    if folder is None or tokenizer is None:
        raise LlmAssetsError(f"there is no quantized_export under the recipe {store.recipe!r} yet; run 'llm-assets demo' first")
    from llm_assets.stages.serving.server import serve

    key = api_key or secrets.token_urlsafe(24)
    if not api_key:
        print(f"API key for this run (set LLM_ASSETS_API_KEY to choose one): {key}")
    print(f"Serving {folder.name} at http://{host}:{port}/v1 — try:")
    body = '{"messages": [{"role": "user", "content": "Describe Paris in one line."}]}'
    print(f"  curl -s http://{host}:{port}/v1/chat/completions -H 'Authorization: Bearer {key}' \\")
    print(f"    -H 'Content-Type: application/json' -d '{body}'")
    serve(folder, tokenizer.files, host=host, port=port, api_key=key, config=settings.recipe().deployment)
    return 0
