"""The report as pages: Markdown for a terminal or a repository, HTML that needs nothing but itself.

Texts of articles and models are shown as they are and nothing else: escaped, clipped, and in a page whose content policy
forbids scripts and all fetching. The HTML follows the reader's light or dark setting.
"""

import html
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from string import Template
from typing import Any

from llm_assets.core.oneline import shortened
from llm_assets.core.plots import data_uri
from llm_assets.stages.evals.results import LABELS, MODELS

SHOWN_CHARACTERS = 500
METRIC_NAMES = {
    "accuracy": "accuracy",
    "macro_f1": "macro-F1",
    "rouge1": "ROUGE-1",
    "rouge2": "ROUGE-2",
    "rougeL": "ROUGE-L",
    "bleu": "BLEU",
    "chrf": "chrF",
    "bits_per_byte": "bits per byte",
    "perplexity": "perplexity",
}
TASK_NAMES = {
    "topic": "Topic of a text (11 classes)",
    "describe": "Description from an introduction",
    "translate": "Interface strings, English to French",
    "perplexity": "Held-out text",
}
_LOWER_IS_BETTER = {"bits_per_byte", "perplexity"}
_MARKDOWN = re.compile(r"([\\`*_{}\[\]()#+\-.!|~:@])")

Data = Mapping[str, Any]
Rows = list[list[str]]


def clip(text: Any) -> str:
    """One line of at most 500 characters."""
    return shortened(" ".join(str(text).split()), SHOWN_CHARACTERS)


def markdown_text(text: Any) -> str:
    """A text that Markdown shows as it is: no tag, link, image or table in it works."""
    return _MARKDOWN.sub(r"\\\1", html.escape(clip(text), quote=False))


def number(value: float) -> str:
    """Three significant places, never in powers of ten for what occurs here."""
    return f"{value:.3f}" if abs(value) < 10 else f"{value:.1f}"


def claim_sentence(claim: Data) -> str:
    """One claim as a sentence with its numbers."""
    verdict = "holds" if claim["passed"] else "does not hold"
    low, high = claim["interval"]
    return (
        f"{claim['statement']}: {verdict} ({number(claim['value'])} against {number(claim['against'])}, "
        f"95 % interval {number(low)} to {number(high)}; {claim['note']})"
    )


def claim_row(claim: Data) -> dict[str, Any]:
    """One claim as a row of a small table."""
    low, high = claim["interval"]
    verdict = ("holds" if claim["passed"] else "does not hold") if claim["applies"] else "too few items"
    return {
        "claim": claim["statement"],
        "value": round(claim["value"], 4),
        "against": round(claim["against"], 4),
        "interval": f"{low:.4f} … {high:.4f}",
        "verdict": verdict,
        "note": claim["note"],
    }


def figure_rows(data: Data) -> list[dict[str, Any]]:
    """All figures as rows: task, subject, metric, value, interval."""
    return [
        {
            "task": task,
            "subject": LABELS[name],
            "metric": METRIC_NAMES[metric],
            "value": round(value["value"], 4),
            "interval": f"{value['low']:.4f} … {value['high']:.4f}",
        }
        for task, by_name in data["tasks"].items()
        for name, found in by_name.items()
        for metric, value in found.items()
    ]


def _task_table(by_name: Data) -> tuple[list[str], Rows]:
    """Head and rows of one task: a subject a row, a metric a column, the best of each column marked."""
    names = list(next(iter(by_name.values())))
    best = {
        metric: (min if metric in _LOWER_IS_BETTER else max)(found[metric]["value"] for found in by_name.values())
        for metric in names
    }
    rows = []
    for name, found in by_name.items():
        cells = [
            f"{number(found[m]['value'])}{' ★' if found[m]['value'] == best[m] else ''} "
            f"({number(found[m]['low'])} to {number(found[m]['high'])})"
            for m in names
        ]
        rows.append([LABELS[name], "model" if name in MODELS else "baseline", *cells])
    return ["", "", *[METRIC_NAMES[metric] for metric in names]], rows


def _claims_table(data: Data) -> tuple[list[str], Rows]:
    rows = [
        [f"{value:.4f}" if isinstance(value, float) else str(value) for value in claim_row(claim).values()]
        for claim in data["claims"]
    ]
    return ["claim", "value", "against", "95 % interval", "verdict", "beside it"], rows


def _comparison_table(data: Data) -> tuple[list[str], Rows]:
    rows = []
    for row in data["comparisons"]:
        better = row["low"] > 0 or row["high"] < 0
        rows.append(
            [
                row["task"],
                f"{LABELS[row['subject']]} − {LABELS[row['against']]}",
                row["score"],
                f"{row['difference']:+.3f}",
                f"{row['low']:+.3f} to {row['high']:+.3f}",
                "yes" if better else "no",
            ]
        )
    return ["task", "difference", "score an item", "mean", "95 % interval", "clear"], rows


def _reward_table(data: Data) -> tuple[list[str], Rows]:
    labels = {**LABELS, "reference": "what people wrote"}
    rows = [
        [labels[name], number(found["value"]), f"{number(found['low'])} to {number(found['high'])}"]
        for name, found in data["reward"].items()
    ]
    return ["descriptions of", "mean reward", "95 % interval"], rows


def _settings(data: Data) -> list[str]:
    return [
        *(f"{LABELS[name]}: {data['models'][name]['ref']}, asked by {data['models'][name]['asked']}" for name in MODELS),
        *(f"{name}: {text}" for name, text in data["settings"].items()),
        f"suite: {data['suite']['ref']}, digest {data['suite']['digest'][:16]}",
    ]


def _sections(data: Data) -> list[tuple[str, list[str], Rows]]:
    """Title, head and rows of every table, in reading order."""
    tables = [("What was claimed", *_claims_table(data))]
    tables += [
        (f"{TASK_NAMES[task]}: {data['items'][task]} items", *_task_table(by_name))
        for task, by_name in data["tasks"].items()
        if by_name
    ]
    if data["reward"]:
        tables.append(("What the reward model thinks (raw score)", *_reward_table(data)))
    tables.append(("Differences on the same items", *_comparison_table(data)))
    return tables


_LEAD = (
    "Models and baselines answer the same held-out items. ★ marks the best of a column, whoever it is; parentheses hold "
    "95 % intervals. The base model is asked with worked examples, the others as chats. Descriptions are scored against one "
    "that people wrote; rules that copy from the text do well at that."
)


def markdown(data: Data, samples: Sequence[Data]) -> str:
    """``report.md``."""
    parts = ["# Evaluation", _LEAD]
    for title, head, rows in _sections(data):
        parts += [f"## {title}", _markdown_table(head, rows)]
    parts += ["## Settings", "\n".join(f"- {markdown_text(line)}" for line in _settings(data)), "## Answers to read"]
    for sample in samples:
        lines = [
            f"**{sample['task']}** {markdown_text(sample['prompt'])}",
            f"- *reference*: {markdown_text(sample['reference'])}",
        ]
        lines += [f"- {LABELS[name]}: {markdown_text(text)}" for name, text in sample["answers"].items()]
        parts.append("\n".join([lines[0], "", *lines[1:]]))
    return "\n\n".join(parts) + "\n"


def _markdown_table(head: Sequence[str], rows: Rows) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    return "\n".join(lines)


def html_page(data: Data, samples: Sequence[Data], files: Path, plots: Mapping[str, str]) -> str:
    """``report.html``: one file, no script, nothing fetched; plots are data URIs."""
    body = ["<h1>Evaluation</h1>", f"<p>{html.escape(_LEAD)}</p>"]
    for title, head, rows in _sections(data):
        body += [f"<h2>{html.escape(title)}</h2>", _html_table(head, rows)]
    body.append("<h2>Plots</h2>")
    for title, path in plots.items():
        alt = html.escape(title)
        body.append(f'<figure><img src="{data_uri(files / path)}" alt="{alt}"><figcaption>{alt}</figcaption></figure>')
    body.append("<h2>Answers to read</h2>")
    body += [_html_sample(sample) for sample in samples]
    body.append("<h2>Settings</h2><ul>" + "".join(f"<li>{html.escape(line)}</li>" for line in _settings(data)) + "</ul>")
    template = Template(Path(__file__).with_name("page_template.html").read_text("utf-8"))
    return template.substitute(body="\n".join(body))


def _html_table(head: Sequence[str], rows: Rows) -> str:
    cells = "".join(f'<th scope="col">{html.escape(name)}</th>' for name in head)
    lines = [f"<tr>{''.join(_html_cell(cell) for cell in row)}</tr>" for row in rows]
    return f'<div class="wide"><table><thead><tr>{cells}</tr></thead><tbody>{"".join(lines)}</tbody></table></div>'


def _html_cell(cell: str) -> str:
    style = {"holds": ' class="holds"', "does not hold": ' class="fails"'}.get(cell, "")
    return f"<td{style}>{html.escape(cell)}</td>"


def _html_sample(sample: Data) -> str:
    terms = [("prompt", sample["prompt"]), ("reference", sample["reference"])]
    terms += [(LABELS[name], text) for name, text in sample["answers"].items()]
    inner = "".join(f"<dt>{html.escape(name)}</dt><dd>{html.escape(clip(text))}</dd>" for name, text in terms)
    title = f"{sample['task']}: {clip(sample['reference'])}"
    return f"<details><summary>{html.escape(title)}</summary><dl>{inner}</dl></details>"
