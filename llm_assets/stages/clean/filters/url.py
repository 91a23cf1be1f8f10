"""Addresses that are left out: by a list of domains, and by words in them.

After RefinedWeb (Penedo et al. 2023, "The RefinedWeb Dataset for Falcon LLM", section 3.1 and appendix G.1) as FineWeb runs
it in datatrove: a listed domain or address, one "hard" word, two "soft" words, or a word anywhere within the address drops a
page. Unlike there, a listed domain covers subdomains at any depth, and words are found in capitals too.
"""

import tarfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import polars as pl

from llm_assets.core.errors import InputError
from llm_assets.core.recipe.cleaning import UrlRules
from llm_assets.stages.clean.filters.base import Rule
from llm_assets.stages.clean.pinned import pinned

OWN = Path(__file__).parents[1] / "url_lists.txt"
_KINDS = ("domain", "url", "hard", "soft", "subword")
_DOMAIN, _URL, _HARD, _SOFT, _SUBWORD = (f"_url_{kind}" for kind in _KINDS)


@dataclass(frozen=True)
class Lists:
    """What is listed, lower case but for addresses."""

    domain: set[str] = field(default_factory=set)
    url: set[str] = field(default_factory=set)
    hard: set[str] = field(default_factory=set)
    soft: set[str] = field(default_factory=set)
    subword: set[str] = field(default_factory=set)

    def add(self, kind: str, entries: Iterable[str]) -> None:
        """Add entries; words keep their letters and digits only, as the addresses they are looked for in."""
        for entry in entries:
            plain = entry if kind == "url" else entry.lower()
            plain = "".join(filter(str.isalnum, plain)) if kind in ("hard", "soft", "subword") else plain.strip(".")
            if plain:
                getattr(self, kind).add(plain)


def read_list(path: Path, lists: Lists) -> None:
    """Add a list file, one entry a line; ``InputError`` names a line that says neither a domain nor ``kind entry``."""
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if len(words) == 1:
            lists.add("domain", words)
        elif len(words) == 2 and words[0] in _KINDS:
            lists.add(words[0], words[1:])
        else:
            raise InputError(f"{path.name}, line {number}: a domain or one of {', '.join(_KINDS)} and an entry, not {line!r}")


def lists_of(config: UrlRules) -> Lists:
    """The lists of a recipe, without datatrove's."""
    lists = Lists()
    if config.own_lists:
        read_list(OWN, lists)
    if config.file:
        read_list(pinned(Path(config.file).expanduser(), config.file_sha256, "url.file_sha256"), lists)
    given = {
        "domain": config.domains,
        "url": config.urls,
        "hard": config.hard_words,
        "soft": config.soft_words,
        "subword": config.subwords,
    }
    for kind, entries in given.items():
        lists.add(kind, entries)
    if config.datatrove_lists:
        for kind, name in (("hard", "banned_words"), ("soft", "soft_banned_words"), ("subword", "banned_subwords")):
            lists.add(kind, (line for line in (_assets() / f"{name}.txt").read_text().splitlines() if not line.startswith("#")))
    return lists


def add_measures(frame: pl.DataFrame, config: UrlRules) -> pl.DataFrame:
    """Add what the rules measure: 0 or 1 for listed domains, addresses, hard words, words within; the number of soft words."""
    lists = lists_of(config)
    hosts = {host: suffixes(host) for host in frame["host"].str.to_lowercase().unique() if host}
    domains, urls = set(lists.domain), set(lists.url)
    if config.datatrove_lists:
        domains |= _datatrove("domains", frozenset(suffix for found in hosts.values() for suffix in found))
        urls |= _datatrove("urls", frozenset(frame["url"].drop_nulls()))
    listed = [host for host, found in hosts.items() if not domains.isdisjoint(found)]
    words = pl.col("url").str.to_lowercase().str.replace_all("[^a-z0-9]+", " ").str.split(" ").list.unique()
    soft = words.list.set_intersection(pl.lit(pl.Series([sorted(lists.soft)], dtype=pl.List(pl.String)))).list.len()
    hard = words.list.set_intersection(pl.lit(pl.Series([sorted(lists.hard)], dtype=pl.List(pl.String)))).list.len()
    squeezed = pl.col("url").str.to_lowercase().str.replace_all("[^a-z0-9]+", "")
    within = squeezed.str.contains_any(sorted(lists.subword)) if lists.subword else pl.lit(False)
    return frame.with_columns(
        pl.col("host").str.to_lowercase().is_in(listed).fill_null(False).cast(pl.Int32).alias(_DOMAIN),
        pl.col("url").is_in(sorted(urls)).fill_null(False).cast(pl.Int32).alias(_URL),
        (hard.fill_null(0) > 0).cast(pl.Int32).alias(_HARD),
        soft.fill_null(0).cast(pl.Int32).alias(_SOFT),
        within.fill_null(False).cast(pl.Int32).alias(_SUBWORD),
    )


def rules(config: UrlRules) -> list[Rule]:
    """The rules, in datatrove's order, for a frame that ``add_measures`` returned."""
    return [
        Rule("url_domain", pl.col(_DOMAIN), "at_most", 0, pl.col("host")),
        Rule("url_listed", pl.col(_URL), "at_most", 0),
        Rule("url_hard_word", pl.col(_HARD), "at_most", 0),
        Rule("url_soft_words", pl.col(_SOFT), "at_most", config.min_soft_words - 1),
        Rule("url_subword", pl.col(_SUBWORD), "at_most", 0),
    ]


def suffixes(host: str) -> list[str]:
    """The host and each domain above it: ``a.b.example`` gives itself, ``b.example`` and ``example``."""
    parts = host.split(".")
    return [".".join(parts[place:]) for place in range(len(parts))]


@cache
def _assets() -> Path:
    from importlib.util import find_spec

    (folder,) = find_spec("datatrove").submodule_search_locations  # type: ignore[union-attr, misc]
    return Path(folder) / "assets"


@cache
def _datatrove(name: str, wanted: frozenset[str]) -> frozenset[str]:
    """Which of the wanted entries one of datatrove's large lists has; the list is read through, never held."""
    with tarfile.open(_assets() / "url_filterblacklistsv0_3_0.tar.gz", "r:gz") as archive:
        member = archive.extractfile(name)
        if member is None:
            raise InputError(f"datatrove's list of {name} is not in its archive; install another version of datatrove")
        return frozenset(entry for line in member if (entry := line.decode("utf-8", "replace").strip()) in wanted)
