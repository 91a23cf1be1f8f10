"""The parser process: reads one record, decodes and parses it, answers, and waits for the next. It may die of a page.

``python -m llm_assets.stages.extract.parser LIMITS`` reads jobs and writes answers as lines of JSON. Processor time and
memory of one document are limited here, by the kernel: a page that takes too long ends the process by SIGPROF, and whoever
started it (``llm_assets.stages.extract.supervisor``) draws the conclusion. Processor time, not time on the clock, so that a
busy machine decides nothing. Nothing heavy is imported: a process is started again after each death.
"""

import gc
import json
import os
import resource
import signal
import sys
from pathlib import Path
from typing import Any

from llm_assets.core.decoding import Decoded, decode
from llm_assets.core.errors import InputError
from llm_assets.core.warcs import WarcFiles, http_payload
from llm_assets.stages.extract.html import Page, parse_html, parse_plain, warm_up

READY = b"ready"  # the first line that it writes
HTML_TYPES = ("text/html", "application/xhtml+xml", "")
PLAIN_TYPES = ("text/plain", "text/markdown")
# More than this share of U+FFFD in what a page says is mojibake that someone else made.
MAX_REPLACEMENT_SHARE = 0.001


def rejected(rule: str, value: float | None = None, threshold: float | None = None, detail: str = "") -> dict[str, Any]:
    """An answer that drops the document."""
    return {"rule": rule, "value": value, "threshold": threshold, "detail": detail}


def answer(job: dict[str, Any], limits: dict[str, Any], files: WarcFiles) -> dict[str, Any]:
    """One document: its fields (those of ``Page``, ``charset`` and ``charset_source``), or a rule, value, threshold and detail.

    ``job``: ``path``, ``offset``, ``length`` of the record, ``url``, ``content_type``, ``fetched_at`` (ISO). ``limits``: see
    ``llm_assets.stages.extract.supervisor``; ``extractor`` says who finds the text. Never raises for what a page holds.
    """
    try:
        headers, payload = http_payload(files.record(job["path"], job["offset"], job["length"]))
    except InputError as error:
        return rejected("extract_damaged_record", detail=str(error).replace(str(Path(job["path"]).parent), "")[:120])
    if len(payload) > limits["max_html_bytes"]:
        return rejected("extract_too_large", len(payload), limits["max_html_bytes"], "bytes of the page")
    content_type = headers.get("content-type") or job["content_type"] or ""
    media = content_type.partition(";")[0].strip().lower()
    if media not in (*HTML_TYPES, *PLAIN_TYPES):
        return rejected("extract_media_type", detail=media[:60])
    decoded = decode(payload, content_type)
    if decoded is None:
        return rejected("extract_undecodable")
    if media in PLAIN_TYPES:
        page = parse_plain(decoded.text, headers, media)
    else:
        page = parse_html(decoded.text, job["url"], job.get("fetched_at", ""), limits.get("extractor", "resiliparse"))
    return _judged(page, decoded, limits)


def _judged(page: Page, decoded: Decoded, limits: dict[str, Any]) -> dict[str, Any]:
    size = len(page.text.encode("utf-8", "surrogatepass"))
    if size > limits["max_text_bytes"]:
        return rejected("extract_too_large", size, limits["max_text_bytes"], "bytes of text")
    if not page.text:
        return rejected("extract_no_text", 0, 1, page.title[:60] and "navigation only")
    share = page.text.count("\ufffd") / len(page.text)
    if share > MAX_REPLACEMENT_SHARE:
        return rejected("extract_undecodable", share, MAX_REPLACEMENT_SHARE, decoded.charset)
    return {**vars(page), "charset": decoded.charset, "charset_source": decoded.source}


def limited_answer(job: dict[str, Any], limits: dict[str, Any], files: WarcFiles) -> dict[str, Any]:
    """``answer`` under the processor-time limit; what the parser itself raises becomes a rejection."""
    signal.setitimer(signal.ITIMER_PROF, limits["max_cpu_seconds"])
    try:
        return answer(job, limits, files)
    except MemoryError:
        return rejected("extract_memory", None, limits["max_memory_mb"], "MiB")
    except Exception as error:  # a page must never end a batch: the fault becomes its fate, by name
        return rejected("extract_error", detail=type(error).__name__)
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def main(argv: list[str]) -> int:
    """Serve until standard input closes."""
    limits = json.loads(argv[0])
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a native library prints must not end up among the answers
    warm_up()
    memory = limits["max_memory_mb"] * 2**20  # of pages: not yet where the loops have to be compiled
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    gc.freeze()  # what is loaded by now stays; looking through it again and again costs a tenth of the time
    answers.write(READY + b"\n")
    answers.flush()
    with WarcFiles() as files:
        for line in sys.stdin.buffer:
            job = json.loads(line)
            found = {"number": job["number"], **limited_answer(job, limits, files)}
            # ASCII JSON: a lone surrogate travels as an escape (case B14).
            answers.write(json.dumps(found).encode("ascii") + b"\n")
            answers.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
