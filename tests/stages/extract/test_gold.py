"""The gold set holds: main text at least as good as measured (a margin of .01 below), and better than plain resiliparse's."""

import pytest
from resiliparse.extract.html2text import extract_plain_text

from benchmarks._gold import evaluate, load, mean, score
from llm_assets.stages.extract.html import parse_html

# Measured: .984 on the half that rules were made on, .942 on the other; trafilatura 2.3.1 has .903 and .861.
FLOORS = {"dev": 0.973, "test": 0.932}


def ours(html):
    return parse_html(html, "https://site.example/").text


@pytest.fixture(scope="module", params=FLOORS)
def half(request):
    pages = load(request.param)
    return request.param, pages, evaluate(ours, pages)


def test_f1_holds_its_floor(half):
    name, _, scores = half
    assert mean(scores.values()).f1 >= FLOORS[name]


def test_better_than_plain_resiliparse_on_both_halves(half):
    _, pages, scores = half
    plain = evaluate(lambda html: extract_plain_text(html, main_content=True), pages)
    assert mean(scores.values()).f1 >= mean(plain.values()).f1 + 0.05


def test_hardly_a_page_is_lost(half):
    """One thread of the test half is; on the half that may be looked at, none."""
    name, pages, scores = half
    assert sum(score.recall < 0.8 for score in scores.values()) <= {"dev": 0, "test": 2}[name]
    assert len(pages) == len(scores) >= 37


def test_the_measure_can_fall():
    page = load("dev")[0]
    assert score("", page).f1 == 0
    assert score(page.text, page).f1 == 1
    assert 0.4 < score(page.text[: len(page.text) // 2], page).f1 < 0.9
