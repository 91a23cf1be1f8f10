"""``eval_suite``: what every model is asked, held out by article before anything is trained.

It has no inputs: the articles are chosen by a keyed hash of their title, so the choice can't depend on a crawl, and
deduplication and both datasets read the suite to keep its texts out of training. A task lists the first articles of that
order that fit it, so most articles serve several tasks and few are held out.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import orjson

from llm_assets.core import embedded, prompts
from llm_assets.core.artefact import Inputs, WorkDir
from llm_assets.core.embedded import Article
from llm_assets.core.errors import InputError
from llm_assets.core.jsonio import digest, read_json, write_atomic, write_json
from llm_assets.core.progress import Progress
from llm_assets.core.recipe.evaluation import EvalSuiteConfig
from llm_assets.core.report import Gate, Report

FORMAT = 1
SUITE_FILE = "suite.json"
TASKS = ("topic", "describe", "translate", "perplexity")
STRINGS_URL = "https://pypi.org/project/jupyterlab-language-pack-fr-FR/"
WIKI_URL = "https://en.wikipedia.org/wiki/"
STDLIB_URL = "https://docs.python.org/3/library/"

_ABOUT = {
    "topic": ("accuracy, macro-F1", "overlap", "Name the topic of an article's introduction, of the listed classes"),
    "describe": ("ROUGE-1/2/L", "overlap", "Give the one-line description that people wrote, from the article's introduction"),
    "translate": ("BLEU, chrF", "exact", "Put an interface string into French"),
    "perplexity": ("bits per byte", "overlap", "Predict the text itself"),
}

# A whole message on one line, not the tail of one; and what it fills in must be filled in by its translation too.
_WHOLE = re.compile(r"[A-Z][^\n]*")
_PLACEHOLDER = re.compile(r"%\d|\{\w+\}")

Item = dict[str, Any]


def task_file(task: str) -> str:
    """Where a task's items are, relative to the artefact."""
    return f"tasks/{task}.jsonl"


def read_items(files: Path, task: str) -> list[Item]:
    """The items of one task, in order."""
    return [orjson.loads(line) for line in (files / task_file(task)).read_bytes().splitlines() if line.strip()]


def run(inputs: Inputs, out: WorkDir, config: EvalSuiteConfig, progress: Progress) -> Report:
    """Choose, write and hash the items. Raises ``InputError`` where there are too few texts for the sizes asked."""
    chosen = _held_out(config)
    classes = sorted({article.topic for article in embedded.articles() if _has_topic(article)})
    tasks: dict[str, list[Item]] = {
        "topic": [_topic_item(a, classes) for a in _take(chosen, config.topic_items, "topic_items")],
        "describe": [
            _describe_item(a) for a in _take(chosen, config.describe_items, "describe_items", lambda a: bool(a.description))
        ],
        "translate": _translate_items(config),
        "perplexity": [_text_item(a) for a in _take(chosen, config.perplexity_items, "perplexity_items")],
    }
    entries = {}
    for done, (task, items) in enumerate(tasks.items(), 1):
        data = b"".join(orjson.dumps(item) + b"\n" for item in items)
        write_atomic(out.files / task_file(task), data)
        metric, decontaminate, about = _ABOUT[task]
        entries[task] = {
            "file": task_file(task),
            "items": len(items),
            "sha256": hashlib.sha256(data).hexdigest(),
            "metric": metric,
            "decontaminate": decontaminate,
            "about": about,
        }
        progress.update(done, len(tasks), "tasks", items=len(items))
    write_json(out.files / SUITE_FILE, _card(config, entries, classes))
    articles = {item["url"] for task in ("topic", "describe", "perplexity") for item in tasks[task]}
    shares = Counter(item["reference"] for item in tasks["topic"])
    return Report(
        counts={**{f"items_{task}": len(items) for task, items in tasks.items()}, "articles_held_out": len(articles)},
        metrics={"classes": len(classes), "majority_share": max(shares.values()) / sum(shares.values())},
        tables={"topics": [{"topic": name, "items": shares[name]} for name in classes]},
        samples={task: f"{items[0]['prompt']}\n→ {items[0]['reference']}" for task, items in tasks.items() if items},
    )


def _card(config: EvalSuiteConfig, entries: dict[str, Any], classes: list[str]) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "key": config.key,
        "digest": digest({task: entry["sha256"] for task, entry in entries.items()}),
        "tasks": entries,
        "classes": classes,
        "source": embedded.corpus_source(),
        "credit": embedded.credit(),
        "license": embedded.license_url(),
        "decontaminate": {
            "overlap": "drop every document whose text overlaps an item's text, whatever its address",
            "exact": "drop training pairs whose source equals an item's text",
        },
    }


def _order(key: str, text: str) -> bytes:
    return hashlib.blake2b(text.encode(), key=hashlib.sha256(key.encode()).digest(), digest_size=16).digest()


def _has_topic(article: Article) -> bool:
    return article.lang == "en" and article.topic != embedded.UNCATEGORIZED


def _held_out(config: EvalSuiteConfig) -> list[Article]:
    """Eligible English articles, in the order of the keyed hash of their title; equal texts only once."""
    found: dict[str, Article] = {}
    for article in embedded.articles():
        if _has_topic(article) and config.min_words <= len(article.text.split()) <= config.max_words:
            found.setdefault(_plain(article.text), article)
    return sorted(found.values(), key=lambda article: _order(config.key, article.title))


def _take(articles: Iterable[Article], n: int, field: str, fits: Callable[[Article], bool] | None = None) -> list[Article]:
    chosen = [article for article in articles if fits is None or fits(article)]
    if len(chosen) < n:
        raise InputError(
            f"eval_suite.{field} is {n}, but the embedded texts have only {len(chosen)} articles that fit; "
            f"lower it, or widen eval_suite.min_words and max_words"
        )
    return chosen[:n]


def _url(article: Article) -> str:
    if embedded.corpus_source() == "wikipedia":
        return WIKI_URL + article.title.replace(" ", "_")
    return f"{STDLIB_URL}#{article.slug}"


def _item(task: str, source: str, text: str, prompt: str, reference: str, url: str, choices: Sequence[str] = ()) -> Item:
    """One line of a task file; ``item_id`` is a hash of task and source, so it survives a change of wording."""
    item_id = f"{task}-{hashlib.blake2b(source.encode(), digest_size=6).hexdigest()}"
    return {
        "item_id": item_id,
        "text": text,
        "prompt": prompt,
        "reference": reference,
        "choices": list(choices),
        "url": url,
    }


def _topic_item(article: Article, classes: list[str]) -> Item:
    return _item(
        "topic", article.title, article.text, prompts.topic_prompt(article.text), article.topic, _url(article), classes
    )


def _describe_item(article: Article) -> Item:
    return _item(
        "describe", article.title, article.text, prompts.summarise_prompt(article.text), article.description, _url(article)
    )


def _text_item(article: Article) -> Item:
    return _item("perplexity", article.title, article.text, "", article.text, _url(article))


def _plain(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.casefold()))


def _translate_items(config: EvalSuiteConfig) -> list[Item]:
    """Strings of which no other says the same but for case and punctuation, in either language: exact matching then finds
    all that must stay out of training."""
    pairs = embedded.interface_strings()
    if not pairs:
        return []
    sources = Counter(_plain(english) for english, _ in pairs)
    targets = Counter(_plain(french) for _, french in pairs)
    alone = [
        (english, french)
        for english, french in pairs
        if sources[_plain(english)] == 1
        and targets[_plain(french)] == 1
        and config.min_string_words <= len(_plain(english).split()) <= config.max_string_words
        and _WHOLE.fullmatch(english)
        and "\n" not in french
        and sorted(_PLACEHOLDER.findall(english)) == sorted(_PLACEHOLDER.findall(french))
    ]
    if len(alone) < config.translate_items:
        raise InputError(
            f"eval_suite.translate_items is {config.translate_items}, but only {len(alone)} interface strings fit; lower it"
        )
    alone.sort(key=lambda pair: _order(config.key, pair[0]))
    return [
        _item("translate", english, english, prompts.translate_prompt(english), french, STRINGS_URL)
        for english, french in alone[: config.translate_items]
    ]


def gates(inputs: Inputs, files: Path, config: EvalSuiteConfig, report: Report) -> list[Gate]:
    """Sizes, hashes, no item twice, answers among the choices, and the table rules."""
    import polars as pl

    from llm_assets.core import expectations

    suite = read_json(files / SUITE_FILE)
    tasks = {task: read_items(files, task) for task in TASKS}
    frame = pl.DataFrame(
        [
            {"task": task, **{name: item.get(name) for name in ("item_id", "text", "prompt", "reference", "url")}}
            for task, items in tasks.items()
            for item in items
        ],
        schema=dict.fromkeys(("task", "item_id", "text", "prompt", "reference", "url"), pl.String),
    )
    rules: list[tuple[str, dict[str, Any]]] = [
        ("expect_column_values_to_not_be_null", {"column": name}) for name in ("item_id", "text", "prompt", "reference", "url")
    ]
    rules += [
        ("expect_column_values_to_be_unique", {"column": "item_id"}),
        ("expect_column_values_to_be_in_set", {"column": "task", "value_set": list(TASKS)}),
        ("expect_column_value_lengths_to_be_between", {"column": "text", "min_value": 1}),
        ("expect_column_value_lengths_to_be_between", {"column": "reference", "min_value": 1}),
    ]
    return [
        _sizes(config, tasks),
        _hashes(files, suite),
        _duplicates(tasks),
        _choices(tasks),
        expectations.check("suite_table", frame, rules),
    ]


def _sizes(config: EvalSuiteConfig, tasks: dict[str, list[Item]]) -> Gate:
    wanted = {task: getattr(config, f"{task}_items") for task in TASKS}
    if not embedded.interface_strings():
        wanted["translate"] = 0
    wrong = {task: len(items) for task, items in tasks.items() if len(items) != wanted[task]}
    said = "; ".join(f"{task}: {n} items, {wanted[task]} asked for" for task, n in wrong.items())
    return Gate("suite_sizes", not wrong, said or "every task has the size the recipe asks for", {"items": wanted})


def _hashes(files: Path, suite: dict[str, Any]) -> Gate:
    found = {task: hashlib.sha256((files / task_file(task)).read_bytes()).hexdigest() for task in TASKS}
    wrong = [task for task in TASKS if suite["tasks"][task]["sha256"] != found[task]]
    if suite["digest"] != digest(found):
        wrong.append(SUITE_FILE)
    said = (
        f"the hash in {SUITE_FILE} is not that of: {', '.join(wrong)}; build eval_suite again" if wrong else "all hashes agree"
    )
    return Gate("suite_hashes", not wrong, said, {"digest": suite["digest"]})


def _duplicates(tasks: dict[str, list[Item]]) -> Gate:
    twice = []
    for task, items in tasks.items():
        counts = Counter(_plain(item["text"]) for item in items)
        twice += [f"{task}: {text[:60]!r}" for text, n in counts.items() if n > 1]
    said = f"{len(twice)} texts are asked twice, such as {twice[0]}" if twice else "no text is asked twice"
    return Gate("suite_no_duplicates", not twice, said, {"duplicates": len(twice)})


def _choices(tasks: dict[str, list[Item]]) -> Gate:
    wrong = [
        item["item_id"]
        for task, items in tasks.items()
        for item in items
        if (task == "topic" or item["choices"]) and item["choices"].count(item["reference"]) != 1
    ]
    said = (
        f"{len(wrong)} items lack their reference among the choices, such as {wrong[0]}"
        if wrong
        else "every choice list holds its answer once"
    )
    return Gate("suite_choices", not wrong, said, {"wrong": len(wrong)})
