"""What an asset is, apart from Dagster: its name, its inputs, the code and libraries that decide it.

The store, the command line, the staleness report and the Dagster skin all read the same ``AssetSpec``;
the graph is written down once. Entries are strings (``module:function``), so that reading a spec
imports no torch.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Literal

FOLLOWS_GATE = "takes_what_was_kept"
Which = Literal["one", "same", "all", "earlier", "named", "read_by", "used"]


@dataclass(frozen=True)
class Input:
    """One dependency of an asset.

    ``which`` says which partitions are read: ``one`` (an unpartitioned asset), ``same`` (the partition of
    the reader), ``all`` (every complete crawl), ``earlier`` (crawls with a lower number in the crawl
    order, of these the ones that match a pattern in ``against``, where the reader's section has such a list; Dagster can't draw
    this edge), ``named`` (the crawls that the reader's section lists in ``crawls``;
    an empty list means the first crawl of the crawl order), ``read_by`` (the crawls, at the versions, that the current artefact
    of the asset ``by`` was made of: whoever reads the same as the training mix follows what the mix decides),
    ``used`` (an unpartitioned asset's current artefact, and those that the current artefacts of ``holders`` go back to: what
    models were made of, though readers see something newer).
    An ``optional`` input may be absent (its list is then empty).
    ``fingerprint`` names a ``module:function`` called as ``f(artefact, inputs, config) -> str``; its value replaces the
    digest of the input in the reader's identity (tombstones: only those that concern this crawl count).
    """

    asset: str
    which: Which = "one"
    optional: bool = False
    fingerprint: str | None = None
    by: str = ""
    holders: tuple[str, ...] = ()


@dataclass(frozen=True)
class AssetSpec:
    """One software-defined asset, pure of Dagster.

    ``name`` is both the asset key and the name of its recipe section.
    ``entry``: ``run(inputs, out, config, progress) -> Report``.
    ``gates``: ``gates(inputs, files, config, report) -> list[Gate]``; ``gate_names`` lists the names
    that it always returns, since Dagster wants them before the run.
    ``code_version`` changes by hand when the result may change; ``code`` lists modules or packages besides the stage's
    own module (the entry's) whose code decides the result; the code-version guard hashes these all.
    ``libraries`` are the distributions whose version decides the result.
    A ``source`` is not a function: its identity is the digest of its content and it is never refetched unasked, unless the tag
    ``read_again`` says that each run reads it (a list that people add to).
    ``process`` runs the entry in a subprocess (training, and anything that imports torch).
    ``follows`` names the input whose kept documents this stage takes in: a gate compares the two ledgers, document by document,
    and the retention funnel goes on from there.
    ``holds_back``: ``f(current, inputs, config, now) -> Waiting | None`` says which new crawls this asset leaves for later.
    ``loads`` names a function of the section that loads what the entry's first call would have to; a thread calls it while the
    asset that this one follows is made (``core.ahead``).
    """

    name: str
    entry: str
    inputs: tuple[Input, ...] = ()
    gates: str | None = None
    gate_names: tuple[str, ...] = ()
    code_version: str = "1"
    code: tuple[str, ...] = ()
    libraries: tuple[str, ...] = ()
    partitioned: bool = False
    source: bool = False
    process: bool = False
    tags: dict[str, str] = field(default_factory=dict)
    follows: str = ""
    holds_back: str = ""
    loads: str = ""

    @property
    def checks(self) -> tuple[str, ...]:
        """The names of all checks: the stage's own gates and, where it follows another, that nothing was lost between."""
        return (*self.gate_names, FOLLOWS_GATE) if self.follows else self.gate_names

    @property
    def module(self) -> str:
        """The module of the entry, whose folder is this asset's room."""
        return self.entry.partition(":")[0]

    @property
    def room(self) -> str:
        """The stage: ``llm_assets.stages.<room>…``."""
        return self.module.split(".")[2]


def load_entry(entry: str) -> Callable[..., Any]:
    """Import ``module:function``. Heavy imports happen here and not before."""
    module, _, name = entry.partition(":")
    function = getattr(import_module(module), name)
    if not callable(function):
        raise TypeError(f"{entry} is not callable")
    return function  # type: ignore[no-any-return]
