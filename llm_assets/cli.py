"""``llm-assets``: the command line. It parses and calls ``commands/``; a user's mistake is one sentence, exit code 2."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from llm_assets.commands import takedown
from llm_assets.core.errors import LlmAssetsError

app = typer.Typer(no_args_is_help=True, add_completion=False, help="A factory for language models, as Dagster assets.")

app.add_typer(takedown.app, name="takedown")

RecipeOption = Annotated[
    str, typer.Option("--recipe", envvar="LLM_ASSETS_RECIPE", help="A shipped recipe's name, or the path of a .yaml file")
]
JsonOption = Annotated[bool, typer.Option("--json", help="All that is known, as JSON")]
CrawlOption = Annotated[str, typer.Option("--crawl", help="The crawl's key; default: the recipe's first snapshot")]


def _use(recipe: str) -> None:
    """Validate the recipe and make it this process's (and its children's)."""
    from llm_assets.core.recipe import load_recipe

    load_recipe(recipe)
    os.environ["LLM_ASSETS_RECIPE"] = recipe


@app.command()
def demo(recipe: RecipeOption = "demo", crawl: CrawlOption = "") -> None:
    """From a crawl to a served model, then one table of what was shown; exit code 1 if a claim does not hold."""
    _use(recipe)
    from llm_assets.commands.demo import run_demo

    raise typer.Exit(run_demo(crawl))


@app.command()
def refresh(recipe: RecipeOption = "demo") -> None:
    """Add the recipe's next snapshot, and judge from the manifests that only what is new was made."""
    _use(recipe)
    from llm_assets.commands.refresh import run_refresh

    raise typer.Exit(run_refresh())


@app.command()
def run(
    recipe: RecipeOption = "demo",
    crawl: CrawlOption = "",
    select: Annotated[str, typer.Option(help="Assets, separated by commas; default: all")] = "",
    force: Annotated[bool, typer.Option("--force", help="Build again, although an equal artefact is there")] = False,
) -> None:
    """Materialise assets in the instance that the UI shows."""
    _use(recipe)
    from llm_assets.commands.console import ConsoleListener
    from llm_assets.commands.demo import first_crawl
    from llm_assets.commands.run import all_parts, run_parts, selected

    names = [name.strip() for name in select.split(",") if name.strip()]
    parts = selected(all_parts(), names) if names else list(all_parts())
    with ConsoleListener() as listener:
        done = run_parts(parts, crawl or first_crawl(), listener, force=force)
    raise typer.Exit(0 if done else 1)


@app.command("add-crawl")
def add_crawl(keys: Annotated[list[str], typer.Argument(help="Crawl keys: letters, digits, '.', '_', '-'")]) -> None:
    """Add crawl keys to the instance's partitions (Dagster's own command line can't).

    What a key is, the recipe says: raw_crawl.snapshots (the local site), seeds (the web), common_crawl.ids (a Common Crawl
    month; a key such as CC-MAIN-2026-43 is one by itself), local.folders (documents of your own), or else a folder of the
    key's name in the inbox. 'llm-assets run --crawl KEY' adds the key and makes it.
    """
    from llm_assets.commands.instance import instance
    from llm_assets.core.store import check_partition_key
    from llm_assets.defs.settings import CRAWLS

    for key in keys:
        check_partition_key(key)
    with instance() as dagster:
        known = set(dagster.get_dynamic_partitions(CRAWLS))
        dagster.add_dynamic_partitions(CRAWLS, keys)
    for key in keys:
        typer.echo(f"{key}: {'was there already' if key in known else 'added'}")


@app.command()
def status(
    recipe: RecipeOption = "demo",
    as_json: JsonOption = False,
) -> None:
    """Every asset and crawl: fresh, stale (why: input, field or version), behind, refused by which check, missing, running."""
    _use(recipe)
    from llm_assets.commands.status import run_status

    typer.echo(run_status(as_json))


@app.command()
def plan(
    recipe: RecipeOption = "demo",
    as_json: JsonOption = False,
) -> None:
    """What a run under this recipe would make anew, why, and what each cost the last time. Makes nothing."""
    _use(recipe)
    from llm_assets.commands.status import run_plan

    typer.echo(run_plan(as_json))


@app.command()
def gc(
    recipe: RecipeOption = "demo",
    keep: Annotated[int, typer.Option(min=0, help="Newest accepted artefacts that stay beside the current ones")] = 1,
    older_than: Annotated[str, typer.Option(help="Younger artefacts all stay: 12h, 30d, 2w")] = "0",
    unfinished_older_than: Annotated[str, typer.Option(help="Younger unfinished work stays")] = "7d",
    runs_older_than: Annotated[str, typer.Option(help="Younger runs stay in Dagster's history")] = "30d",
    runs_keep: Annotated[int, typer.Option(min=0, help="Runs of each job that stay at most, if nothing needs them")] = 200,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go")] = False,
    as_json: JsonOption = False,
) -> None:
    """Remove artefacts that no manifest reaches, abandoned work, and old runs that no asset page shows."""
    _use(recipe)
    from llm_assets.commands.gc import run_gc, seconds, sources
    from llm_assets.core.gc import Policy
    from llm_assets.core.produce import store_root
    from llm_assets.core.takedowns import Takedowns

    policy = Policy(
        keep,
        seconds(older_than, "--older-than"),
        seconds(unfinished_older_than, "--unfinished-older-than"),
        frozenset(Takedowns(store_root()).must_go()),
        sources(),
    )
    age = seconds(runs_older_than, "--runs-older-than")
    typer.echo(run_gc(policy, runs_older_than_s=age, runs_keep=runs_keep, dry_run=dry_run, as_json=as_json))


@app.command()
def explain(
    what: Annotated[
        str, typer.Argument(help="A URL, a document id, a file in a crawl's folder, or a file with one of these a line")
    ],
    recipe: RecipeOption = "demo",
    as_json: JsonOption = False,
) -> None:
    """The fate of a document: kept or dropped, where, by which rule, and which models saw it."""
    _use(recipe)
    from llm_assets.commands.explain import run_explain

    typer.echo(run_explain(what, as_json))


@app.command()
def trace(
    what: Annotated[str, typer.Argument(help="A URL, document id, file of a crawl's folder, sha256 of a page, or host")] = "",
    recipe: RecipeOption = "demo",
    model: Annotated[str, typer.Option(help="base_model, sft_model, reward_model, rlhf_model, or an older one's ref")] = "",
    step: Annotated[str, typer.Option(help="A step of the model, or a range: 100 or 100-110")] = "",
    shard: Annotated[str, typer.Option(help="A token shard: CRAWL/NUMBER")] = "",
    token: Annotated[int, typer.Option(help="A position in the shard, from 0")] = -1,
    as_json: JsonOption = False,
) -> None:
    """What was made of a document: shards, tokens, pairs, steps, models; or which documents a step or a token is of."""
    _use(recipe)
    from llm_assets.commands.trace import run_trace

    typer.echo(run_trace(what, model, step, shard, token, as_json))


@app.command()
def sql(
    query: Annotated[str, typer.Argument(help="A SELECT, DESCRIBE or SUMMARIZE; none lists the tables")] = "",
    recipe: RecipeOption = "demo",
    form: Annotated[str, typer.Option("--format", help="table, csv, json or markdown")] = "table",
    export: Annotated[Path | None, typer.Option(help="Write all tables into this new .duckdb file instead")] = None,
) -> None:
    """Ask the warehouse: the tables of dbt_like_sql/ and the shards of the data assets, in DuckDB."""
    _use(recipe)
    from typing import get_args

    from llm_assets.commands.sql import Form, run_sql
    from llm_assets.core.errors import InputError

    if form not in get_args(Form):
        raise InputError(f"--format {form}: there is no such form; take {', '.join(get_args(Form))}")
    typer.echo(run_sql(query, form, export))  # type: ignore[arg-type]


@app.command("content-summary")
def content_summary(
    model: Annotated[str, typer.Option(help="A model's asset: base_model, sft_model, rlhf_model …")] = "rlhf_model",
    recipe: RecipeOption = "demo",
    as_html: Annotated[bool, typer.Option("--html", help="One HTML page instead of Markdown")] = False,
) -> None:
    """The public summary of a model's training content (EU AI Act, Article 53(1)(d)), from the marts."""
    _use(recipe)
    from llm_assets.commands.content_summary import run_content_summary

    typer.echo(run_content_summary(model, as_html))


@app.command()
def doctor(
    recipe: RecipeOption = "demo",
    as_json: JsonOption = False,
) -> None:
    """Whether this machine and installation can do what the recipe asks, and what to do where not; exit code 1 for a fault."""
    os.environ["LLM_ASSETS_RECIPE"] = recipe
    from llm_assets.commands.doctor import run_doctor

    said, healthy = run_doctor(as_json)
    typer.echo(said)
    raise typer.Exit(0 if healthy else 1)


@app.command()
def ui(
    recipe: RecipeOption = "demo",
    host: Annotated[str, typer.Option(help="The address to listen on")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The port")] = 3000,
    docs_port: Annotated[int, typer.Option(help="The port of the Data Docs, which assets link to")] = 3001,
    path_prefix: Annotated[str, typer.Option(help="The path below which a reverse proxy shows it, e.g. /dagster")] = "",
    read_only: Annotated[bool, typer.Option("--read-only", help="Nothing can be launched, cancelled or switched")] = False,
) -> None:
    """The Dagster UI over the store's history, and beside it the Data Docs."""
    _use(recipe)
    from llm_assets.commands.ui import run_ui

    raise typer.Exit(run_ui(host, port, docs_port, path_prefix, read_only))


@app.command("data-docs")
def data_docs(
    open_page: Annotated[bool, typer.Option("--open", help="Open the list in a browser")] = False,
    serve: Annotated[bool, typer.Option("--serve", help="Serve the pages until Ctrl-C, as 'ui' does")] = False,
    host: Annotated[str, typer.Option(help="The address to listen on")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The port")] = 3001,
) -> None:
    """What great_expectations found, and samples by rule, as pages: says where they are."""
    from llm_assets.commands.data_docs import run_data_docs

    run_data_docs(open_page, serve, host, port)


@app.command()
def metrics(
    recipe: RecipeOption = "demo",
    serve: Annotated[bool, typer.Option("--serve", help="Answer Prometheus at /metrics until Ctrl-C")] = False,
    host: Annotated[str, typer.Option(help="The address to listen on")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The port")] = 9400,
) -> None:
    """Where every asset stands, and what making it took, as figures for Prometheus."""
    _use(recipe)
    from llm_assets.commands.metrics import run_metrics

    run_metrics(serve, host, port)


@app.command()
def serve(
    recipe: RecipeOption = "demo",
    host: Annotated[str, typer.Option(help="The address to listen on")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The port")] = 8080,
    model: Annotated[Path | None, typer.Option(help="An export folder; default: the current quantized_export")] = None,
    api_key: Annotated[
        str, typer.Option(envvar="LLM_ASSETS_API_KEY", help="The key that clients send; default: a new one")
    ] = "",
) -> None:
    """An OpenAI-style gateway over the exported model."""
    _use(recipe)
    from llm_assets.commands.serve import run_serve

    raise typer.Exit(run_serve(host, port, model, api_key))


@app.command()
def recipe(name: Annotated[str, typer.Argument(help="A shipped recipe's name or a path")] = "demo") -> None:
    """Validate a recipe and print every knob with its value."""
    import yaml

    from llm_assets.core.recipe import load_recipe

    typer.echo(yaml.safe_dump(load_recipe(name).model_dump(mode="json"), sort_keys=False, allow_unicode=True), nl=False)


@app.command("train-classifier")
def train_classifier(
    labels: Annotated[Path, typer.Argument(help="JSONL with text and label in each line, or fastText's __label__x text")],
    out: Annotated[Path, typer.Argument(help="The file to write: a .safetensors")],
    bits: Annotated[int, typer.Option(min=8, max=24, help="2^bits hashed features")] = 18,
    epochs: Annotated[int, typer.Option(min=1, help="Passes over the texts")] = 8,
    seed: Annotated[int, typer.Option(min=0, help="Of the order of the texts")] = 1,
) -> None:
    """Train a filter of your own labels; says precision and recall on texts held out, and what to write into a recipe."""
    from llm_assets.commands.classifier import run_train_classifier

    typer.echo(run_train_classifier(labels, out, bits, epochs, seed))


@app.command("code-versions")
def code_versions(
    check: Annotated[bool, typer.Option("--check", help="Only say what changed; exit code 1 if anything did")] = False,
    same_results: Annotated[str, typer.Option(help="Why changed code gives what it gave before")] = "",
) -> None:
    """Record the code hash of every asset after its code_version was raised."""
    from llm_assets.core.code_guard import changed_without_version, write_record
    from llm_assets.stages import all_specs

    if check:
        changed = changed_without_version(all_specs())
        for sentence in changed:
            typer.echo(sentence)
        raise typer.Exit(1 if changed else 0)
    typer.echo(f"wrote {write_record(all_specs(), same_results)}")


def main() -> None:
    """Entry point: a user's mistake is a sentence, not a traceback."""
    try:
        app()
    except LlmAssetsError as error:
        print(f"llm-assets: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
