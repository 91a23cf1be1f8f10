"""The inbox: a folder a crawl, with its files. Who looks for new crawls and who reads them go by the same rules: these.

Whoever copies files in renames them last: a name that ends in ``.part`` or ``.tmp`` is still being written, and a crawl waits
for it. Hidden files, and copies that an editor left (``~``), are nobody's documents: they are passed over, and nobody waits.
"""

from pathlib import Path, PurePath

from llm_assets.core.jsonio import digest

BEING_WRITTEN = (".part", ".tmp")
LEFT_BEHIND = ("~",)


def folder(named: str, store: Path) -> Path:
    """The inbox: what ``raw_crawl.inbox`` names, else ``inbox`` beside the store."""
    return Path(named).expanduser() if named else store.parent / "inbox"


def crawl_folder(folders: dict[str, str], named: str, store: Path, crawl: str) -> Path:
    """Where a crawl's own files are: what ``raw_crawl.local.folders`` says, else the folder of its name in the inbox."""
    return Path(folders[crawl]).expanduser() if folders.get(crawl) else folder(named, store) / crawl


def is_being_written(path: PurePath) -> bool:
    """Whether a file, by its path below the crawl's folder, will get its real name later."""
    return not _is_hidden(path) and path.name.endswith(BEING_WRITTEN)


def is_whole(path: PurePath) -> bool:
    """Whether a file, by its path below the crawl's folder, is one to read."""
    return not _is_hidden(path) and not path.name.endswith((*BEING_WRITTEN, *LEFT_BEHIND))


def contents(folder: Path) -> str:
    """What a crawl's folder holds: "<files> files, <bytes> bytes, <hash of paths, sizes, times>"; "" while it is not to be
    read, which is while it has no whole file, or one that is still being written.
    """
    rows: list[tuple[str, int, int]] = []
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        told = path.stat() if path.is_file() else None
        if told is not None and is_being_written(name):
            return ""
        if told is not None and is_whole(name):
            rows.append((name.as_posix(), told.st_size, told.st_mtime_ns))
    if not rows:
        return ""
    return f"{len(rows)} files, {sum(size for _, size, _ in rows)} bytes, {digest(rows)[:16]}"


def _is_hidden(path: PurePath) -> bool:
    return any(part.startswith(".") for part in path.parts)
