"""robots.txt as RFC 9309 has it, and what it says to the agents of model makers.

protego does the matching (longest rule wins, ``*`` and ``$``); the byte order mark that some editors leave is taken off first,
or the first line would not be read. 4xx means there are no rules; 5xx or no answer means that nothing may be fetched.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from protego import Protego


@dataclass
class Robots:
    """The rules of one host. ``unavailable`` is the fate of its URLs where they could not be had; else it is empty."""

    rules: Protego
    agent: str
    ai_agents: tuple[str, ...] = ()  # those that the file names; for all others the rules are ours
    unavailable: str = ""
    text: bytes = b""
    sitemaps: tuple[str, ...] = field(default=())
    delay_seconds: float = 0.0

    def allows(self, url: str) -> bool:
        """Whether our agent may fetch the URL."""
        return not self.unavailable and bool(self.rules.can_fetch(url, self.agent))

    def forbids_ai(self, url: str) -> bool:
        """Whether a known AI agent that the file names may not fetch the URL."""
        return any(not self.rules.can_fetch(url, agent) for agent in self.ai_agents)


def product_token(user_agent: str) -> str:
    """The name that robots.txt knows an agent by: what stands before the first ``/`` or space."""
    return user_agent.split("/", 1)[0].split(" ", 1)[0]


def parse_robots(data: bytes, agent: str, ai_agents: Sequence[str]) -> Robots:
    """Rules from the bytes of a robots.txt, in whatever state they are."""
    text = data.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "replace")
    rules = Protego.parse(text)
    lowered = text.lower()
    return Robots(
        rules,
        agent,
        tuple(name for name in ai_agents if name.lower() in lowered),
        text=data,
        sitemaps=tuple(rules.sitemaps),
        delay_seconds=float(rules.crawl_delay(agent) or 0.0),
    )


def no_rules(agent: str) -> Robots:
    """There is no robots.txt: all is allowed."""
    return Robots(Protego.parse(""), agent)


def unavailable(agent: str, fate: str) -> Robots:
    """It could not be had: nothing is allowed, and ``fate`` is what the ledger says of every URL."""
    return Robots(Protego.parse(""), agent, unavailable=fate)
