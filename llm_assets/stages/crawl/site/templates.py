"""Three ways to write a page: an encyclopaedia of today, a magazine, and a mirror in the HTML of 1999.

Each wraps the article in the furniture that real pages have; only ``title``, ``lead`` and the paragraphs are content.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

from llm_assets.stages.crawl.site.words import furniture

Link = tuple[str, str]  # (href, text)


@dataclass(frozen=True)
class Page:
    """What a template is given. ``head`` is extra HTML for the head, ``figure`` for the top of the article."""

    lang: str
    title: str
    text: str
    description: str = ""
    section: str = ""
    canonical: str = ""
    license: str = ""
    updated: str = ""
    head: str = ""
    figure: str = ""
    crumbs: Sequence[Link] = ()
    nav: Sequence[Link] = ()
    related: Sequence[Link] = ()
    list_: Sequence[Link] = ()


def links(pairs: Iterable[Link], before: str = "<li>", after: str = "</li>") -> str:
    """Anchors, each between ``before`` and ``after``."""
    return "\n".join(f'{before}<a href="{escape(href)}">{escape(text)}</a>{after}' for href, text in pairs)


def paragraphs(text: str, title: str = "") -> str:
    """One ``<p>`` a line; the first mention of the title is bold, as encyclopaedias do it."""
    found: list[str] = []
    for line in text.split("\n"):
        if line.strip():
            html = escape(line, quote=False)
            bold = escape(title, quote=False)
            if not found and title and bold in html:
                html = html.replace(bold, f"<b>{bold}</b>", 1)
            found.append(f"<p>{html}</p>")
    return "\n".join(found)


def head(page: Page, site: str) -> str:
    """Metadata: title, description, section, canonical address."""
    lines = ['<meta charset="utf-8">', f"<title>{escape(page.title)} - {escape(site)}</title>"]
    if page.description:
        lines.append(f'<meta name="description" content="{escape(page.description)}">')
    if page.section:
        lines.append(f'<meta property="article:section" content="{escape(page.section)}">')
    if page.canonical:
        lines.append(f'<link rel="canonical" href="{escape(page.canonical)}">')
        lines.append(f'<meta property="og:url" content="{escape(page.canonical)}">')
    lines.append(f'<meta property="og:title" content="{escape(page.title)}">')
    lines.append('<meta name="viewport" content="width=device-width, initial-scale=1">')
    return "\n".join(lines) + page.head


_SCRIPT = """<script>
window.dataLayer = window.dataLayer || []; function track(e) { dataLayer.push({event: e, at: "page"}); }
document.addEventListener("click", function (e) { if (e.target.href) { track("<a href='/en/never'>" + e.target.href); } });
</script>
<style>.bar{position:fixed;bottom:0}.side{float:right}@media(max-width:40em){.side{float:none}}</style>"""


def encyclopaedia(page: Page) -> str:
    """Today's HTML5: header, breadcrumbs, article, aside, footer, cookie bar."""
    w = furniture(page.lang)
    root = f"/{page.lang}"
    licence = f' <a rel="license" href="{escape(page.license)}">{escape(page.license)}</a>' if page.license else ""
    listing = f'<ul class="index">\n{links(page.list_)}\n</ul>' if page.list_ else ""
    related = (
        f'<aside class="related"><h2>{w["related"]}</h2>\n<ul>\n{links(page.related)}\n</ul></aside>' if page.related else ""
    )
    return f"""<!DOCTYPE html>
<html lang="{page.lang}">
<head>
{head(page, w["site"])}
{_SCRIPT}
</head>
<body>
<a class="skip" href="#content">{w["skip"]}</a>
<header class="site-header"><a class="logo" href="{root}/">{w["site"]}</a>
<nav class="main-nav"><ul>
{links(page.nav)}
<li><a href="{root}/about">{w["about"]}</a></li>
</ul></nav>
<form action="{root}/search" method="get"><input type="search" name="q" placeholder="{w["search"]}">
<button>{w["search"]}</button></form>
<a class="login" href="{root}/login?back=%2F">{w["login"]}</a>
</header>
<nav class="breadcrumbs" aria-label="breadcrumb"><ol>
{links(page.crumbs)}
</ol></nav>
<main id="content">
<article>
<h1>{escape(page.title)}</h1>
{page.figure}{paragraphs(page.text, page.title)}
{listing}
</article>
{related}
<div class="share"><button data-share="{escape(page.canonical)}">{w["share"]}</button></div>
</main>
<section class="newsletter"><h3>{w["newsletter"]}</h3><form><input type="email" placeholder="name@example.org"></form></section>
<footer>
<ul>
<li><a href="{root}/privacy?utm_source=footer">{w["privacy"]}</a></li>
<li><a href="{root}/contact">{w["contact"]}</a></li>
</ul>
<p class="rights">{w["rights"]}{licence}</p>
<p class="updated">{w["updated"]}: {page.updated}</p>
</footer>
<div class="bar cookie-banner" role="dialog"><p>{w["cookies"]}</p>
<button>{w["accept"]}</button> <button>{w["settings"]}</button></div>
</body>
</html>
"""


def magazine(page: Page) -> str:
    """Nested divs without semantic elements, teasers between the paragraphs, an advertisement."""
    w = furniture(page.lang)
    teaser = f'<div class="teaser"><span>{w["related"]}:</span> {links(page.related[:1], "", "")}</div>' if page.related else ""
    body = paragraphs(page.text)
    first, _, rest = body.partition("</p>\n")
    body = f"{first}</p>\n{teaser}\n{rest}" if rest else f"{body}\n{teaser}"
    licence = f'<a rel="license" href="{escape(page.license)}">{w["rights"]}</a>' if page.license else ""
    return f"""<!DOCTYPE html>
<html lang="{page.lang}"><head>
{head(page, "Press Wire")}
</head><body class="template-news">
<div id="page"><div class="top"><div class="menu">{links(page.nav, "<span>", "</span>")}</div></div>
<div class="banner-ad"><a href="/ads/click?id=7" rel="sponsored">Advertisement: the pen that never runs dry</a></div>
<div class="row"><div class="col-8"><div class="entry-header"><h1 class="entry-title">{escape(page.title)}</h1>
<div class="byline">Press Wire staff · {page.updated} · <a href="#comments">0 comments</a></div></div>
<div class="entry-content">
{page.figure}{body}
</div></div>
<div class="col-4 sidebar"><h4>{w["related"]}</h4><ul>{links(page.related)}</ul>
<h4>{w["newsletter"]}</h4><p>{w["cookies"]}</p></div></div>
<div id="comments"><h4>Comments</h4><p>Be the first to comment.</p></div>
<div class="foot">{licence} <a href="/imprint">{w["contact"]}</a></div>
</div></body></html>
"""


def mirror(page: Page) -> bytes:
    """Upper-case tags, tables for layout, no closing ``</P>``, and a Latin-1 charset that only a ``<META>`` tells."""
    paras = "\n".join(f"<P>{escape(line, quote=False)}" for line in page.text.split("\n") if line.strip())
    html = f"""<HTML LANG={page.lang}><HEAD><META HTTP-EQUIV="Content-Type" CONTENT="text/html; charset=iso-8859-1">
<TITLE>{escape(page.title)} [mirror]</TITLE>
<META NAME="description" CONTENT="{escape(page.description)}">
<META PROPERTY="article:section" CONTENT="{escape(page.section)}">
<LINK REL="canonical" HREF="{escape(page.canonical)}"><LINK REL="license" HREF="{escape(page.license)}"></HEAD>
<BODY BGCOLOR=#FFFFFF><TABLE WIDTH="100%" BORDER=0><TR><TD WIDTH=150 VALIGN=top>
{links(page.nav, "", "<BR>")}
</TD><TD VALIGN=top><H1>{escape(page.title)}</H1>
{paras}
<HR><FONT SIZE=-1>Mirrored without changes. <A HREF="/">Index</A></FONT>
</TD></TR></TABLE></BODY></HTML>
"""
    return html.encode("iso-8859-1", "xmlcharrefreplace")


def broken(html: str, kind: int) -> str:
    """What real pages get wrong: unclosed and stray tags, a second body, a page that ends in the middle of a tag."""
    if kind == 0:
        return html.replace("</p>", "").replace("</li>", "").replace("</ul>", "</div></div>")
    if kind == 1:
        return html.replace("<main", "<body><main").replace("</article>", "").replace("</head>", "")
    return html[: html.rindex("<footer")] + '<footer class="'
