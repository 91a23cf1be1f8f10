"""References in a model's text: ``{{ ref('model') }}``, ``{{ source('asset', 'files') }}``, ``{{ var('field') }}`` (a field of
the model's section of the recipe) and, in tests, ``{{ this }}``.

Deliberately not a template language: whatever else stands in double braces is an error with its line. What is in comments and
in string literals is left alone.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from llm_assets.sql.errors import SqlError

Kind = Literal["ref", "source", "this", "var"]

_TOKEN = re.compile(
    r"""
    (?P<skip> --[^\n]* | /\*.*?\*/ | '(?:[^']|'')*' | "(?:[^"]|"")*" )
    | (?P<call> \{\{ (?P<inside>.*?) \}\} )
    | (?P<stray> \{\{ | \}\} | \{% | \{\# )
    """,
    re.VERBOSE | re.DOTALL,
)
_STRING = r"""\s*(?:'([^'"]*)'|"([^'"]*)")\s*"""
_CALLS: dict[Kind, re.Pattern[str]] = {
    "ref": re.compile(rf"\s*ref\s*\({_STRING}\)\s*"),
    "source": re.compile(rf"\s*source\s*\({_STRING},{_STRING}\)\s*"),
    "this": re.compile(r"\s*this\s*"),
    "var": re.compile(rf"\s*var\s*\({_STRING}\)\s*"),
}


@dataclass(frozen=True, order=True)
class Reference:
    """One reference: what it names, and the line (from 1) where it stands."""

    kind: Kind
    arguments: tuple[str, ...]
    line: int

    @property
    def relation(self) -> str:
        """The name of the relation that takes its place: ``model``, ``asset/files``."""
        return "/".join(self.arguments)


def references(text: str, where: str) -> list[Reference]:
    """All references in order of appearance. Raises ``SqlError`` naming ``where`` and the line for anything else in braces."""
    return [reference for reference, _, _ in _scan(text, where)]


def render(text: str, where: str, relation: Callable[[Reference], str], values: Mapping[str, Any] | None = None) -> str:
    """The text with each reference replaced by the quoted name of its relation, or a ``var`` by its value (null without
    ``values``). Lines stay where they were."""
    parts, last = [], 0
    for reference, start, end in _scan(text, where):
        inside = text[start:end].count("\n")
        name = reference.arguments[0] if reference.kind == "var" else ""
        told = scalar(values[name] if values is not None else None) if name else quoted(relation(reference))
        parts += [text[last:start], told, "\n" * inside]
        last = end
    return "".join([*parts, text[last:]])


def quoted(name: str) -> str:
    """A SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(value: str) -> str:
    """A SQL string literal."""
    return "'" + value.replace("'", "''") + "'"


def scalar(value: Any) -> str:
    """A number, a truth value or a text as SQL; null for None."""
    if value is None:
        return "NULL"
    return str(value).upper() if isinstance(value, bool) else str(value) if isinstance(value, int | float) else literal(value)


def _scan(text: str, where: str) -> list[tuple[Reference, int, int]]:
    found = []
    for token in _TOKEN.finditer(text):
        if token["skip"] is not None:
            continue
        line = text.count("\n", 0, token.start()) + 1
        if token["stray"] is not None:
            raise SqlError(f"{where}, line {line}: {token['stray']!r} is not closed, or is no template; {_ALLOWED}")
        found.append((_reference(token["inside"], where, line), token.start(), token.end()))
    return found


_ALLOWED = "a model may say {{ ref('model') }}, {{ source('asset', 'files') }} and {{ var('field') }}, a test {{ this }} too"


def _reference(inside: str, where: str, line: int) -> Reference:
    for kind, pattern in _CALLS.items():
        if match := pattern.fullmatch(inside):
            return Reference(kind, tuple(part for part in match.groups() if part is not None), line)
    raise SqlError(f"{where}, line {line}: {{{{{inside}}}}} is not understood; {_ALLOWED}")
