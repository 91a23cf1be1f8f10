import pytest

from llm_assets.stages.extract.html import parse_html

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
