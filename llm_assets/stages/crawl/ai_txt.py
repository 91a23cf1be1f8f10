"""``/ai.txt``: which files of a site may be used to train models, in the form that Spawning proposed (spawning.ai, 2023).

The grammar is that of robots.txt: ``User-Agent`` groups with ``Allow`` and ``Disallow``. What differs is the values: the file
names kinds of media, so that most are ``*.jpg`` and the like, and a whole site is ``/`` or ``*``. A kind is an extension of
the path, to its end: ``*.h`` is a C header and not the start of ``.html``. Between rules that fit, the longest counts, as in
RFC 9309. Two other proposals use the same name for prose about a site; they have no rules, and nothing is read into them.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from protego import Protego

AI_TXT_PATH = "/ai.txt"
_RULE = re.compile(r"\s*(allow|disallow)\s*:\s*([^#\s]*)", re.IGNORECASE)
_EXTENSION = re.compile(r"\*\.[A-Za-z0-9]{1,16}")
_MARKUP = (b"<!doctype", b"<html")  # the page that servers send for what they don't have


@dataclass(frozen=True)
class AiTxt:
    """The rules of one origin, as they read for the agents that count."""

    rules: Protego
    agents: tuple[str, ...]

    def forbids(self, url: str) -> bool:
        """Whether the file keeps what this URL names from the training of models, for any of the agents."""
        return any(not self.rules.can_fetch(url, agent) for agent in self.agents)


def parse_ai_txt(data: bytes, agent: str, ai_agents: Sequence[str]) -> AiTxt | None:
    """Rules from the bytes of an ai.txt; None where it has none.

    ``agent`` (ours) has its own group or the one for all; the ``ai_agents`` count where the file names them.
    """
    if data[:512].lstrip().lower().startswith(_MARKUP):
        return None
    text = data.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "replace")
    lines = [line for given in text.splitlines() for line in _as_robots(given)]
    if not any(_RULE.match(line) for line in lines):
        return None
    lowered = text.lower()
    return AiTxt(Protego.parse("\n".join(lines)), (agent, *(name for name in ai_agents if name.lower() in lowered)))


def _as_robots(line: str) -> list[str]:
    """The line in the grammar of robots.txt, where a value starts with a slash and an extension has an end."""
    found = _RULE.match(line)
    if not found:
        return [line]
    directive, value = found.groups()
    if _EXTENSION.fullmatch(value):
        return [f"{directive}: /{value}$", f"{directive}: /{value}?"]
    return [f"{directive}: /{value}" if value and not value.startswith("/") else f"{directive}: {value}"]
