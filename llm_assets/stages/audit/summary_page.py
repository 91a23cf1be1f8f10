"""A short document as blocks, written as Markdown and as a page: headings, sentences, pairs of name and value, tables.

Every text may be from elsewhere (a domain, a licence), so both forms escape all of it: in Markdown no link, image, tag or table
can come of it, in HTML no tag. The page loads nothing and runs nothing.
"""

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass

from llm_assets.core.oneline import one_line

POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
STYLE = """
:root{color-scheme:light dark;--ink:#1b1b1b;--paper:#fdfdfc;--line:#c9c9c4;--soft:#f0f0ec;--dim:#55554f}
@media (prefers-color-scheme:dark){:root{--ink:#e8e6e1;--paper:#171817;--line:#454743;--soft:#232522;--dim:#b3b1ab}}
body{margin:2rem auto;max-width:60rem;padding:0 1rem;color:var(--ink);background:var(--paper)}
body{font:16px/1.55 system-ui,sans-serif}
h1,h2,h3{line-height:1.25}h2{margin-top:2.2rem;border-bottom:1px solid var(--line);padding-bottom:.3rem}h3{margin-top:1.6rem}
.wide{overflow-x:auto}table{border-collapse:collapse;font-variant-numeric:tabular-nums}
th,td{text-align:left;padding:.3rem 1.2rem .3rem 0;border-bottom:1px solid var(--line);vertical-align:top}
td.n,th.n{text-align:right}dl{display:grid;grid-template-columns:minmax(10rem,16rem) 1fr;gap:.35rem 1.2rem;margin:0}
dt{color:var(--dim)}dd{margin:0;overflow-wrap:anywhere}p{max-width:46rem}
@media (max-width:40rem){dl{grid-template-columns:1fr}dd{margin-bottom:.5rem}}
"""
# what may begin emphasis, code, a link, a tag, an entity, a cell or an address that is linked unasked ("_" in a word does not)
_SIGNS = re.compile(r"[\\`*\[\]<>|~&#@]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])|:(?=//)|(?<=www)\.", re.IGNORECASE)
_AT_START = re.compile(r"^([-+=]|\d+(?=[.)]))")  # lists and underlines


@dataclass(frozen=True)
class Heading:
    """``level`` 1 to 3."""

    level: int
    text: str


@dataclass(frozen=True)
class Text:
    """A sentence or a few."""

    text: str


@dataclass(frozen=True)
class Pairs:
    """Names and values."""

    rows: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Table:
    """Cells as text; columns named in ``numbers`` are set to the right."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    numbers: frozenset[str] = frozenset()


Block = Heading | Text | Pairs | Table


def plain(text: str) -> str:
    """Text in which Markdown finds nothing to do: every sign that could begin something is escaped."""
    return _SIGNS.sub(lambda found: f"\\{found[0]}", one_line(text))


def _first(text: str) -> str:
    """The same at the start of a line, where a dash or a number could begin a list."""
    return _AT_START.sub(lambda found: f"&#{ord(found[0][0])};{found[0][1:]}", plain(text))


def markdown(blocks: Sequence[Block]) -> str:
    """The document as GitHub's Markdown."""
    return "\n\n".join(_markdown(block) for block in blocks) + "\n"


def _markdown(block: Block) -> str:
    if isinstance(block, Heading):
        return f"{'#' * block.level} {plain(block.text)}"
    if isinstance(block, Text):
        return _first(block.text)
    if isinstance(block, Pairs):
        return "\n".join(f"- {_first(name)}: {plain(value)}" for name, value in block.rows)
    head = [f"| {' | '.join(map(plain, block.columns))} |"]
    head.append(f"|{'|'.join(' ---: ' if column in block.numbers else ' --- ' for column in block.columns)}|")
    return "\n".join(head + [f"| {' | '.join(map(plain, row))} |" for row in block.rows])


def page(title: str, blocks: Sequence[Block]) -> str:
    """The document as one HTML page."""
    body = "\n".join(map(_html, blocks))
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<title>{html.escape(title)}</title>\n'
        f"<style>{STYLE}</style>\n</head>\n<body>\n<main>\n{body}\n</main>\n</body>\n</html>\n"
    )


def _html(block: Block) -> str:
    if isinstance(block, Heading):
        return f"<h{block.level}>{_cell(block.text)}</h{block.level}>"
    if isinstance(block, Text):
        return f"<p>{_cell(block.text)}</p>"
    if isinstance(block, Pairs):
        return f"<dl>{''.join(f'<dt>{_cell(name)}</dt><dd>{_cell(value)}</dd>' for name, value in block.rows)}</dl>"
    classes = [' class="n"' if column in block.numbers else "" for column in block.columns]
    head = "".join(f'<th scope="col"{kind}>{_cell(column)}</th>' for column, kind in zip(block.columns, classes, strict=True))
    rows = "".join(
        f"<tr>{''.join(f'<td{kind}>{_cell(cell)}</td>' for cell, kind in zip(row, classes, strict=True))}</tr>"
        for row in block.rows
    )
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'


def _cell(text: str) -> str:
    return html.escape(one_line(text))
