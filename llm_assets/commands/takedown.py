"""``llm-assets takedown``: plan, apply, verify, search. What is asked is told in words, or as JSON."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from llm_assets.core.errors import InputError, LlmAssetsError
from llm_assets.core.oneline import one_line, shortened

if TYPE_CHECKING:
    from llm_assets.core.store import Store

app = typer.Typer(no_args_is_help=True, help="Take documents out of everything, and prove it: plan, apply, verify, search.")

Recipe = Annotated[str, typer.Option("--recipe", envvar="LLM_ASSETS_RECIPE", help="A shipped recipe's name, or a .yaml file")]
AsJson = Annotated[bool, typer.Option("--json", help="All that is known, as JSON")]
Domains = Annotated[list[str], typer.Option("--domain", help="A host; the hosts below it are meant too")]
Urls = Annotated[list[str], typer.Option("--url", help="An address, in any spelling")]
Ids = Annotated[list[str], typer.Option("--doc-id", help="One capture; its revisits go with it, its address stays open")]
Digests = Annotated[list[str], typer.Option("--sha256", help="A content, wherever it stands")]
_SHOWN = 20


def _ready(recipe: str) -> tuple["Store", Any]:
    import os

    from llm_assets.core.produce import store_root
    from llm_assets.core.recipe import load_recipe
    from llm_assets.core.store import Store

    found = load_recipe(recipe)
    os.environ["LLM_ASSETS_RECIPE"] = recipe
    return Store(store_root(), found.name), found


def _asked(domains: list[str], urls: list[str], ids: list[str], digests: list[str]) -> dict[str, list[str]]:
    from llm_assets.stages.audit import selection

    given = [("host", one) for one in domains] + [("url", one) for one in urls]
    given += [("doc_id", one) for one in ids] + [("sha256", one) for one in digests]
    found = selection.asked(given)
    if not found:
        raise InputError("say what is to be taken down: --domain, --url, --doc-id or --sha256, each as often as needed")
    return found


@app.command()
def plan(
    domain: Domains = [],  # noqa: B006 - typer reads it
    url: Urls = [],  # noqa: B006
    doc_id: Ids = [],  # noqa: B006
    sha256: Digests = [],  # noqa: B006
    recipe: Recipe = "demo",
    as_json: AsJson = False,
) -> None:
    """What a take-down would reach: documents, shards, tokens, pairs, steps, models, rebuilds and cost. Writes nothing."""
    asked = _asked(domain, url, doc_id, sha256)
    store, loaded = _ready(recipe)
    from llm_assets.commands.status import all_standings
    from llm_assets.commands.takedown_apply import absent
    from llm_assets.stages.audit import takedown
    from llm_assets.stages.audit.lookup import current_inputs

    inputs = current_inputs(store)
    found = takedown.reach(store, inputs, asked, all_standings())
    if as_json:
        typer.echo(json.dumps(found.as_json(), ensure_ascii=False, indent=1))
    elif found.found.captures or found.must_go:
        typer.echo("\n".join([*told(found), *_outside(store, loaded, list(found.crawls))]))
    if not found.found.captures and not found.must_go:
        typer.echo(f"llm-assets: {absent(asked, store.partitions('raw_crawl'))}", err=True)
        raise typer.Exit(1)


@app.command()
def apply(
    domain: Domains = [],  # noqa: B006
    url: Urls = [],  # noqa: B006
    doc_id: Ids = [],  # noqa: B006
    sha256: Digests = [],  # noqa: B006
    reason: Annotated[str, typer.Option(help="Why; stands in the tombstone and the receipt")] = "",
    by: Annotated[str, typer.Option(help="Who asks; stands in the receipt")] = "",
    even_if_absent: Annotated[bool, typer.Option(help="Keep it out of crawls to come, also where no crawl holds it")] = False,
    recipe: Recipe = "demo",
    as_json: AsJson = False,
) -> None:
    """Take it down: tombstones, crawls and data without it, models named as affected, a signed receipt."""
    asked = _asked(domain, url, doc_id, sha256)
    if not by.strip():
        raise InputError('say who asks: --by "A. Name"; the receipt has to name someone')
    store, loaded = _ready(recipe)
    from llm_assets.commands.status import all_standings
    from llm_assets.commands.takedown_apply import Absent, Order
    from llm_assets.commands.takedown_apply import apply as run
    from llm_assets.commands.takedown_hands import DagsterHands

    order = Order(asked, reason, by, even_if_absent)
    try:
        receipt = run(store, loaded, order, all_standings(), DagsterHands(store), lambda line: typer.echo(line, err=True))
    except Absent as error:
        typer.echo(f"llm-assets: {error}", err=True)
        raise typer.Exit(1) from None
    typer.echo(json.dumps(receipt, ensure_ascii=False, indent=1) if as_json else "\n".join(done(store, receipt)))


@app.command()
def verify(
    receipt: Annotated[str, typer.Argument(help="A receipt: its file, or its id in this store")],
    public_key: Annotated[Path | None, typer.Option(help="The key to check with; default: the one this store exported")] = None,
    recipe: Recipe = "demo",
    as_json: AsJson = False,
) -> None:
    """Whether a receipt is signed by the key, and the store still bears it out; exit code 1 where not."""
    store, _ = _ready(recipe)
    from llm_assets.core.takedowns import RECEIPT_FILE, Takedowns
    from llm_assets.stages.audit.verify import verify as check

    path = Path(receipt)
    path = path if path.is_file() else Takedowns(store.root).folder / receipt / RECEIPT_FILE
    try:
        told_by = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{receipt}: no receipt can be read there; give its file, or its id in {store.root}") from error
    rows = check(store, told_by, public_key)
    if as_json:
        typer.echo(json.dumps([vars(row) for row in rows], ensure_ascii=False, indent=1))
    else:
        typer.echo("\n".join(f"{'yes' if row.holds else 'NO '}  {row.what}: {row.said}" for row in rows))
    raise typer.Exit(0 if all(row.holds for row in rows) else 1)


@app.command()
def search(
    file: Annotated[Path, typer.Argument(help="A file with the text to look for")],
    recipe: Recipe = "demo",
    as_json: AsJson = False,
) -> None:
    """Look for a text in everything that the store holds, decompressed and decoded; exit code 1 where it is found."""
    store, _ = _ready(recipe)
    from llm_assets.stages.audit.needles import Needles
    from llm_assets.stages.audit.search import search as look

    try:
        needles = Needles([file.read_text("utf-8")])
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file} can't be read as text; give a UTF-8 file") from error
    if not needles:
        raise LlmAssetsError(f"{file} has fewer than five words, which could stand anywhere; give more of the text")
    hits = [(hit.path.relative_to(store.root).as_posix(), hit.where, hit.words) for hit in look(store.root, needles)]
    if as_json:
        typer.echo(json.dumps([dict(zip(("file", "where", "words"), hit, strict=True)) for hit in hits], indent=1))
    else:
        typer.echo("\n".join(f"{path}  {where}: {words}" for path, where, words in hits) or "nothing in the store holds it")
    raise typer.Exit(1 if hits else 0)


def told(found: Any) -> Iterable[str]:
    """A plan, in words."""
    from llm_assets.commands.status import costs, summed
    from llm_assets.commands.trace import use_line

    captures, tokens = found.found.captures, found.found.tokens
    counts = Counter(one["crawl"] for one in captures)
    yield f"{len(captures):,} documents: {', '.join(f'{n:,} in {crawl}' for crawl, n in counts.items())}"
    yield from _some(f"  {one['crawl']}  {one['doc_id']}  {_plain(one['url'])}" for one in captures)
    yield from _part("text in", (f"{one.ref}/{one.file}: {one.documents:,} documents" for one in found.found.shards))
    places = (f"{t.ref}/tokens-{t.shard:05d}.npy: {t.start:,} to {t.start + t.length - 1:,}" for t in tokens)
    yield from _part(f"{sum(t.length for t in tokens):,} tokens", places)
    rows = Counter((pair.ref, pair.split, pair.kind) for pair in found.found.pairs)
    yield from _part("rows made of them", (f"{ref} {split}: {n:,} × {kind}" for (ref, split, kind), n in rows.items()))
    models = (
        use_line({"model": ref, "through": [], **read, "read": read["documents"]})
        for ref, one in found.affected.items()
        for read in one["read"]
    )
    yield from _part("models that read them: their weights stay, and are named as affected", models)
    yield from _part("crawls concerned", (f"{crawl}: {why}" for crawl, why in found.crawls.items()))
    back = (f"{one.crawl}  {_plain(one.url)} ({one.doc_id}), the twin of {one.twin}" for one in found.returning)
    yield from _part("come back, since they were dropped as duplicates of these (name them too, or --sha256)", back)
    copies = (f"{one['crawl']}  {_plain(one['url'])} ({one['doc_id']})" for one in found.copies)
    yield from _part("the same content stays at", copies)
    if "doc_id" in found.asked:
        yield from ("", "--doc-id names one capture: a later crawl may fetch its address again; add --url to keep it out")
    yield from _part("also held under other recipes: apply it there too", found.others)
    yield from ("", "made anew:", *costs(found.plan.certain))
    if found.plan.possible:
        yield from ("made anew if what they read comes out otherwise:", *costs(found.plan.possible))
    yield summed(found.plan)
    yield from _part("versions that go with the next 'llm-assets gc'", found.must_go)


def _outside(store: "Store", recipe: Any, crawls: list[str]) -> Iterable[str]:
    """Files of a person's own that crawls were made of: these are not touched."""
    from llm_assets.core.inbox import crawl_folder

    raw = recipe.raw_crawl
    folders = [crawl_folder(raw.local.folders, raw.inbox, store.root, crawl) for crawl in crawls]
    return _part("files of your own, which stay until you remove them", (str(one) for one in folders if one.is_dir()))


def done(store: "Store", receipt: dict[str, Any]) -> Iterable[str]:
    """What was done, in words."""
    yield f"{receipt['id']}: {receipt['outcome']}; {len(receipt['documents']):,} documents, for {receipt['by']}"
    yield from _part("made anew", (f"{r['asset']}[{r['partition']}] {r['old']} → {r['new']}" for r in receipt["replaced"]))
    yield from _part("retired", receipt["retired"])
    yield from _part("left as they were", receipt["unchanged"])
    yield from _part("taken out of", (row["file"] for row in receipt["redacted"]))
    yield from _part("affected models, whose weights stay", receipt["affected_models"])
    here = sum((store.root / ref).is_dir() for ref in receipt["must_go"])
    if here:
        yield from ("", f"{here:,} superseded artefacts still hold the text: run 'llm-assets gc'")
    yield from ("", f"receipt: {store.root / 'takedowns' / receipt['id'] / 'receipt.json'}")


def _part(title: str, lines: Iterable[str]) -> Sequence[str]:
    shown = _some(f"  {line}" for line in lines)
    return ["", f"{title}:", *shown] if shown else []


def _some(lines: Iterable[str]) -> list[str]:
    found = list(lines)
    return found[:_SHOWN] + ([f"  … and {len(found) - _SHOWN:,} more (--json has all)"] if len(found) > _SHOWN else [])


def _plain(text: str) -> str:
    return shortened(one_line(text), 300)
