"""Tags of a page read from its bytes, without a tree: a native parser that dies on a crafted page would take its caller along.

No pattern may look at a byte more than a few times, whatever the page holds.
"""

import re
from html import unescape

_ATTRIBUTE = re.compile(r"""(?<![a-zA-Z:_-])([a-zA-Z:_-]+)\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))""")


def attributes(tag: bytes) -> dict[str, str]:
    """The attributes of one tag, names in lower case; the first of a name counts."""
    found: dict[str, str] = {}
    for name, double, single, bare in _ATTRIBUTE.findall(tag.decode("utf-8", "replace")):
        value = double or single or bare
        found.setdefault(name.lower(), unescape(value) if "&" in value else value)
    return found


def without(data: bytes, start: bytes, end: bytes) -> bytes:
    """Cut what stands between two marks (ASCII case ignored); linear, whatever the page holds."""
    lowered = data.lower()
    at = lowered.find(start)
    if at < 0:
        return data
    kept, last = [], 0
    while at >= 0:
        kept.append(data[last:at])
        stop = lowered.find(end, at + len(start))
        if stop < 0:
            return b"".join(kept)
        last = stop + len(end)
        at = lowered.find(start, last)
    kept.append(data[last:])
    return b"".join(kept)
