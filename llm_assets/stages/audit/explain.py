"""``explain``: what became of a page, told to a person: each stage's word in each crawl, its tokens, the models that read it.

What the text is made from is found by ``lookup``.
"""

from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

from llm_assets.core.errors import InputError
from llm_assets.core.oneline import one_line, shortened
from llm_assets.core.store import Store
from llm_assets.stages.audit.lookup import POST_TRAINING, Found, Judgement, current_inputs, look_up
from llm_assets.stages.audit.reading import Use

_STEPS = 10  # steps shown of those that read a page
_LONGEST = 300  # characters of anything that a page or a server said


def explain(store_root: Path, recipe: str, query: str) -> str:
    """The fate of a URL or doc_id in the current artefacts of a recipe, as text for a terminal.

    Raises ``InputError`` with the nearest URLs where no crawl met it.
    """
    return tell(look_up(current_inputs(Store(store_root, recipe)), query))


def explain_all(store_root: Path, recipe: str, queries: Iterable[str]) -> list[Found | str]:
    """What is known of each query; a sentence with the nearest URLs where no crawl met it."""
    inputs = current_inputs(Store(store_root, recipe))
    answers: list[Found | str] = []
    for query in queries:
        try:
            answers.append(look_up(inputs, query))
        except InputError as error:
            answers.append(str(error))
    return answers


def rows_of(query: str, answer: Found | str) -> list[dict[str, Any]]:
    """One row a capture, for a table: where it ended, by which rule, value and threshold, and for which other document."""
    if isinstance(answer, str):
        return [{"query": query, "crawl": "", "fate": _plain(answer)}]
    rows = []
    for judgements in captures(answer).values():
        rows.append({"query": query, "crawl": judgements[0].crawl, "fate": fate(answer, judgements)})
    return rows


def as_json(query: str, answer: Found | str) -> dict[str, Any]:
    """All that was found, for programs; ``error`` where no crawl met it."""
    if isinstance(answer, str):
        return {"query": query, "error": answer}
    story = [
        {
            "crawl": judgements[0].crawl,
            "doc_id": judgements[0].doc_id,
            "fate": fate(answer, judgements),
            "related_url": answer.addresses.get(ending(judgements).related_doc or ""),
            "stages": [asdict(judgement) for judgement in judgements],
        }
        for judgements in captures(answer).values()
    ]
    return {
        "query": query,
        "captures": story,
        "fetched": answer.fetched,
        "tokens": [asdict(place) for place in answer.tokens],
        "models": [{**asdict(use), "read": use.read} for use in answer.uses],
        "led_to": [as_json(target, known) for target, known in answer.led_to.items()],
    }


def captures(found: Found) -> dict[tuple[str, str], list[Judgement]]:
    """The judgements on each capture, by crawl and document (or address where nothing was stored)."""
    grouped: dict[tuple[str, str], list[Judgement]] = {}
    for judgement in found.judgements:
        grouped.setdefault((judgement.crawl, judgement.doc_id or judgement.url), []).append(judgement)
    return grouped


def tell(found: Found) -> str:
    """What was found, as text. Nothing that a page or server said can move the cursor or break a line."""
    urls = list(dict.fromkeys(j.url for j in found.judgements))
    lines = [_plain(url) for url in urls]
    for (crawl, _), judgements in captures(found).items():
        lines += ["", *_capture(found, crawl, judgements)]
    lines += _read_by(found) if found.documents or not found.led_to else []
    for target, known in found.led_to.items():
        told = f"{_plain(target)}\n  {_plain(known)}" if isinstance(known, str) else tell(known)
        lines += ["", "It led to:", told]
    return "\n".join(lines)


def ending(judgements: list[Judgement]) -> Judgement:
    """The judgement that ended the way of one document into the corpus: what later data are made of it is another matter."""
    corpus = [judgement for judgement in judgements if judgement.stage not in POST_TRAINING]
    return (corpus or judgements)[-1]


def fate(found: Found, judgements: list[Judgement]) -> str:
    """The end of one capture's story, in one sentence. ``judgements``: those on one document, in stage order."""
    last = ending(judgements)
    doc = last.doc_id or ""
    if last.rule == "redirect" and last.detail:
        return f"redirected{_numbers(last)} to {_plain(urljoin(last.url, last.detail))}"
    if not last.kept:
        verb = (
            "replaced by a newer capture" if last.rule == "superseded" else f"dropped at {last.stage} by the rule {last.rule}"
        )
        twin = last.related_doc if last.rule.endswith("_duplicate") else None
        return verb + _numbers(last) + (f"; the content lives on in {_document(found, twin)}" if twin else "")
    if last.stage == "training_mix":
        return "held out for validation" if last.detail == "validation" else "in the training mix"
    if doc in found.same_content:
        return f"unchanged since {_document(found, found.same_content[doc])}, which holds the content"
    if doc in found.replaced_by:
        return f"replaced by {_document(found, found.replaced_by[doc])}"
    if last.stage == "image_dataset":
        return "kept as an image"
    return f"kept by {last.stage}; no later stage has judged it"


def _capture(found: Found, crawl: str, judgements: list[Judgement]) -> list[str]:
    doc = judgements[0].doc_id
    title = f"{crawl}: {fate(found, judgements)}"
    about = f"  document {doc}, fetched {found.fetched.get(doc, 'at an unknown time')}" if doc else "  nothing of it is stored"
    width = max(len(j.stage) for j in judgements)
    steps = [f"  {j.stage:<{width}}  {_verdict(found, j)}" for j in judgements]
    places = [
        f"  tokens {t.start:,} to {t.start + t.length - 1:,} ({t.length:,}) of tokens-{t.shard:05d}.npy in {t.ref}"
        for t in found.tokens
        if t.doc_id == doc
    ]
    return [title, about, *steps, *places]


def _verdict(found: Found, judgement: Judgement) -> str:
    parts = ["kept" if judgement.kept else f"dropped: {judgement.rule}{_numbers(judgement)}"]
    if judgement.related_doc:
        parts.append(f"see {_document(found, judgement.related_doc)}")
    if judgement.detail:
        parts.append(_plain(judgement.detail))
    return "; ".join(parts)


def _numbers(judgement: Judgement) -> str:
    if judgement.value is None:
        return ""
    against = "" if judgement.threshold is None else f" against {_number(judgement.threshold)}"
    return f" ({_number(judgement.value)}{against})"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value.is_integer() else f"{value:.4g}"


def _document(found: Found, doc: str) -> str:
    address = found.addresses.get(doc)
    return f"{_plain(address)} ({doc})" if address else _plain(doc)


def _read_by(found: Found) -> list[str]:
    read = [use for use in found.uses if use.read]
    unread = [use for use in found.uses if not use.read]
    gone = any(judgement.rule == "tombstone" and judgement.stage == "raw_crawl" for judgement in found.judgements)
    none = "Which models had read what was taken down is in its receipt." if gone else "No model was trained on it."
    lines = ["", "Models trained on it:" if read else none]
    lines += [f"  {use.model}: {_use(use)}" for use in read]
    if unread:
        lines.append("In the data, but the training ended before it came to it:")
        lines += [f"  {use.model}: {_use(use)}" for use in unread]
    return lines


def _use(use: Use) -> str:
    parts = [f"{use.rows} {'row' if use.rows == 1 else 'rows'} of {use.data}"]
    if use.readings != use.rows:
        parts.append(f"{use.readings} readings a pass")
    if use.steps:
        first = 0 if use.data.startswith("training_mix/") else 1
        shown = ", ".join(f"{step:,}" for step in use.steps[:_STEPS])
        more = f" and {len(use.steps) - _STEPS:,} more" if len(use.steps) > _STEPS else ""
        parts.append(f"read in step{'s' * (len(use.steps) > 1)} {shown}{more} (counted from {first})")
    elif use.steps is None:
        parts.append("steps unknown: the model wrote no order down, or its mix is not in the store")
    if use.through:
        parts.append(f"through {' and '.join(use.through)}")
    return ", ".join(parts)


def _plain(text: str) -> str:
    """One line without control characters, cut at 300."""
    return shortened(one_line(text), _LONGEST)
