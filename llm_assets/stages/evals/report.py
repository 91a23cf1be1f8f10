"""``eval_report``: base, fine-tuned and RLHF model, and baselines, side by side on the held-out suite.

Results are written three ways: numbers (``results.json``, ``answers.parquet``), pages to read (``report.md``, ``report.html``)
and answers in full (``samples.jsonl``). Whatever the demo claims is read from ``results.json``.
"""

import hashlib
import math
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Any

import orjson
import polars as pl

from llm_assets.core.artefact import Inputs, WorkDir
from llm_assets.core.errors import InputError
from llm_assets.core.jsonio import digest, read_json, write_atomic, write_json
from llm_assets.core.progress import Progress
from llm_assets.core.recipe.evaluation import EvalReportConfig
from llm_assets.core.report import Gate, Report
from llm_assets.lm import device as devices
from llm_assets.lm import model as models
from llm_assets.lm import rouge
from llm_assets.lm import tokenizer as tokenizers
from llm_assets.stages.evals import baselines, figures, page, results
from llm_assets.stages.evals.answers import Answers, Asker, Shot
from llm_assets.stages.evals.results import LABELS, MODELS, RULES
from llm_assets.stages.evals.reward import describe_rewards
from llm_assets.stages.evals.suite import SUITE_FILE, TASKS, Item, read_items, task_file

RESULTS_FILE = "results.json"
ANSWERS_FILE = "answers.parquet"
# The instruction dataset's name of each evaluated task: the suite describes an article from its introduction.
_TRAINED_AS = {"topic": "topic", "describe": "summarise", "translate": "translate"}

Examples = dict[str, list[Shot]]


def run(inputs: Inputs, out: WorkDir, config: EvalReportConfig, progress: Progress) -> Report:
    """Ask everyone everything, score, and write the report. A killed run starts again: it takes seconds."""
    suite = inputs.one("eval_suite")
    tasks = {task: read_items(suite.files, task) for task in TASKS}
    examples = training_examples(inputs.one("instruction_dataset").file("train.parquet"))
    subjects = _ask_models(inputs, tasks, examples, config, progress)
    subjects.update(answer_by_rules(tasks, examples))
    progress.note("scoring")
    found, scores = results.score(tasks, subjects, config)
    data = {
        "format": results.FORMAT,
        "suite": {"ref": suite.ref, "digest": read_json(suite.file(SUITE_FILE))["digest"]},
        "models": {name: _model_entry(inputs, name, subjects[name]) for name in MODELS},
        "settings": {
            "rouge": rouge.SETTING,
            **{name: found["translate"][MODELS[0]][name]["signature"] for name in ("bleu", "chrf") if found["translate"]},
            "intervals": f"95 %; Wilson for accuracy, else bootstrap of {config.resamples} resamples, seed {config.seed}",
        },
        "answered": {name: {task: _count(subjects[name], task) for task in TASKS} for name in MODELS},
        "items": {task: len(items) for task, items in tasks.items()},
        "tasks": found,
        "claims": results.claims(found, scores, config),
        "comparisons": results.comparisons(scores, config),
        "confusion": results.confusions(tasks, subjects),
        "reward": describe_rewards(inputs.maybe("reward_model"), inputs.one("tokenizer"), tasks["describe"], subjects, config),
    }
    samples = results.samples(tasks, subjects, scores, config.samples_per_task)
    plots = _draw(out.files, data)
    write_json(out.files / RESULTS_FILE, data)
    results.answers_frame(tasks, subjects, scores).write_parquet(out.files / ANSWERS_FILE, compression="zstd")
    write_atomic(out.files / "samples.jsonl", b"".join(orjson.dumps(row) + b"\n" for row in samples))
    write_atomic(out.files / "report.md", page.markdown(data, samples).encode())
    write_atomic(out.files / "report.html", page.html_page(data, samples, out.files, plots).encode())
    return _report(data, samples, plots)


def training_examples(path: Path) -> Examples:
    """Prompts and answers of the instruction training split, by evaluated task."""
    frame = pl.read_parquet(path, columns=["id", "task", "prompt", "answer"]).sort("id")
    return {
        task: [Shot(p, a) for p, a in frame.filter(pl.col("task") == name).select("prompt", "answer").iter_rows()]
        for task, name in _TRAINED_AS.items()
    }


def choose_shots(examples: Examples, count: int, seed: int) -> Examples:
    """``count`` worked examples a task, by a keyed hash, of prompts no longer than the median and with distinct answers."""
    chosen: Examples = {}
    for task, rows in examples.items():
        limit = median(len(row.prompt) for row in rows) if rows else 0
        key = str(seed).encode()
        order = sorted(rows, key=lambda row: hashlib.blake2b(row.prompt.encode(), key=key, digest_size=8).digest())
        chosen[task] = []
        for row in order:
            if len(row.prompt) <= limit and row.answer not in {shot.answer for shot in chosen[task]}:
                chosen[task].append(row)
            if len(chosen[task]) == count:
                break
    return chosen


def _ask_models(
    inputs: Inputs, tasks: Mapping[str, list[Item]], examples: Examples, config: EvalReportConfig, progress: Progress
) -> dict[str, Answers]:
    device = devices.resolve(config.device)
    devices.set_threads(config.threads)
    tokenizer = tokenizers.load(inputs.one("tokenizer").files)
    shots = choose_shots(examples, config.few_shot, config.seed)
    subjects = {}
    for done, name in enumerate(MODELS):
        progress.update(done, len(MODELS), "models")
        model = models.load(inputs.one(name).files, device=device)
        subjects[name] = Asker(model, tokenizer, config, shots if name == "base_model" else None).ask(dict(tasks))
    progress.update(len(MODELS), len(MODELS), "models")
    return subjects


def answer_by_rules(tasks: Mapping[str, list[Item]], examples: Examples) -> dict[str, Answers]:
    """What the baselines answer; those that count are trained on the instruction training split, like the models."""
    topics, pairs = examples["topic"], examples["translate"]
    if not topics:
        raise InputError("the instruction dataset has no training row of the task 'topic'; there is no majority class")
    common = baselines.majority([row.answer for row in topics])
    bayes = baselines.NaiveBayes([baselines.question_text(row.prompt) for row in topics], [row.answer for row in topics])
    memory = baselines.NearestPair([baselines.question_text(row.prompt) for row in pairs], [row.answer for row in pairs])
    answers = {
        "majority": {"topic": [common for _ in tasks["topic"]]},
        "naive_bayes": {"topic": [bayes.predict(baselines.question_text(item["prompt"])) for item in tasks["topic"]]},
        "first_sentence": {"describe": [baselines.first_sentence(item["text"]) for item in tasks["describe"]]},
        "definition": {"describe": [baselines.definition(item["text"]) for item in tasks["describe"]]},
        "copy": {"translate": [item["text"] for item in tasks["translate"]]},
        "nearest_pair": {"translate": [memory.answer(item["text"]) for item in tasks["translate"]]},
    }
    return {name: Answers(texts=answers[name]) for name in RULES}


def _count(answers: Answers, task: str) -> int:
    return len(answers.nats) if task == "perplexity" else len(answers.texts.get(task, []))


def _model_entry(inputs: Inputs, name: str, answers: Answers) -> dict[str, Any]:
    asked = f"plain text with {answers.shots} worked examples" if name == "base_model" else "chat template, no examples"
    return {"ref": inputs.one(name).ref, "asked": asked, "ended_by_itself": answers.ended}


def _draw(files: Path, data: Mapping[str, Any]) -> dict[str, str]:
    """Plots by title → path relative to the artefact."""
    plots = {}
    for task, headline in results.HEADLINE.items():
        rows = [
            (LABELS[name], found[headline]["value"], found[headline]["low"], found[headline]["high"], name in MODELS)
            for name, found in data["tasks"][task].items()
        ]
        if rows:
            title = f"{task}: {page.METRIC_NAMES[headline]}, {data['items'][task]} held-out items"
            figures.intervals(files / f"plots/{task}.png", rows, title=title, x="95 % interval")
            plots[title] = f"plots/{task}.png"
    for name in (*MODELS, "naive_bayes"):
        if name in data["confusion"]["tables"]:
            title = f"{LABELS[name]}: topics answered"
            path = f"plots/confusion-{name}.png"
            figures.confusion(files / path, data["confusion"]["tables"][name], data["confusion"]["classes"], title=title)
            plots[title] = path
    return plots


def _report(data: Mapping[str, Any], samples: list[dict[str, Any]], plots: dict[str, str]) -> Report:
    headline = {
        f"{task}_{name}_{results.HEADLINE[task]}": found[results.HEADLINE[task]]["value"]
        for task, by_name in data["tasks"].items()
        for name, found in by_name.items()
    }
    shown = samples[0] if samples else None
    return Report(
        counts={f"items_{task}": n for task, n in data["items"].items()},
        metrics={**headline, "claims": data["claims"]},
        plots=plots,
        tables={"claims": [page.claim_row(claim) for claim in data["claims"]], "figures": page.figure_rows(data)},
        samples={LABELS[name]: f"{shown['prompt']}\n→ {text}" for name, text in shown["answers"].items()} if shown else {},
    )


def gates(inputs: Inputs, files: Path, config: EvalReportConfig, report: Report) -> list[Gate]:
    """Everyone answered everything; no figure is NaN; the suite is the one that was hashed; the claims hold."""
    data = read_json(files / RESULTS_FILE)
    suite = inputs.one("eval_suite")
    return [
        _answered(data, suite.files, files),
        _finite(data),
        _untouched(data, suite.files),
        _claims(data, config),
    ]


def _answered(data: Mapping[str, Any], suite: Path, files: Path) -> Gate:
    """Both what the results say and what ``answers.parquet`` holds."""
    wanted = {task: len(read_items(suite, task)) for task in TASKS}
    rows = pl.read_parquet(files / ANSWERS_FILE).group_by("subject", "task").len()
    held = {(subject, task): count for subject, task, count in rows.iter_rows()}
    short = []
    for name in MODELS:
        for task, n in wanted.items():
            said, there = data["answered"].get(name, {}).get(task, 0), held.get((name, task), 0)
            if said != n or there != n:
                short.append(f"{name} {task}: {min(said, there)} of {n}")
    said = f"items without an answer: {'; '.join(short)}; evaluate again" if short else "every model answered every item"
    return Gate("all_answered", not short, said, {"items": wanted})


def _finite(data: Mapping[str, Any]) -> Gate:
    broken = [
        f"{task}.{name}.{metric}"
        for task, by_name in data["tasks"].items()
        for name, found in by_name.items()
        for metric, value in found.items()
        if not all(math.isfinite(value[part]) for part in ("value", "low", "high"))
    ]
    missing = [
        f"{task}.{name}" for task, n in data["items"].items() for name in MODELS if n and name not in data["tasks"][task]
    ]
    wrong = broken + missing
    said = (
        f"figures that are no numbers: {', '.join(wrong[:5])}; the model or the metric is broken"
        if wrong
        else "all figures are finite"
    )
    return Gate("no_nan", not wrong, said, {"broken": len(wrong)})


def _untouched(data: Mapping[str, Any], suite: Path) -> Gate:
    found = {task: hashlib.sha256((suite / task_file(task)).read_bytes()).hexdigest() for task in TASKS}
    same = digest(found) == read_json(suite / SUITE_FILE)["digest"] == data["suite"]["digest"]
    said = (
        "the suite is the one that was hashed"
        if same
        else "the suite's items are not those that were hashed; build eval_suite again"
    )
    return Gate("suite_untouched", same, said, {"digest": data["suite"]["digest"]})


def _claims(data: Mapping[str, Any], config: EvalReportConfig) -> Gate:
    false = [claim for claim in data["claims"] if claim["applies"] and not claim["passed"]]
    too_few = [claim["name"] for claim in data["claims"] if not claim["applies"]]
    said = "; ".join(page.claim_sentence(claim) for claim in false) or "all claims that apply hold"
    if too_few:
        said += f" (too few items to tell: {', '.join(too_few)})"
    return Gate(
        "claims_hold",
        not false or not config.require_claims,
        said if config.require_claims else f"not required by the recipe: {said}",
        {claim["name"]: claim["passed"] for claim in data["claims"]},
    )
