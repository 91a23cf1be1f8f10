"""``llm-assets demo``: the whole graph once, then one table of what was learned, a sample chat, and what to type next.

Every figure in the table comes from the manifests of the artefacts; the exit code is 1 if a claim that applies is false.
"""

import time

from rich.console import Console
from rich.table import Table

from llm_assets.commands.console import ConsoleListener, short
from llm_assets.commands.run import all_parts, run_parts
from llm_assets.core.claims import Claim, read_claims
from llm_assets.core.jsonio import read_json
from llm_assets.core.memory import PeakMemory
from llm_assets.core.store import Store

CLAIMANTS = ("base_model", "sft_model", "reward_model", "rlhf_model", "eval_report", "quantized_export")


def snapshots() -> list[str]:
    """The recipe's crawls of the embedded site, in order of their snapshot."""
    from llm_assets.defs import settings

    known = settings.recipe().raw_crawl.snapshots
    return sorted(known, key=lambda name: (known[name], name))


def first_crawl() -> str:
    """The crawl that a run without ``--crawl`` makes."""
    from llm_assets.defs import settings

    raw = settings.recipe().raw_crawl
    named = [*snapshots(), *raw.seeds, *raw.common_crawl.ids, *raw.local.folders]
    return named[0] if named else "first"


def gathered_claims(store: Store) -> list[Claim]:
    """The claims of every current model, report and export."""
    found: list[Claim] = []
    for asset in CLAIMANTS:
        artefact = store.current(asset)
        if artefact is not None:
            found += read_claims(artefact.manifest().metrics)
    return found


def claims_table(claims: list[Claim]) -> Table:
    """Statement, measured, against, interval, holds."""
    table = Table(title="What was learned, on held-out data", title_justify="left")
    for column in ("claim", "measured", "against", "interval", "holds"):
        table.add_column(column, overflow="fold")
    for claim in claims:
        interval = f"{short(claim.interval[0])} … {short(claim.interval[1])}" if claim.interval else ""
        verdict = ("[green]yes[/]" if claim.passed else "[red]NO[/]") if claim.applies else "[yellow]not judged[/]"
        statement = claim.statement + (f" ({claim.note})" if claim.note else "")
        table.add_row(statement, short(claim.value), short(claim.against), interval, verdict)
    return table


def print_chat(console: Console, store: Store) -> None:
    """What the served model answered when the deployment asked it."""
    deployment = store.current("deployment")
    if deployment is None:
        return
    for exchange in read_json(deployment.file("deployment.json")).get("answers", [])[:3]:
        console.print(f"[bold]you[/]    {_plain(exchange['question'])}", markup=True)
        console.print(f"[bold]model[/]  {_plain(exchange['answer'])}", markup=True)


def _plain(text: str) -> str:
    return " ".join(text.split())[:300].replace("[", "\\[")


def print_next(console: Console, store: Store, crawl: str) -> None:
    """What to type next; the URL is one that the crawl really dropped as a near copy, if there is one."""
    import polars as pl

    url = "http://…"
    shards = store.current("deduped_shards", crawl)
    if shards is not None:
        ledger = pl.scan_parquet(shards.file("ledger.parquet")).filter(~pl.col("kept")).select("url").head(1).collect()
        url = ledger["url"][0] if ledger.height else url
    console.print("\nNext: [bold]make ui[/] (the assets and their history), [bold]make refresh[/] (a later snapshot), ")
    console.print("      [bold].venv/bin/llm-assets serve[/] (chat with it), ")
    console.print(f"      [bold].venv/bin/llm-assets explain[/] {url}", markup=True)


def run_demo(crawl: str = "") -> int:
    """Run everything for one crawl; 0 if all assets were made and all claims that apply hold."""
    from llm_assets.defs import settings

    chosen = crawl or first_crawl()
    store, recipe = settings.store(), settings.recipe()
    started = time.perf_counter()
    with PeakMemory() as memory, ConsoleListener() as listener:
        console = listener.console
        console.print(f"[bold]{recipe.name}[/] — {recipe.description}\ncrawl {chosen}, store {store.root}", markup=True)
        if not run_parts(all_parts(), chosen, listener):
            console.print(f"\n[red]Stopped.[/] {'; '.join(f'{k}: {v}' for k, v in listener.failures.items())}")
            console.print("Mend it and say the same again: what is done is reused, what was killed goes on.")
            return 1
        claims = gathered_claims(store)
        console.print()
        console.print(claims_table(claims))
        print_chat(console, store)
        seconds = time.perf_counter() - started
        console.print(f"\n{seconds:.0f} s, at most {memory.peak_bytes / 2**30:.2f} GiB of memory in all processes together")
        print_next(console, store, chosen)
        failed = [claim for claim in claims if claim.applies and not claim.passed]
        for claim in failed:
            console.print(f"[red]does not hold:[/] {claim.statement}")
    return 1 if failed else 0
