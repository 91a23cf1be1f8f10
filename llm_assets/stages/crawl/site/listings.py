"""What points to pages: robots.txt, TDMRep, sitemaps, navigation, and the list of oddities."""

from html import escape

from llm_assets.core.embedded import Article
from llm_assets.stages.crawl.site.plan import MIRROR, PRESS, WIKI, Plan
from llm_assets.stages.crawl.site.reply import Reply, error
from llm_assets.stages.crawl.site.templates import Link
from llm_assets.stages.crawl.site.traps import ADDRESSES
from llm_assets.stages.crawl.site.words import furniture

SITEMAP_URLS = 5_000  # a sitemap may hold 50,000 (sitemaps.org); fewer make an index worth reading

ROBOTS = {
    WIKI: f"""# The Open Reader
User-agent: *
Disallow: /private/
Allow: /private/press-kit
Disallow: /*/search?

User-agent: GPTBot
User-agent: CCBot
User-agent: Google-Extended
User-agent: ClaudeBot
Disallow: /members/

Sitemap: http://{WIKI}/sitemap.xml
""",
    MIRROR: "User-agent: *\nAllow: /\nDisallow: /cgi-bin/\n",
    PRESS: "User-agent: *\nDisallow: /ads/\nDisallow: /*.pdf$\n",
}
# ai.txt (Spawning's proposal, 2023): kinds of files and folders that are not for the training of models.
AI_TXT = "User-Agent: *\nAllow: /\nDisallow: /reserved/ai-txt/\nDisallow: *.h\n"
# TDM Reservation Protocol (W3C community group report, 2024): reservations by path, for a whole origin.
TDMREP = (
    '[{"location": "/reserved/tdm-site/*", "tdm-reservation": 1}, {"location": "/reserved/tdm-lifted/", "tdm-reservation": 1}]'
)


def sitemap(plan: Plan, name: str) -> Reply:
    """``sitemap.xml`` is an index; ``sitemap-<lang>-<n>.xml`` holds the articles' addresses."""
    number = name.removesuffix(".xml").split("-")
    if name == "sitemap.xml":
        first = [f"<sitemap><loc>http://{WIKI}/sitemap-traps.xml</loc></sitemap>"] if plan.config.hostile else []
        parts = first + [
            f"<sitemap><loc>http://{WIKI}/sitemap-{lang}-{n}.xml</loc></sitemap>"
            for lang, shown in plan.by_lang.items()
            for n in range(1, (len(shown) - 1) // SITEMAP_URLS + 2)
        ]
        kind = "sitemapindex"
    elif name == "sitemap-traps.xml" and plan.config.hostile:  # first, so that what is slow goes on beside all the rest
        parts = [f"<url><loc>{escape(f'http://{WIKI}{address}')}</loc></url>" for address in ADDRESSES]
        kind = "urlset"
    elif len(number) == 3 and number[1] in plan.by_lang and number[2].isdigit():
        start = (int(number[2]) - 1) * SITEMAP_URLS
        shown = plan.by_lang[number[1]][max(0, start) : start + SITEMAP_URLS]
        parts = [f"<url><loc>{escape(f'http://{WIKI}/{a.lang}/wiki/{a.slug}')}</loc></url>" for a in shown]
        kind = "urlset"
    else:
        return error(404)
    inside = "\n".join(parts)
    xml = f'<?xml version="1.0" encoding="UTF-8"?>\n<{kind} xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">\n{inside}\n</{kind}>\n'
    return Reply(body=xml.encode(), content_type="application/xml")


def navigation(plan: Plan, lang: str) -> list[Link]:
    """The topics of a language."""
    return plan.navigation.get(lang, [])


def roots(plan: Plan) -> list[Link]:
    """The front page: a root for each language, and the neighbours."""
    found = [(f"/{lang}/", furniture(lang)["site"]) for lang in plan.by_lang]
    return [
        *found,
        (f"http://{MIRROR}/", "Mirror"),
        (f"http://{PRESS}/", "Press Wire"),
        ("http://elsewhere.example/", "Elsewhere"),
    ]


def oddities(plan: Plan, reserved: list[Article]) -> list[Link]:
    """Redirects, errors, forbidden and reserved pages, traps."""
    lang = plan.articles[0].lang
    old = [(f"/old/{a.slug}", f"Old address of {a.title}") for a in plan.by_lang[lang][:20]]
    members = [(f"/members/{a.slug}", f"For members: {a.title}") for a in reserved]
    rest = ["/error/404", "/error/500", "/error/403", "/busy", "/private/minutes", "/private/press-kit", f"/{lang}/search?q=a"]
    traps = list(ADDRESSES) if plan.config.hostile else []
    return [*old, *members, *((address, address) for address in [*rest, *traps])]
