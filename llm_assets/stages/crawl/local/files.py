"""Which files of a folder are read and how: by their suffix, in the order of their paths."""

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from llm_assets.core.documents import replace_surrogates
from llm_assets.core.inbox import is_whole
from llm_assets.core.machine import available_cores
from llm_assets.core.recipe.sources import LocalFiles
from llm_assets.stages.crawl.local import child
from llm_assets.stages.crawl.local.documents import HTML, MARKDOWN, PLAIN, UTF8, UTF16, Document, Rejected, decoded, parts_of
from llm_assets.stages.crawl.local.rows import Item, jsonl, parquet

TEXTS = {
    ".txt": PLAIN,
    ".text": PLAIN,
    ".rst": PLAIN,
    ".md": MARKDOWN,
    ".markdown": MARKDOWN,
    ".html": HTML,
    ".htm": HTML,
    ".xhtml": HTML,
}
JSONL = tuple(f"{name}{packed}" for name in (".jsonl", ".ndjson") for packed in ("", ".gz", ".zst"))
PARQUET = (".parquet",)
SUFFIXES = (*TEXTS, *JSONL, *PARQUET, *child.READERS)
_AHEAD = 2  # files read ahead a worker


@dataclass(frozen=True)
class LocalFile:
    """A file; ``name``: its path below the crawl's folder, with '/'."""

    path: Path
    name: str


def listed(folder: Path) -> tuple[list[LocalFile], int]:
    """All files below a folder by path, and how many are passed over: hidden, or still being written (.part, .tmp, ~)."""
    found, ignored = [], 0
    for path in folder.rglob("*"):
        relative = path.relative_to(folder)
        if not path.is_file():
            continue
        if is_whole(relative):
            found.append(LocalFile(path, relative.as_posix()))
        else:
            ignored += 1
    return sorted(found, key=lambda file: file.name), ignored


def items(files: Iterable[LocalFile], config: LocalFiles) -> Iterator[tuple[LocalFile, Item]]:
    """Every document of every file, and every reject, in order. PDF and EPUB files are read ahead in processes of their own."""
    workers = config.workers or available_cores()
    waiting: deque[tuple[LocalFile, Future[list[Item]] | None]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        for file in files:
            slow = Path(file.name).suffix.lower() in child.READERS
            waiting.append((file, pool.submit(_by_child, file, config) if slow else None))
            if len(waiting) > workers * _AHEAD:
                yield from _taken(*waiting.popleft(), config)
        while waiting:
            yield from _taken(*waiting.popleft(), config)


def _taken(file: LocalFile, future: "Future[list[Item]] | None", config: LocalFiles) -> Iterator[tuple[LocalFile, Item]]:
    for item in future.result() if future is not None else _read(file, config):
        yield file, item


def _read(file: LocalFile, config: LocalFiles) -> Iterator[Item]:
    """Items of a file that is read here."""
    name = file.name.lower()
    if name.endswith(JSONL):
        yield from _cut(jsonl(file.path, config), config)
    elif name.endswith(PARQUET):
        yield from _cut(parquet(file.path, config), config)
    elif Path(name).suffix in TEXTS:
        try:
            yield from _cut(_text(file, config), config)
        except Rejected as error:
            yield error
        except OSError as error:
            yield Rejected("file_broken", str(error)[:200])
    else:
        yield Rejected("file_unsupported", f"no reader for {Path(name).suffix or 'a name without a suffix'}")


def _text(file: LocalFile, config: LocalFiles) -> Iterator[Item]:
    """A text, Markdown or HTML file as its bytes: extraction finds the charset, as it does for pages."""
    size = file.path.stat().st_size
    limit = min(config.max_file_bytes, config.max_document_bytes)
    if size > limit:
        raise Rejected("file_too_large", f"{size} bytes, at most {limit}")
    body = file.path.read_bytes()
    if not body.strip():
        raise Rejected("file_empty", f"{size} bytes")
    if b"\0" in body and not body.startswith(UTF16):
        raise Rejected("file_broken", "it holds NUL bytes: no text")
    media = TEXTS[Path(file.name).suffix.lower()]
    yield Document(body, media)


def _by_child(file: LocalFile, config: LocalFiles) -> list[Item]:
    try:
        size = file.path.stat().st_size
        if not size:
            raise Rejected("file_empty", "0 bytes")
        if size > config.max_file_bytes:
            raise Rejected("file_too_large", f"{size} bytes, at most {config.max_file_bytes}")
        limits = {
            "max_cpu_seconds": config.max_cpu_seconds,
            "max_memory_mb": config.max_memory_mb,
            "max_bytes": config.max_document_bytes,
        }
        found = {name: replace_surrogates(value) for name, value in child.read(file.path, limits).items()}
    except Rejected as error:
        return [error]
    except OSError as error:
        return [Rejected("file_broken", str(error)[:200])]
    text, replaced = found.pop("text")
    title, language, license = (found.get(name, ("", 0))[0] for name in ("title", "language", "license"))
    media = MARKDOWN if file.name.lower().endswith(".epub") else PLAIN
    return list(_cut([Document(text.encode(), media + UTF8, title, language, license, surrogates=replaced)], config))


def _cut(found: Iterable[Item], config: LocalFiles) -> Iterator[Item]:
    """Long texts in parts, each a document; HTML stays whole."""
    for item in found:
        if isinstance(item, Rejected) or not config.part_bytes or len(item.body) <= config.part_bytes or HTML in item.media:
            yield item
            continue
        text = item.body.decode() if UTF8 in item.media else decoded(item.body)
        media = item.media if UTF8 in item.media else item.media + UTF8
        parts = parts_of(text, config.part_bytes)
        for number, part in enumerate(parts, start=1):
            place = "&".join(filter(None, (item.place, f"part={number}")))
            yield replace(item, body=part.encode(), media=media, place=place, surrogates=item.surrogates if number == 1 else 0)
