"""The page of ``status``: every row and filter, nothing that loads or runs, crawled words escaped, contrast enough."""

import re
from html.parser import HTMLParser

import pytest

from llm_assets.core.freshness import Plan, Standing
from llm_assets.core.status_page import MEANINGS, SIGNS, page, summary

ROWS = [
    Standing("raw_crawl", "wiki", "fresh", identity="abc", seconds=9.8),
    Standing("raw_crawl", "late", "failed", ("the last run failed: InputError: <script>alert(1)</script>",)),
    Standing("cleaned_corpus", "wiki", "stale", ("code version 1 → 2", "x" * 999), "d", ready=True, seconds=1234.5),
    Standing("tokenizer", "all", "refused", ("round_trip: no",)),
    Standing("base_model", "all", "behind", ("tokenizer is not fresh",), seconds=100.0, gpu_hours=0.5),
    Standing("sft_model", "all", "missing"),
    Standing("reward_model", "all", "running"),
]


class Read(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags, self.open = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "input"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_every_row_and_every_state_that_occurs_has_its_filter():
    text = page(ROWS, "demo", "now")
    read = Read(text)
    assert read.open == []
    rows = [attrs["class"] for tag, attrs in read.tags if tag == "tr" and "class" in attrs]
    assert rows == [f"is-{one.state}" for one in ROWS]
    boxes = [attrs["id"] for tag, attrs in read.tags if tag == "input"]
    assert boxes == ["only-all", *(f"only-{state}" for state in SIGNS)]
    assert [attrs["for"] for tag, attrs in read.tags if tag == "label"] == boxes
    assert all(f"main:has(#only-{state}:checked) tbody tr:not(.is-{state})" in text for state in SIGNS)
    assert "only-stale" not in "".join(str(tag) for tag in Read(page(ROWS[:1], "demo", "now")).tags)
    assert set(SIGNS) == set(MEANINGS)


def test_it_loads_and_runs_nothing_and_escapes_what_it_is_given():
    text = page(ROWS, "<b>", "<i>")
    assert not {"script", "link", "img", "iframe"} & {tag for tag, _ in Read(text).tags}
    assert "&lt;script&gt;alert(1)" in text and "&lt;b&gt;" in text and "&lt;i&gt;" in text
    assert not re.search(r"(?:src|href)=|url\(|https?://", text)
    assert "x" * 301 not in text


def test_an_empty_store_has_a_page_too():
    text = page([], "demo", "now")
    assert "Nothing is known yet." in text and Read(text).open == []


def test_the_summary():
    assert summary(Plan((), ())) == "Everything is fresh; a run would make nothing."
    assert summary(Plan((ROWS[2], ROWS[5]), (ROWS[4],))) == (
        "A run would make 2 anew, and 1 more if an input comes out otherwise: 0 to 100 s and 0.00 to 0.50 GPU hours by the last "
        "run of each; 1 were never made."
    )


def _luminance(colour):
    digits = colour * 2 if len(colour) == 3 else colour
    values = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    linear = [v / 12.92 if v <= 0.03928 else ((v + 0.055) / 1.055) ** 2.4 for v in values]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", [0, 1])
def test_words_have_the_contrast_that_wcag_asks_for(scheme):
    """AA: 4.5 to 1 (WCAG 2.2, 1.4.3), in the light and the dark scheme."""
    found = re.findall(r":root\{([^}]*)\}", page(ROWS, "demo", "now"))[scheme]
    colours = dict(re.findall(r"--(\w+):#([0-9a-f]+)", found))
    paper = _luminance(colours["paper"])
    for name in ("ink", "fresh", "behind", "stale", "bad", "quiet", "running"):
        pair = sorted((_luminance(colours[name]), paper))
        assert (pair[1] + 0.05) / (pair[0] + 0.05) >= 4.5, name
