"""``training_content_summary``: the public summary of what a general-purpose model was trained on.

Article 53(1)(d) of the EU's AI Act (Regulation 2024/1689) asks providers for it, in the form of a template of the Commission
that was published in July 2025 and adopted in December (communication C(2025) 8311): general information, lists of sources by
kind, aspects of processing. Sizes, sources, languages, domains and opt-outs come from the marts; what only the provider knows
comes from the recipe, and where that is silent the page says "not stated". Whether a model falls under the Act, and whether
the summary is enough, is for the provider to judge.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl

from llm_assets.core.artefact import Inputs, WorkDir
from llm_assets.core.progress import Progress
from llm_assets.core.recipe.audit import TrainingContentSummaryConfig
from llm_assets.core.report import Gate, Report
from llm_assets.stages.audit import SUMMARY
from llm_assets.stages.audit.model import table_file
from llm_assets.stages.audit.summary_facts import Facts, Row, described, facts, models
from llm_assets.stages.audit.summary_page import Block, Heading, Pairs, Table, Text, markdown, page

MARTS = tuple(rule.asset for rule in SUMMARY.inputs)
NOT_STATED = "not stated"
_SILENT = f"{NOT_STATED.capitalize()}."
_LANGUAGES = 50
_SIGNALS = (
    ("honours_robots_ai", "refused_robots_ai", "robots.txt rules for known AI agents"),
    ("honours_ai_txt", "refused_ai_txt", "ai.txt"),
    ("honours_noai", "refused_noai", "noai in headers and meta tags"),
    ("honours_tdm", "refused_tdm", "reservations of text and data mining (TDMRep)"),
)
_DATA = {
    "training_mix": "next-token prediction on the text of the documents",
    "instruction_dataset": "questions with answers, made of the documents by rules",
    "preference_dataset": "pairs of a better and a worse answer, made of the documents by rules",
}


def read(tables: Mapping[str, Path]) -> dict[str, pl.DataFrame]:
    """The marts by name. ``tables``: the Parquet file of each."""
    return {name: pl.read_parquet(tables[name]) for name in MARTS}


def run(inputs: Inputs, out: WorkDir, config: TrainingContentSummaryConfig, progress: Progress) -> Report:
    """Write ``<model>.md`` and ``<model>.html`` for every model that the marts know."""
    marts = read({name: inputs.one(name).file(table_file(name)) for name in MARTS})
    rows = []
    names = described(marts)
    (out.files / "models.txt").write_text("".join(f"{name}\n" for name in names), "utf-8")
    for number, model in enumerate(names, 1):
        found = facts(marts, model, config.small_enterprise)
        blocks = summary(found, config)
        (out.files / f"{model}.md").write_text(markdown(blocks), "utf-8")
        (out.files / f"{model}.html").write_text(page(f"Training content of {_name(found, config)}", blocks), "utf-8")
        rows.append({"model": model, "tokens_read": found.tokens, "text": found.text_range, "domains": found.domains_in_all})
        progress.update(number, len(names), "models")
    return Report(counts={"models": len(names)}, tables={"Training content": rows})


def gates(inputs: Inputs, files: Path, config: TrainingContentSummaryConfig, report: Report) -> list[Gate]:
    """Warns of models without a summary and of a provider that is not named; neither makes the others wrong."""
    marts = read({name: inputs.one(name).file(table_file(name)) for name in MARTS})
    missing = [name for name in models(marts) if not (files / f"{name}.html").is_file()]
    said = f"{report.counts['models']} models have a summary" if not missing else f"none for {', '.join(missing)}"
    why = "" if not missing else ": what they were made of is not in the store; make them again"
    unstated = [name for name in ("provider", "contact") if not getattr(config, name)]
    provider = "provider and contact are stated" if not unstated else "the page says 'not stated' for "
    fix = "" if not unstated else f"{', '.join(unstated)}: set training_content_summary.{unstated[0]} in the recipe"
    return [
        Gate("every_model_is_described", not missing, said + why, blocking=False),
        Gate("provider_is_stated", not unstated, provider + fix, blocking=False),
    ]


def summary(found: Facts, config: TrainingContentSummaryConfig) -> list[Block]:
    """The document, section by section as the template has them."""
    return [
        Heading(1, f"Public summary of training content: {_name(found, config)}"),
        Text(
            "Made from the records of the pipeline that trained the model, after the template of the European Commission for "
            "Article 53(1)(d) of Regulation (EU) 2024/1689. What only the provider can say is 'not stated' where it did not."
        ),
        *_general(found, config),
        *_sources(found, config),
        *_processing(found, config),
    ]


def _name(found: Facts, config: TrainingContentSummaryConfig) -> str:
    return config.model_names.get(found.model) or f"{found.model} {found.identity}"


def _general(found: Facts, config: TrainingContentSummaryConfig) -> list[Block]:
    last = max((row["last_fetched_at"] for row in found.crawls if row["last_fetched_at"]), default=None)
    images = sum(row["images"] for row in found.crawls)
    return [
        Heading(2, "1. General information"),
        Heading(3, "1.1 Provider"),
        Pairs(
            [
                ("Provider", config.provider or NOT_STATED),
                ("Contact", config.contact or NOT_STATED),
                ("Authorised representative", config.representative or NOT_STATED),
            ]
        ),
        Heading(3, "1.2 Model"),
        Pairs(
            [
                ("Name and version", config.model_names.get(found.model) or f"{found.model}, identity {found.identity}"),
                ("Built on a model of another provider", config.built_on or "no; trained from random weights"),
                ("Placed on the Union market", config.placed_on_market.get(found.model) or NOT_STATED),
            ]
        ),
        Heading(3, "1.3 Modalities and size"),
        Pairs(
            [
                ("Text", f"{found.text_range}: {found.tokens_a_pass:,} in one pass, {found.tokens:,} read in all trainings"),
                ("Documents", f"{found.documents:,}"),
                ("Images", f"none ({images:,} were collected with the pages; no model reads them)" if images else "none"),
                ("Audio", "none"),
                ("Video", "none"),
                ("Latest collection of data", f"{last:%m/%Y}" if last else NOT_STATED),
                ("Learns on after that", "yes" if config.continuous else "no"),
            ]
        ),
        Text("Kinds of text:"),
        _shares("kind of source", found.kinds),
        Text("Languages, as found in the text:"),
        _shares("language", found.languages[:_LANGUAGES]),
        Text("Licences that the pages name:"),
        _shares("licence", found.licences),
        Text("Trainings that the model goes back to:"),
        Table(
            ("training", "data", "documents", "tokens read"),
            [
                (row["trained_by"], _DATA[row["data"]], f"{row['documents']:,}", _tokens(row["tokens_seen"]))
                for row in found.trainings
            ],
            frozenset({"documents", "tokens read"}),
        ),
    ]


def _tokens(number: int) -> str:
    return f"{number:,}" if number else "not counted"


def _shares(what: str, rows: Sequence[Row]) -> Table:
    cells = [(row["name"], f"{row['documents']:,}", f"{row['share']:.2%}") for row in rows]
    return Table((what, "documents", "share"), cells, frozenset({"documents", "share"}))


def _sources(found: Facts, config: TrainingContentSummaryConfig) -> list[Block]:
    public = [(name, where) for name, where in config.public_datasets.items()]
    public += [(f"Common Crawl, {row['crawl']}", _period([row])) for row in found.crawls if row["origin"] == "common crawl"]
    own = [row for row in found.crawls if row["origin"] == "own files"]
    generated = (
        f"In reinforcement learning the model learned from {found.generated_tokens:,} tokens that it wrote itself."
        if found.generated_tokens
        else "No text that the model wrote itself was used."
    )
    return [
        Heading(2, "2. Sources of data"),
        Heading(3, "2.1 Publicly available data sets"),
        Table(("data set", "where, when"), public) if public else Text("None."),
        Heading(3, "2.2 Private data of third parties"),
        Pairs(
            [
                ("Licensed from rightsholders", config.licensed_data or NOT_STATED),
                ("Other private data sets", config.private_data or NOT_STATED),
            ]
        ),
        Heading(3, "2.3 Data crawled and scraped from online sources"),
        *_crawled(found),
        *_domains(found, config),
        Heading(3, "2.4 Data of users"),
        Text(config.user_data or _SILENT),
        Heading(3, "2.5 Synthetic data"),
        Text(
            f"{generated} Questions and answers of later trainings were made of the documents by rules, without a model. "
            f"Text made by other models: {config.synthetic_data or NOT_STATED}."
        ),
        Heading(3, "2.6 Other sources"),
        Text(config.other_sources or (_SILENT if not own else "Files of the provider's own:")),
        *([_crawl_table(own)] if own else []),
    ]


def _crawled(found: Facts) -> list[Block]:
    crawls = [row for row in found.crawls if row["origin"] in ("web crawl", "local site")]
    if not crawls:
        return [Text("None.")]
    return [
        Pairs(
            [
                ("Crawlers", ", ".join(sorted({str(row["user_agent"]) for row in crawls}))),
                ("Purpose", "collecting text for the training of language models"),
                ("Period of collection", _period(crawls)),
                (
                    "Behaviour",
                    "robots.txt is obeyed for the crawler's own name; one connection to a host at a time with pauses between "
                    "requests; no sign-in, no paywall and no captcha is passed; redirects to private addresses are refused",
                ),
            ]
        ),
        _crawl_table(crawls),
    ]


def _domains(found: Facts, config: TrainingContentSummaryConfig) -> list[Block]:
    shown = found.domains[: config.domains_shown]
    rule = "5 %, at most 1,000 (small or medium enterprise)" if config.small_enterprise else "10 %"
    rest = len(found.domains) - len(shown)
    return [
        Text(
            f"Domains of all sources: {found.domains_in_all:,}; listed are the largest {rule} by size of the text that was read"
            + (f", of which {rest:,} are left out here for length." if rest else ".")
        ),
        Table(
            ("domain", "tokens", "documents"),
            [(row["domain"], f"{row['tokens']:,}", f"{row['documents']:,}") for row in shown],
            frozenset({"tokens", "documents"}),
        ),
    ]


def _period(crawls: Sequence[Row]) -> str:
    first = [row["first_fetched_at"] for row in crawls if row["first_fetched_at"]]
    last = [row["last_fetched_at"] for row in crawls if row["last_fetched_at"]]
    return f"{min(first):%m/%Y} to {max(last):%m/%Y}" if first and last else NOT_STATED


def _crawl_table(crawls: Sequence[Row]) -> Table:
    cells = [
        (
            row["crawl"],
            row["origin"],
            f"{row['first_fetched_at']:%Y-%m-%d}" if row["first_fetched_at"] else NOT_STATED,
            f"{row['pages']:,}",
            f"{row['hosts']:,}",
            row["credit"] or "",
        )
        for row in crawls
    ]
    return Table(("crawl", "kind", "from", "pages", "hosts", "credit"), cells, frozenset({"pages", "hosts"}))


def _processing(found: Facts, config: TrainingContentSummaryConfig) -> list[Block]:
    personal = sum(row["personal_data_replaced"] for row in found.crawls)
    return [
        Heading(2, "3. Processing"),
        Heading(3, "3.1 Reservations of rights"),
        Pairs([("Code of practice", config.code_of_practice)]),
        Text("Opt-outs that the crawls looked for, whether they were honoured, and what was left out because of them:"),
        Table(
            ("signal", "honoured", "left out"),
            [
                ("robots.txt for the crawler", "yes", f"{sum(row['refused_robots'] for row in found.crawls):,}"),
                *(
                    (name, _honoured(found.crawls, key), f"{sum(row[n] for row in found.crawls):,}")
                    for key, n, name in _SIGNALS
                ),
            ],
            frozenset({"left out"}),
        ),
        Text("Removals that are asked for become tombstones: the documents are taken out, and models are named as affected."),
        Heading(3, "3.2 Illegal content and personal data"),
        Pairs(
            [
                ("Measures against illegal content", config.illegal_content or NOT_STATED),
                ("Personal data", f"{personal:,} pieces found by rules were replaced by placeholders before training"),
            ]
        ),
        Heading(3, "3.3 What was left out"),
        Table(
            ("stage", "rule", "documents"),
            [(row["stage"], row["rule"], f"{row['documents']:,}") for row in found.refused],
            frozenset({"documents"}),
        ),
    ]


def _honoured(crawls: Sequence[Row], key: str) -> str:
    honoured = [row["crawl"] for row in crawls if row[key]]
    if len(honoured) == len(crawls):
        return "yes"
    return f"in {', '.join(honoured)} only" if honoured else "no"
