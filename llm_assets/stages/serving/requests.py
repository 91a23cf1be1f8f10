"""What clients send: OpenAI's request bodies, checked field by field, and OpenAI's error body for what is wrong with them.

A field that can't be honoured is refused by name rather than ignored: an answer that silently leaves out what was asked is
worse than none.
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import orjson

from llm_assets.core.recipe.release import DeploymentConfig
from llm_assets.lm.chat import ROLES
from llm_assets.stages.serving.upstream import Sampling

MAX_STOPS = 4
MAX_STOP_CHARACTERS = 200
MAX_SEED = 2**32 - 2  # llama.cpp takes 2^32 − 1 as "any"
# Accepted and without effect here, since they change nothing in the answer.
_WITHOUT_EFFECT = {"user", "metadata", "store", "service_tier", "safety_identifier", "prompt_cache_key", "parallel_tool_calls"}
# Refused unless they have the value that means "off".
_OFF: dict[str, tuple[Any, ...]] = {
    "n": (None, 1),
    "best_of": (None, 1),
    "logprobs": (None, False, 0),
    "top_logprobs": (None, 0),
    "echo": (None, False),
    "suffix": (None, ""),
    "logit_bias": (None, {}),
    "tools": (None, []),
    "tool_choice": (None, "none", "auto"),
    "functions": (None, []),
    "function_call": (None, "none", "auto"),
    "response_format": (None, {"type": "text"}),
    "modalities": (None, ["text"]),
}
_SHARED = {
    "model",
    "stream",
    "stream_options",
    "max_tokens",
    "max_completion_tokens",
    "temperature",
    "top_p",
    "seed",
    "stop",
    "frequency_penalty",
    "presence_penalty",
}


class ApiError(Exception):
    """An answer with an error status, in OpenAI's form."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        kind: str = "invalid_request_error",
        code: str = "",
        param: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.kind, self.code, self.param = status, message, kind, code, param
        self.headers = dict(headers or {})

    def body(self) -> bytes:
        """The JSON body."""
        fields = {"message": self.message, "type": self.kind, "param": self.param or None, "code": self.code or None}
        return orjson.dumps({"error": fields})


@dataclass(frozen=True)
class Ask:
    """One checked request: a chat (``messages``) or a text to continue (``prompt``), never both."""

    model: str
    sampling: Sampling
    stream: bool
    include_usage: bool
    messages: tuple[dict[str, str], ...] = ()
    prompt: str = ""


def parse(body: bytes, config: DeploymentConfig, *, chat: bool) -> Ask:
    """Check a body. Raises ``ApiError`` (400) that names the field and what is allowed."""
    try:
        data = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise ApiError(400, f"the body is not valid JSON: {error}", code="invalid_json") from error
    if not isinstance(data, dict):
        raise ApiError(400, f"the body must be a JSON object, not {_kind(data)}", code="invalid_json")
    _known(data, _SHARED | {"messages" if chat else "prompt"})
    stream = _flag(data, "stream")
    options = data.get("stream_options") or {}
    if not isinstance(options, dict) or (options and not stream):
        raise _wrong("stream_options", "an object, given together with stream: true", data.get("stream_options"))
    return Ask(
        model=_text(data, "model", ""),
        sampling=_sampling(data, config),
        stream=stream,
        include_usage=_flag(options, "include_usage"),
        messages=_messages(data, config) if chat else (),
        prompt="" if chat else _prompt(data),
    )


def _known(data: Mapping[str, Any], fields: set[str]) -> None:
    for name, value in data.items():
        if name in fields or name in _WITHOUT_EFFECT:
            continue
        if name in _OFF:
            if not any(value == off and type(value) is type(off) for off in _OFF[name]):
                raise ApiError(
                    400, f"{name} is not supported by this server; leave it out", code="unsupported_parameter", param=name
                )
            continue
        near = get_close_matches(name, fields, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"allowed: {', '.join(sorted(fields))}"
        raise ApiError(400, f"no such field: {name[:60]!r}; {hint}", code="unknown_parameter", param=name[:60])


def _sampling(data: Mapping[str, Any], config: DeploymentConfig) -> Sampling:
    seed = _number(data, "seed", 0, MAX_SEED, whole=True)
    asked = _number(data, "max_completion_tokens" if "max_completion_tokens" in data else "max_tokens", 1, None, whole=True)
    default = min(config.default_max_tokens, config.max_tokens)
    return Sampling(
        max_tokens=default if asked is None else min(int(asked), config.max_tokens),
        temperature=_or(_number(data, "temperature", 0, 2), config.default_temperature),
        top_p=_or(_number(data, "top_p", 0, 1), 1.0),
        seed=secrets.randbelow(MAX_SEED) if seed is None else int(seed),
        stop=_stops(data.get("stop")),
        frequency_penalty=_or(_number(data, "frequency_penalty", -2, 2), 0.0),
        presence_penalty=_or(_number(data, "presence_penalty", -2, 2), 0.0),
    )


def _or(value: float | None, default: float) -> float:
    return default if value is None else value


def _messages(data: Mapping[str, Any], config: DeploymentConfig) -> tuple[dict[str, str], ...]:
    messages = data.get("messages")
    if not isinstance(messages, list) or not messages:
        raise _wrong("messages", "a list with at least one message", messages)
    if len(messages) > config.max_messages:
        raise ApiError(
            400, f"messages has {len(messages)} entries; at most {config.max_messages} are allowed", param="messages"
        )
    return tuple(_message(message, f"messages[{place}]") for place, message in enumerate(messages))


def _message(message: Any, where: str) -> dict[str, str]:
    if not isinstance(message, dict):
        raise _wrong(where, "an object with role and content", message)
    extra = set(message) - {"role", "content", "name"}
    if extra:
        raise ApiError(
            400, f"{where} has a field that is not supported: {sorted(extra)[0][:60]!r}; use role and content", param=where
        )
    role = message.get("role")
    if role not in ROLES:
        raise _wrong(f"{where}.role", f"one of {', '.join(ROLES)}", role)
    content = message.get("content")
    if isinstance(content, list):
        parts = [part.get("text") if isinstance(part, dict) and part.get("type") == "text" else None for part in content]
        content = "".join(parts) if parts and all(isinstance(part, str) for part in parts) else None  # type: ignore[arg-type]
    if not isinstance(content, str):
        raise _wrong(f"{where}.content", "a text (or a list of text parts)", message.get("content"))
    return {"role": role, "content": content}


def _prompt(data: Mapping[str, Any]) -> str:
    prompt = data.get("prompt")
    if not isinstance(prompt, str) or not prompt:
        raise _wrong("prompt", "one non-empty text (token ids and lists are not taken)", prompt)
    return prompt


def _stops(value: Any) -> tuple[str, ...]:
    stops = [value] if isinstance(value, str) else value if value is not None else []
    if not isinstance(stops, list) or len(stops) > MAX_STOPS or not all(isinstance(stop, str) and stop for stop in stops):
        raise _wrong("stop", f"a non-empty text or up to {MAX_STOPS} of them", value)
    if any(len(stop) > MAX_STOP_CHARACTERS for stop in stops):
        raise ApiError(400, f"a stop text has more than {MAX_STOP_CHARACTERS} characters", param="stop")
    return tuple(stops)


def _number(data: Mapping[str, Any], name: str, low: float, high: float | None, *, whole: bool = False) -> float | None:
    value = data.get(name)
    if value is None:
        return None
    right = (isinstance(value, int) and not isinstance(value, bool)) or (isinstance(value, float) and not whole)
    if not right or value < low or (high is not None and value > high):
        span = f"at least {low}" if high is None else f"from {low} to {high}"
        raise _wrong(name, f"a {'whole ' if whole else ''}number {span}", value)
    return value  # type: ignore[no-any-return]


def _flag(data: Mapping[str, Any], name: str) -> bool:
    value = data.get(name)
    if value is not None and not isinstance(value, bool):
        raise _wrong(name, "true or false", value)
    return bool(value)


def _text(data: Mapping[str, Any], name: str, default: str) -> str:
    value = data.get(name, default)
    if not isinstance(value, str):
        raise _wrong(name, "a text", value)
    return value


def _kind(value: Any) -> str:
    return {dict: "an object", list: "a list", str: "a text", bool: "a flag", type(None): "null"}.get(type(value), "a number")


def _wrong(name: str, allowed: str, value: Any) -> ApiError:
    shown = repr(value)[:60] if isinstance(value, int | float | str) else _kind(value)
    return ApiError(400, f"{name} must be {allowed}; given: {shown}", code="invalid_value", param=name)
