"""The inbox: a folder a crawl, with its files. Who looks for new crawls and who reads them go by the same rules: these.

Whoever copies files in renames them last: a name that ends in ``.part`` or ``.tmp`` is still being written, and a crawl waits
for it. Hidden files, and copies that an editor left (``~``), are nobody's documents: they are passed over, and nobody waits.
"""

from pathlib import Path, PurePath

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


def _is_hidden(path: PurePath) -> bool:
    return any(part.startswith(".") for part in path.parts)
