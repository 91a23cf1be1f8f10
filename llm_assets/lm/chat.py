"""Chat format: one template, one function that makes ids of it, for training, evaluation and the gateway alike.

The template is in the tokenizer's folder as Jinja, with ``{% generation %}`` marks, so that any tool finds the trained spans.
``encode`` builds the same ids piece by piece: control ids come from here only, and whatever a content says is text.
On content without control tokens the ids equal those of ``apply_chat_template`` (a test holds this). There is no BOS.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tokenizers import Tokenizer

from llm_assets.core.errors import InputError
from llm_assets.lm.tokenizer import CONTROL_TOKENS, TURN_END, TURN_START, plain

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

Message = Mapping[str, str]

ROLES = ("system", "user", "assistant")
ASSISTANT = "assistant"

# Contents are trimmed: a leading newline would fuse with the one after the role, and a prompt would no longer be a
# prefix of the prompt with its answer.
TEMPLATE = """\
{%- for message in messages -%}
{%- if message['role'] not in ['system', 'user', 'assistant'] -%}
{{- raise_exception("a role is system, user or assistant") -}}
{%- endif -%}
{{- '<|im_start|>' + message['role'] + '\\n' -}}
{%- if message['role'] == 'assistant' -%}
{%- generation -%}{{- message['content'] | trim + '<|im_end|>' -}}{%- endgeneration -%}
{%- else -%}
{{- message['content'] | trim + '<|im_end|>' -}}
{%- endif -%}
{{- '\\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}
{{- '<|im_start|>assistant\\n' -}}
{%- endif -%}
"""


@dataclass(frozen=True, slots=True)
class Encoded:
    """Ids of a chat, and for each whether it is trained on: the assistant's content and the token that ends the turn."""

    ids: list[int]
    mask: list[bool]


def control_ids(tokenizer: "PreTrainedTokenizerFast | Tokenizer") -> frozenset[int]:
    """The ids of the control tokens. ``InputError`` where the tokenizer lacks one."""
    engine = plain(tokenizer)
    return frozenset(_control(engine, token) for token in CONTROL_TOKENS)


def _control(engine: Tokenizer, token: str) -> int:
    number = engine.token_to_id(token)
    if number is None:
        raise InputError(f"the tokenizer has no {token}; chats need a tokenizer made by the asset 'tokenizer'")
    return int(number)


def encode_text(tokenizer: "PreTrainedTokenizerFast | Tokenizer", text: str) -> list[int]:
    """Plain text to ids; never a control id, no BOS, no separator."""
    return list(plain(tokenizer).encode(text, add_special_tokens=False).ids)


def encode_texts(tokenizer: "PreTrainedTokenizerFast | Tokenizer", texts: Sequence[str]) -> list[list[int]]:
    """``encode_text`` of many, on all cores."""
    batch = plain(tokenizer).encode_batch_fast(list(texts), add_special_tokens=False)
    return [list(encoding.ids) for encoding in batch]


def render(messages: Sequence[Message], add_generation_prompt: bool = False) -> str:
    """The chat as the template writes it, for people to read; ids come from ``encode``, never from this string."""
    turns = [f"{TURN_START}{_role(m)}\n{m['content'].strip()}{TURN_END}\n" for m in messages]
    return "".join(turns) + (f"{TURN_START}{ASSISTANT}\n" if add_generation_prompt else "")


def _role(message: Message) -> str:
    role = message["role"]
    if role not in ROLES:
        raise InputError(f"a chat's role is one of {', '.join(ROLES)}, not {role[:50]!r}")
    return role


def encode(
    tokenizer: "PreTrainedTokenizerFast | Tokenizer", messages: Sequence[Message], add_generation_prompt: bool = False
) -> Encoded:
    """Ids of a chat and their training mask.

    With ``add_generation_prompt`` the ids end where the assistant's answer begins; such ids are a prefix of the ids of the
    same chat with the answer. Raises ``InputError`` on an unknown role.
    """
    engine = plain(tokenizer)
    start, end = _control(engine, TURN_START), _control(engine, TURN_END)
    newline = engine.encode("\n", add_special_tokens=False).ids
    ids: list[int] = []
    mask: list[bool] = []
    for message in messages:
        role = _role(message)
        head = [start, *engine.encode(f"{role}\n", add_special_tokens=False).ids]
        content = [*engine.encode(message["content"].strip(), add_special_tokens=False).ids, end]
        ids += [*head, *content, *newline]
        mask += [False] * len(head) + [role == ASSISTANT] * len(content) + [False] * len(newline)
    if add_generation_prompt:
        head = [start, *engine.encode(f"{ASSISTANT}\n", add_special_tokens=False).ids]
        ids += head
        mask += [False] * len(head)
    return Encoded(ids, mask)
