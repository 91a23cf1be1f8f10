"""What an element's names say of it: class, id, role and the like, in the words that themes and generators share.

Names are cut into words ("post-footer_line", "sidebarLeft"), and a word is looked up whole, so that "headline" is no "head". A
hint alone never decides: ``llm_assets.stages.extract.choice`` keeps an element that holds most of a page's text whatever its
name is. The words are the customs of widespread software (blog engines, forums, wikis, shops, documentation generators), not of
single sites.
"""

import re
from enum import IntEnum
from functools import lru_cache


def word_set(words: str) -> frozenset[str]:
    """The words of a text."""
    return frozenset(words.split())


class Hint(IntEnum):
    """What an element is by its names. The order is no rank."""

    NONE = 0
    FURNITURE = 1  # menus, boxes, bylines, footers
    REMARKS = 2  # comments and reviews: text of others, about the text
    HEADER = 3  # a header: its headings and its long paragraphs may be text
    MUTE = 4  # menus, controls, drawings: nothing in it is text
    TEXT = 5  # said to be the text
    NOTICE = 6  # footers, cookies, newsletters: furniture even where a page has little else


_WORDS = word_set("""
    nav navbar navi navigation navbox menu menus menubar breadcrumb breadcrumbs crumb crumbs gnb lnb snb fnb
    foot sidebar sidenav sidemenu rightcol leftcol rightcolumn leftcolumn
    subscribe subscription subscriptions signup share shares sharing social
    socials related recommend recommended recommendation recommendations similar suggested suggestions upsell trending popular
    mostread promo promos promotion advert adverts advertisement advertising ad ads adsense adslot banner sponsor sponsored
    tags taglist taxonomy labels toc tableofcontents pager pagination paginator paging prevnext nextprev
    toolbar tools pagetools widget widgets login signin register search searchbox skip skiplink skiplinks modal popup overlay
    drawer cart basket minicart dialog announcement ticker weather
    byline meta metadata postmeta postinfo entrymeta dateline timestamp date datetime pubdate vote votes voting votecell score
    avatar avatars user userinfo username
    poster postauthor postdetails userdetails usercard postprofile signature reputation karma badge badges author authors
    authorbox bio biography stats statistics counter views rating ratings stars
    legal disclaimer disclaimers license licence feedback helpful satisfaction survey poll donate donation
    fundraising catlinks noprint editsection editlink edit headerlink jumplink backlink permalink
    price prices pricing shipping pickup stock availability quantity buy checkout tax wishlist
    cta btn btns button buttons actions controls controller player also logo branding brand powered credits
    """)
_NOTICES = word_set("footer cookie cookies consent gdpr newsletter newsletters copyright imprint sitenotice")
_ENDINGS = ("nav", "menu", "sidebar", "breadcrumb", "breadcrumbs", "toolbar", "topbar", "pager", "widget", "author")
_REMARKS = word_set(
    "comment comments commentlist disqus respond responses reviews review testimonials testimonial reactions trackbacks"
)
_HEADERS = word_set("header masthead topbar pagehead")
_TEXT = word_set(
    "entrycontent postcontent articlecontent articlebody postbody storybody articletext markdownbody mwparseroutput"
)
_HIDDEN = word_set("srOnly sronly visuallyhidden visuallyHidden screenreadertext a11yhidden")
_KEPT_ASIDES = word_set("quote pullquote note notes tip warning admonition callout caution hint example footnote")

_ROLES = {
    **dict.fromkeys(
        word_set("banner complementary search menu menubar toolbar tablist form"),
        Hint.FURNITURE,
    ),
    **dict.fromkeys(("navigation", "button", "tooltip", "doc-backlink"), Hint.MUTE),
    **dict.fromkeys(("main", "article"), Hint.TEXT),
    **dict.fromkeys(("contentinfo", "dialog", "alertdialog"), Hint.NOTICE),
}
# Cells and items are not judged by their names: tables and lists stand or go as wholes.
_UNNAMED = word_set("tr tbody thead tfoot li body html dt dd")
_TAGS = {
    **dict.fromkeys(
        word_set(
            "nav svg template object video audio canvas button select textarea datalist map dialog annotation annotation-xml "
            "rp rt head title progress meter legend optgroup option frameset menu"
        ),
        Hint.MUTE,
    ),
    **dict.fromkeys(("form", "address"), Hint.FURNITURE),
    "footer": Hint.NOTICE,
    "header": Hint.HEADER,
    "main": Hint.TEXT,
}
_ATTRIBUTE = re.compile(r'([a-z-]+)="([^"]*)"')
_WORD = re.compile(r"[A-Z]?[a-z0-9]+|[A-Z]+(?![a-z])|[^\W_a-zA-Z0-9]+")
_UNSEEN = re.compile(r"display:\s*none|visibility:\s*hidden")
# Text that a tab or an accordion hides at first is text.
_FOLDED = re.compile(
    r"\b(?:tab|tabs|panel|pane|accordion|collapse|collapsible|toggle|answer|faq|details|spoiler)", re.IGNORECASE
)


def hint(tag: str, attributes: str) -> Hint:
    """What an element of this tag is, by its attributes as they stand in the serialised start tag."""
    if tag in _UNNAMED:
        return Hint.NONE
    by_tag = _TAGS.get(tag, Hint.NONE)
    if not attributes or by_tag is Hint.MUTE:
        return Hint.FURNITURE if tag == "aside" else by_tag
    said = dict(_ATTRIBUTE.findall(attributes))
    names = f"{said.get('class', '')} {said.get('id', '')}".split()
    if said.get("itemprop") == "articleBody":
        return Hint.TEXT
    found = {_of_name(name) for name in names}
    if Hint.NOTICE not in found and said.get("role", "") in _ROLES:
        return _ROLES[said["role"]]
    if said.get("aria-hidden") == "true" or (_UNSEEN.search(said.get("style", "")) and not _FOLDED.search(attributes)):
        return Hint.MUTE
    if tag == "aside":
        return Hint.NONE if any(word in _KEPT_ASIDES for name in names for word in _words(name)) else Hint.FURNITURE
    for kind in (Hint.MUTE, Hint.NOTICE, Hint.REMARKS, Hint.FURNITURE, Hint.HEADER, Hint.TEXT):
        if kind in found:
            return kind
    return by_tag


@lru_cache(maxsize=4_096)
def _of_name(name: str) -> Hint:
    words = _words(name)
    joined = "".join(words)
    if joined in _HIDDEN:
        return Hint.MUTE
    if joined in _TEXT:
        return Hint.TEXT
    if any(word in _NOTICES or word.endswith("footer") for word in words):
        return Hint.NOTICE
    if any(word in _REMARKS for word in words):
        return Hint.REMARKS
    if any(word in _WORDS or word.endswith(_ENDINGS) for word in words) or joined in _WORDS or words[-1:] == ["side"]:
        return Hint.FURNITURE
    return Hint.HEADER if any(word in _HEADERS for word in words) else Hint.NONE


def _words(name: str) -> list[str]:
    return [word.lower() for word in _WORD.findall(name)]
