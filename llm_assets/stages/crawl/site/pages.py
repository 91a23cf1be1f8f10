"""Every address of the site and what answers there.

``Site.answer`` is a pure function of snapshot, host, target and request headers, but for one page that is busy the first
time it is asked for.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from html import escape
from urllib.parse import urlsplit

from llm_assets.core import embedded
from llm_assets.core.embedded import Article
from llm_assets.core.errors import InputError
from llm_assets.stages.crawl.site import listings
from llm_assets.stages.crawl.site.images import image
from llm_assets.stages.crawl.site.plan import FIRST, MIRROR, PRESS, WIKI, Plan, draw
from llm_assets.stages.crawl.site.reply import ENCODERS, Reply, encoded, error, redirect, revalidated, tagged
from llm_assets.stages.crawl.site.templates import Link, Page, broken, encyclopaedia, magazine, mirror
from llm_assets.stages.crawl.site.traps import trap
from llm_assets.stages.crawl.site.words import SPAM, furniture

_DAYS = {1: datetime(2026, 11, 1, 6, tzinfo=UTC), 2: datetime(2026, 12, 1, 6, tzinfo=UTC)}
RESERVED = ("noai-meta", "noai-header", "noai-agent", "tdm-header", "tdm-meta", "tdm-site", "ai-txt")
LIFTED = "tdm-lifted"  # the site reserves it, the page's header takes that back


class Site:
    """One snapshot of the three hosts."""

    def __init__(self, plan: Plan) -> None:
        if not plan.articles:
            asked = ", ".join(plan.config.articles)
            raise InputError(f"raw_crawl.site.articles asks for {asked}, but there are no such articles on this machine")
        self.plan = plan
        self.articles = {(a.lang, a.slug): a for a in plan.articles}
        self.mirrored = {(a.lang, a.slug): a for a in plan.chosen("mirror", plan.config.mirror_share)}
        self.copied = {(a.lang, a.slug): a for a in plan.chosen("near copy", plan.config.near_copy_share)}
        ranked = sorted(plan.articles, key=lambda a: plan.draw("reserved", a))
        self.reserved = {a.slug: a for a in ranked if a.lang == plan.articles[0].lang}
        self.reserved = dict(list(self.reserved.items())[: plan.config.optout_pages])
        self._served: dict[str, Callable[[str, str], Reply]] = {WIKI: self._wiki, MIRROR: self._mirror, PRESS: self._press}
        self._was_busy: set[str] = set()
        self.license = embedded.license_url()

    def answer(self, host: str, target: str, asked: Mapping[str, str]) -> Reply:
        """What a visitor gets. ``target``: path and query; ``asked``: request headers, names in lower case."""
        parts = urlsplit(target)
        reply = self._served.get(host, self._wiki)(parts.path, parts.query)
        if reply.status == 200 and "Content-Encoding" not in reply.headers:
            reply = revalidated(reply, asked)
        return self._sent(reply, target, asked)

    def _sent(self, reply: Reply, target: str, asked: Mapping[str, str]) -> Reply:
        plan = self.plan
        if reply.status != 200 or "Content-Encoding" in reply.headers or not reply.content_type.startswith("text/html"):
            return reply
        if draw(plan.config.key, "encoded", target) >= plan.config.encoded_share:
            return reply
        names = [name for name in ENCODERS if name in asked.get("accept-encoding", "")]
        return encoded(reply, names[int(draw(plan.config.key, "encoding", target) * len(names))]) if names else reply

    # wiki.example

    def _wiki(self, path: str, query: str) -> Reply:
        match path.strip("/").split("/"):
            case [""]:
                return self._listing("en", furniture("en")["site"], listings.roots(self.plan))
            case ["robots.txt"]:
                return Reply(body=listings.ROBOTS[WIKI].encode(), content_type="text/plain; charset=utf-8")
            case [name] if name.startswith("sitemap"):
                return listings.sitemap(self.plan, name)
            case [lang, "wiki", slug]:
                return self._article(lang, slug)
            case [lang, "topic", topic, *rest]:
                return self._topic(lang, topic, rest)
            case ["media", name]:
                return self._image(name)
            case ["members", slug] if slug in self.reserved:
                return self._magazine(self.reserved[slug])
            case ["private", "press-kit"]:
                return self._plain("en", "Press kit", "Logos and a short history of the Open Reader, for the press.")
            case ["private", _]:
                return self._plain("en", "Internal", "robots.txt forbids this page to all; whoever reads it did not ask.")
            case ["old", slug]:
                return redirect(f"/{self.plan.articles[0].lang}/wiki/{slug}", 301)
            case ["error", code] if code in ("404", "500", "403"):
                return error(int(code))
            case ["busy"]:
                return self._busy()
            case ["trap", name] if self.plan.config.hostile:
                return trap(name, query)
            case [lang, *rest] if lang in self.plan.by_lang:
                return self._of_language(lang, "/".join(rest))
        return error(404)

    def _article(self, lang: str, slug: str) -> Reply:
        article = self.articles.get((lang, slug))
        if article is None:
            return error(404)
        plan, w = self.plan, furniture(lang)
        topic = embedded.slugify(article.topic)
        moved = plan.snapshot != FIRST and plan.is_changed(article)
        day = _DAYS[2 if moved else 1] + timedelta(minutes=int(plan.draw("minute", article) * 1000))
        page = Page(
            lang=lang,
            title=article.title,
            text=plan.text(article),
            description=article.description,
            section=article.topic,
            canonical=f"http://{WIKI}/{lang}/wiki/{slug}",
            license=self.license,
            updated=day.date().isoformat(),
            figure=self._figure(article),
            crumbs=[(f"/{lang}/", w["home"]), (f"/{lang}/topic/{topic}/", article.topic)],
            nav=listings.navigation(plan, lang),
            related=[(f"/{lang}/wiki/{a.slug}", a.title) for a in plan.related[lang, slug]],
        )
        html = encyclopaedia(page)
        if plan.draw("broken", article) < plan.config.broken_share:
            html = broken(html, int(plan.draw("how broken", article) * 3))
        return tagged(Reply(body=html.encode()), format_datetime(day, usegmt=True))

    def _figure(self, article: Article) -> str:
        if self.plan.draw("image", article) >= self.plan.config.image_share:
            return ""
        caption = escape(article.title)
        return (
            f'<figure><img src="/media/{article.lang}-{article.slug}.img" alt="{caption}" width="320">'
            f"<figcaption>{caption}</figcaption></figure>\n"
        )

    def _image(self, name: str) -> Reply:
        data, kind = image(self.plan.config.key, name)
        return tagged(Reply(body=data, content_type=kind))

    def _topic(self, lang: str, topic: str, rest: list[str]) -> Reply:
        shown = self.plan.topics.get((lang, topic), [])
        size = self.plan.config.index_size
        number = int(rest[0]) if rest and rest[0].isdigit() else 1
        part = shown[(number - 1) * size : number * size]
        if not part:
            return error(404)
        w = furniture(lang)
        pages = [(f"/{lang}/topic/{topic}/{n}", f"{w['page']} {n}") for n in range(2, (len(shown) - 1) // size + 2)]
        listed = [(f"/{lang}/wiki/{a.slug}", a.title) for a in part] + (pages if number == 1 else [])
        return self._listing(lang, f"{w['all']} {shown[0].topic}", listed)

    def _of_language(self, lang: str, rest: str) -> Reply:
        w = furniture(lang)
        if rest == "":
            return self._listing(lang, w["site"], listings.navigation(self.plan, lang))
        if rest == "about":
            return self._listing(lang, w["about"], listings.oddities(self.plan, list(self.reserved.values())))
        if rest in ("login", "search", "privacy", "contact"):
            return self._plain(lang, w[rest], w["cookies"] if rest == "privacy" else "")
        return error(404)

    def _listing(self, lang: str, title: str, listed: list[Link]) -> Reply:
        page = Page(lang, title, "", nav=listings.navigation(self.plan, lang), list_=listed)
        return tagged(Reply(body=encyclopaedia(page).encode()))

    def _plain(self, lang: str, title: str, text: str) -> Reply:
        return (
            self._listing(lang, title, [])
            if not text
            else tagged(Reply(body=encyclopaedia(Page(lang, title, text, nav=listings.navigation(self.plan, lang))).encode()))
        )

    def _busy(self) -> Reply:
        if "busy" not in self._was_busy:
            self._was_busy.add("busy")
            return replace(error(503), headers={"Retry-After": "0"})
        return self._plain("en", "A busy page", "This page answers when it is asked a second time.")

    # mirror.example

    def _mirror(self, path: str, query: str) -> Reply:
        if path == "/robots.txt":  # with a byte order mark, as some editors save it
            return Reply(body=b"\xef\xbb\xbf" + listings.ROBOTS[MIRROR].encode(), content_type="text/plain")
        if path == "/":
            listed = [(f"/{lang}/{slug}.html", a.title) for (lang, slug), a in self.mirrored.items()]
            page = Page("en", "Index of the mirror", "", nav=[*listed, ("/cgi-bin/count?page=1", "Counter")])
            return tagged(Reply(body=mirror(page), content_type="text/html"))
        lang, _, name = path.strip("/").partition("/")
        article = self.mirrored.get((lang, name.removesuffix(".html")))
        if article is None:
            return error(404)
        page = Page(
            lang, article.title, self.plan.text(article), article.description, article.topic,
            canonical=f"http://{WIKI}/{lang}/wiki/{article.slug}", license=self.license,
            nav=[("/", "Index"), ("/cgi-bin/count?page=2", "Counter")],
        )  # fmt: skip
        return tagged(Reply(body=mirror(page), content_type="text/html"))

    # press.example

    def _press(self, path: str, query: str) -> Reply:
        match path.strip("/").split("/"):
            case ["robots.txt"]:
                return Reply(body=listings.ROBOTS[PRESS].encode(), content_type="text/plain")
            case [".well-known", "tdmrep.json"]:
                return Reply(body=listings.TDMREP.encode(), content_type="application/json")
            case ["ai.txt"]:
                return Reply(body=listings.AI_TXT.encode(), content_type="text/plain")
            case [""]:
                reserved = [
                    (f"/reserved/{kind}/{slug}", a.title) for kind in (*RESERVED, LIFTED) for slug, a in self.reserved.items()
                ]
                copied = [(f"/news/{a.lang}-{a.slug}", a.title) for a in self.copied.values()]
                spam = [(f"/deals/{n}", f"Deal {n}") for n in range(self.plan.config.spam_pages)]
                return tagged(Reply(body=magazine(Page("en", "Press Wire", "", nav=[*copied, *spam, *reserved])).encode()))
            case ["news", name] if tuple(name.split("-", 1)) in self.copied:
                lang, slug = name.split("-", 1)
                return self._magazine(self.copied[lang, slug])
            case ["reserved", kind, slug] if kind in (*RESERVED, LIFTED) and slug in self.reserved:
                return self._reserved(kind, self.reserved[slug])
            case ["deals", number] if number.isdigit():
                return self._spam(number)
        return error(404)

    def _magazine(self, article: Article, head: str = "") -> Reply:
        related = [
            (f"http://{WIKI}/{article.lang}/wiki/{a.slug}", a.title) for a in self.plan.related[article.lang, article.slug]
        ]
        page = Page(
            article.lang, article.title, self.plan.near_copy(article), article.description, article.topic,
            license=self.license, updated="2026-10-30", head=head, related=related,
            nav=[("/", "Press Wire"), ("/ads/today", "Advertise"), ("/files/media-kit.pdf", "Media kit")],
        )  # fmt: skip
        return tagged(Reply(body=magazine(page).encode()))

    def _reserved(self, kind: str, article: Article) -> Reply:
        metas = {
            "noai-meta": '\n<meta name="robots" content="noai, noimageai">',
            "tdm-meta": '\n<meta name="tdm-reservation" content="1">',
        }
        headers = {
            "noai-header": {"X-Robots-Tag": "noai"},
            "noai-agent": {"X-Robots-Tag": "otherbot: noindex, gptbot: noimageai"},
            "tdm-header": {"TDM-Reservation": "1"},
            LIFTED: {"TDM-Reservation": "0"},
        }
        reply = self._magazine(article, metas.get(kind, ""))
        return replace(reply, headers={**reply.headers, **headers.get(kind, {})})

    def _spam(self, number: str) -> Reply:
        key = self.plan.config.key
        words = [SPAM[int(draw(key, "spam", number, str(i)) * len(SPAM))] for i in range(220)]
        return tagged(Reply(body=magazine(Page("en", f"Deal {number}", " ".join(words), nav=[("/", "Press Wire")])).encode()))
