"""Which blocks are chosen: what the rules are about, and the compiled steps against the same in plain Python."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from resiliparse.parse.html import HTMLTree

from llm_assets.stages.extract import reader_state as R
from llm_assets.stages.extract import tags as T
from llm_assets.stages.extract.choice import THRESHOLDS, chosen_places
from llm_assets.stages.extract.html import parse_html
from llm_assets.stages.extract.reader import read_layout
from llm_assets.stages.extract.scan import Scan

CONSENT = (
    '<div class="bar cookie-banner"><p>We use cookies to improve your visit. By going on you agree to their use.</p></div>'
)


@pytest.mark.parametrize("text", ["A short entry of a few words.", ""])
def test_a_consent_banner_is_no_text_however_little_else_there_is(text):
    page = f"<body><main><h1>Entry</h1><p>{text}</p></main>{CONSENT}</body>"
    assert parse_html(page, "http://a.example/").text == text


def test_a_page_whose_class_speaks_of_cookies_keeps_its_text():
    page = f'<body class="cookies-accepted"><h1>Entry</h1><p>{"This is the text of the page. " * 5}</p></body>'
    assert "text of the page" in parse_html(page, "http://a.example/").text


@pytest.mark.parametrize(
    "line",
    [
        '<hr><font size=-1>Copied without any changes. <a href="/">Index</a></font>',
        '<p>Related articles: <a href="/u">Uruk</a></p>',
        '<p>Artículos relacionados: <a href="/u">Uruk</a></p>',
    ],
)
def test_short_lines_that_lead_away_are_no_text(line):
    text = "The first sentence of the page says what it is about, and the second says more of it. " * 3
    assert parse_html(f"<body><h1>Entry</h1><p>{text}{line}</body>", "http://a.example/").text == text.strip()


LONG = "A long sentence that says something of the matter in many plain words, and then goes on to say more of it, at length. "
SAID = ["", "a", "Short words.", "one two three four five six seven eight nine ten eleven", LONG, LONG * 3]
NAMES = ["", ' class="post"', ' class="post odd"', ' class="comments"', ' class="sidebar"', ' class="footer"', ' role="main"']


def page(rng):
    """A page of boxes in boxes, furniture by name or by links, posts of one make, tables, headers and stray lines."""
    parts, open_tags = [], []
    for _ in range(rng.randint(1, 80)):
        kind = rng.random()
        if kind < 0.35:
            tag = rng.choice(
                [
                    "div",
                    "div",
                    "div",
                    "section",
                    "article",
                    "main",
                    "header",
                    "aside",
                    "ul",
                    "li",
                    "form",
                    "td",
                    "nav",
                    "blockquote",
                ]
            )
            open_tags.append(tag)
            parts.append(f"<{tag}{rng.choice(NAMES)}>")
        elif kind < 0.55 and open_tags:
            parts.append(f"</{open_tags.pop()}>")
        elif kind < 0.65:
            parts.append(f'<a href="/x">{rng.choice(SAID)}</a>')
        elif kind < 0.7:
            parts.append("<table><tr><td>a<td>b<tr><td>c<td>d</table>")
        else:
            tag = rng.choice(["p", "h2", "span", "pre"])
            parts.append(f"<{tag}>{rng.choice(SAID)}</{tag}>")
    return "".join(parts)


class Plain:
    """The first two steps and the lines of links, in plain Python, block by block."""

    def __init__(self, layout):
        now, limits = layout.state.now, THRESHOLDS
        self.blocks = layout.state.blocks[: layout.size].tolist()
        self.regions = layout.state.regions[: now[R.N_REGIONS]].tolist()
        self.boxes = layout.state.containers[: now[R.N_CONTAINERS]].tolist()
        self.classes = lambda box: layout.given.key_facts[box[R.R_KEY]] >> R.CLASS_SHIFT if box[R.R_KEY] >= 0 else 0
        total = sum(block[R.B_WEIGHT] for block in self.blocks)
        chosen = self.core(self.kept(total, False))
        if total and sum(self.blocks[place][R.B_WEIGHT] for place in chosen) < max(R.WEIGHTS, limits.min_share * total):
            chosen = self.kept(total, True)
        self.chosen = [place for place in sorted(chosen) if not self.navigation(self.blocks[place])]

    def prose(self, block):
        plain = block[R.B_KIND] in (R.PARAGRAPH, R.BARE, R.PREFORMATTED)
        return plain and block[R.B_WEIGHT] >= THRESHOLDS.long_prose_weight and block[R.B_SENTENCE]

    def kept(self, total, lenient):
        keep, left, limits = set(range(len(self.blocks))), total, THRESHOLDS
        for row in sorted(self.regions, key=lambda row: (row[R.R_KIND] == R.HINT_REMARKS, row[R.R_START] - row[R.R_END])):
            kind, links = row[R.R_KIND], row[R.R_LINKS]
            if lenient and not links and kind != R.HINT_NOTICE and row[R.R_TAG] not in (T.NAV, T.ASIDE):
                continue
            places = keep & set(range(row[R.R_START], row[R.R_END]))
            if kind == R.HINT_HEADER and not links:
                blocks = self.blocks
                places = {at for at in places if blocks[at][R.B_KIND] != R.HEADING and not self.prose(blocks[at])}
            held = sum(self.blocks[at][R.B_WEIGHT] for at in places)
            if kind == R.HINT_REMARKS:
                goes = left - held >= max(limits.remarks_left_weight, limits.remarks_left_share * total)
            else:
                goes = held <= limits.furniture_share * total or (kind == R.HINT_NOTICE and held < limits.notice_weight)
            if links or goes:
                keep -= places
                left -= held
        return keep

    def core(self, keep):
        def held(box):
            return sum(self.blocks[at][R.B_WEIGHT] for at in range(box[R.R_START], box[R.R_END]) if at in keep)

        def smallest(boxes, otherwise):
            return min(boxes, key=lambda box: box[R.R_END] - box[R.R_START], default=otherwise)

        limits, whole = THRESHOLDS, [0, len(self.blocks), T.BODY, R.HINT_NONE, 0, -1]
        named = [box for box in self.boxes if box[R.R_TAG] in (T.MAIN, T.ARTICLE) or box[R.R_KIND] == R.HINT_TEXT]
        main = smallest([box for box in named if held(box) >= limits.main_share * held(whole)], whole)
        inside = [box for box in self.boxes if main[0] <= box[0] and box[1] <= main[1]]
        core = smallest([box for box in inside if held(box) >= limits.core_share * held(main)], main)
        alike = [box for box in inside if box[R.R_TAG] == core[R.R_TAG] and self.classes(box) == self.classes(core) != 0]
        twins = [box for box in alike if held(box) >= limits.twin_weight]
        if len(twins) > 1:
            first, last = min(box[0] for box in twins), max(box[1] for box in twins)
            core = smallest([box for box in inside if box[0] <= first and last <= box[1]], main)
        outer = smallest([box for box in inside if box[0] <= core[0] and core[1] <= box[1] and box != core], core)
        return {
            at
            for at in keep
            if main[0] <= at < main[1]
            and (
                core[0] <= at < core[1]
                or self.prose(self.blocks[at])
                or (self.blocks[at][R.B_KIND] == R.TABLE and outer[0] <= at < outer[1])
            )
        }

    def navigation(self, block):
        kind, words = block[R.B_KIND], block[R.B_BLANKS] + 1
        share = min(1.0, block[R.B_LINKED] / (block[R.B_END] - block[R.B_START]))
        if block[R.B_MARKER] or kind not in (R.BARE, R.PARAGRAPH):
            return False
        if kind == R.BARE and block[R.B_LINKED] and words <= THRESHOLDS.bare_words and not block[R.B_SENTENCE]:
            return share > THRESHOLDS.bare_link_share
        return share >= THRESHOLDS.text_link_share and words <= THRESHOLDS.text_words


@given(st.integers(0, 10**9))
@settings(max_examples=200, deadline=None)
def test_the_compiled_steps_choose_what_plain_python_does(seed):
    layout = read_layout(Scan.of(HTMLTree.parse(page(random.Random(seed))).document.html), menus=seed % 5 == 0)
    assert chosen_places(layout).tolist() == Plain(layout).chosen


def test_the_pages_of_that_property_differ():
    """Some keep all, some lose furniture, some are left to the lenient rules."""
    shares = []
    for seed in range(60):
        layout = read_layout(Scan.of(HTMLTree.parse(page(random.Random(seed))).document.html))
        if layout.size:
            shares.append(chosen_places(layout).size / layout.size)
    assert shares.count(1.0) > 3 and sum(0 < share < 0.8 for share in shares) > 10
