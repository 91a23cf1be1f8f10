"""The local site: the same bytes every time, and everything that makes a real crawl hard."""

import asyncio
import errno
import io
import json
import re
import socket
import subprocess
import sys

import pytest
from PIL import Image

from llm_assets.core import embedded
from llm_assets.core.embedded import Article
from llm_assets.core.errors import InputError
from llm_assets.stages.crawl.decode import decode
from llm_assets.stages.crawl.links import page_links, sitemap_locations
from llm_assets.stages.crawl.site.images import image, kind_of
from llm_assets.stages.crawl.site.launch import serving
from llm_assets.stages.crawl.site.pages import RESERVED, Site
from llm_assets.stages.crawl.site.plan import HOSTS, MIRROR, PRESS, WIKI, Plan, draw
from llm_assets.stages.crawl.site.server import serve
from llm_assets.stages.crawl.site.traps import ADDRESSES, BOMB_BYTES
from tests.support.loopback import small_site

BOTH = {"accept-encoding": "gzip, deflate, br, zstd"}
TEXT = "The first sentence stands here. A second one follows it. Then comes a third with {n} words. And the fourth ends it."


def articles(count: int = 60) -> list[Article]:
    topics = ("History", "Physics & more")
    made = [
        Article(f"Title {n}", f"title-{n}", TEXT.format(n=n), f"Description {n}", topics[n % 2], "en") for n in range(count)
    ]
    return [*made, Article("Été <1>", "ete-1", "L'été est une saison.\nIl fait chaud.", "", "Sciences", "fr")]


def site(snapshot: int = 1, **over) -> Site:
    chosen = {"articles": {"en": 60, "fr": 5, "xx": 3}, **over}
    return Site(Plan.of(small_site(**chosen), snapshot, articles()))


def html(of: Site, host: str, target: str) -> str:
    reply = of.answer(host, target, {})
    assert reply.status == 200, (host, target, reply.status)
    return reply.body.decode(re.search(r"charset=([\w-]+)", reply.content_type + reply.body.decode("latin-1")).group(1))


def everything(of: Site) -> dict[tuple[str, str], bytes]:
    """Every page reachable by links from the three hosts, traps left out."""
    waiting = [f"http://{host}/" for host in HOSTS]
    found: dict[tuple[str, str], bytes] = {}
    while waiting:
        _, _, host, *rest = waiting.pop().split("/", 3)
        target = "/" + "/".join(rest)
        if host not in HOSTS or (host, target) in found or "/trap/" in target:
            continue
        reply = of.answer(host, target, {})
        found[host, target] = reply.body
        if reply.status == 200 and reply.content_type.startswith("text/html"):
            waiting += [url for url, _ in page_links(reply.body, f"http://{host}{target}")]
    return found


def test_the_same_bytes_on_every_machine():
    assert everything(site()) == everything(site())
    assert everything(site()) != everything(site(key="another"))
    assert draw("key", "a", "b") != draw("key", "ab")


def test_every_article_is_linked_and_in_the_sitemap():
    of = site()
    reached = {target for host, target in everything(of) if host == WIKI and "/wiki/" in target}
    shown = {f"/{a.lang}/wiki/{a.slug}" for a in of.plan.articles}
    assert shown <= reached
    index, is_index = sitemap_locations(of.answer(WIKI, "/sitemap.xml", {}).body)
    assert is_index
    listed = [
        url for part in index for url in sitemap_locations(of.answer(WIKI, part.removeprefix(f"http://{WIKI}"), {}).body)[0]
    ]
    traps = [f"http://{WIKI}{address}" for address in ADDRESSES]
    assert sorted(listed) == sorted([*traps, *(f"http://{WIKI}{path}" for path in shown)])
    assert site(hostile=False).answer(WIKI, "/sitemap-traps.xml", {}).status == 404
    assert (
        of.answer(WIKI, "/sitemap-en-9.xml", {}).body.count(b"<loc>")
        == of.answer(WIKI, "/sitemap-fr-9.xml", {}).body.count(b"<loc>")
        == 0
    )
    assert of.answer(WIKI, "/sitemap-de-1.xml", {}).status == 404


def test_an_article_page_says_what_it_is_and_never_shows_its_description():
    of = site(broken_share=0)
    article = next(a for a in of.plan.articles if a.lang == "en" and a.topic == "Physics & more")
    text = html(of, WIKI, f"/en/wiki/{article.slug}")
    assert '<html lang="en">' in text
    assert f"<title>{article.title} - The Open Reader</title>" in text
    assert f'<meta name="description" content="{article.description}">' in text
    assert '<meta property="article:section" content="Physics &amp; more">' in text
    assert f'<link rel="canonical" href="http://{WIKI}/en/wiki/{article.slug}">' in text
    assert f'<a rel="license" href="{embedded.license_url()}">' in text
    assert text.count(article.description) == 1  # in the head alone: a model that is asked for it must not read it
    assert article.text in text
    assert "cookies" in text
    french = html(of, WIKI, "/fr/wiki/ete-1")
    assert "<h1>Été &lt;1&gt;</h1>" in french
    assert 'name="description"' not in french
    assert "<p>L'été est une saison.</p>\n<p>Il fait chaud.</p>" in french


def test_the_later_snapshot_changes_what_it_says_and_nothing_else():
    first, later = site(1), site(2)
    old = {a.slug for a in first.plan.articles}
    new = {a.slug for a in later.plan.articles}
    assert new - old, "some are new"
    assert old - new, "some have vanished"
    changed = set()
    for article in first.plan.articles:
        path = f"/{article.lang}/wiki/{article.slug}"
        before, after = first.answer(WIKI, path, {}), later.answer(WIKI, path, {})
        if article.slug not in new:
            assert after.status == 404
        elif before.body != after.body:
            changed.add(article.slug)
            assert before.headers["Last-Modified"] != after.headers["Last-Modified"]
        else:
            assert before.headers == after.headers
    assert changed == {a.slug for a in first.plan.articles if first.plan.is_changed(a) and a.slug in new}
    assert changed


def test_unchanged_pages_answer_304():
    of = site()
    path = f"/en/wiki/{of.plan.articles[0].slug}"
    headers = of.answer(WIKI, path, {}).headers
    assert of.answer(WIKI, path, {"if-none-match": headers["ETag"]}).status == 304
    assert of.answer(WIKI, path, {"if-none-match": 'W/"0"', "if-modified-since": headers["Last-Modified"]}).status == 200
    assert of.answer(WIKI, path, {"if-modified-since": headers["Last-Modified"]}).status == 304
    assert of.answer(WIKI, "/error/500", {"if-none-match": "x"}).status == 500


def test_mirrors_are_word_for_word_and_copies_nearly():
    of = site(mirror_share=1, near_copy_share=1)
    article = of.plan.articles[0]
    mirror = of.answer(MIRROR, f"/{article.lang}/{article.slug}.html", {})
    assert article.text in mirror.body.decode("iso-8859-1")
    assert b"charset=iso-8859-1" in mirror.body
    assert "charset" not in mirror.content_type
    french = of.answer(MIRROR, "/fr/ete-1.html", {}).body
    assert "L'été".encode("iso-8859-1") in french
    copy = html(of, PRESS, f"/news/{article.lang}-{article.slug}")
    assert article.text not in copy
    same = sum(word in copy for word in article.text.split())
    assert same / len(article.text.split()) > 0.9
    assert of.answer(MIRROR, "/robots.txt", {}).body.startswith(b"\xef\xbb\xbf")
    assert of.answer(MIRROR, "/en/nothing.html", {}).status == of.answer(PRESS, "/news/en-nothing", {}).status == 404


def test_pages_travel_encoded_if_the_visitor_takes_it():
    of = site(encoded_share=1)
    seen = set()
    for article in of.plan.articles:
        path = f"/{article.lang}/wiki/{article.slug}"
        reply = of.answer(WIKI, path, BOTH)
        seen.add(reply.headers["Content-Encoding"])
        assert decode(reply.body, reply.headers["Content-Encoding"], 1_000_000) == of.answer(WIKI, path, {}).body
    assert seen == {"gzip", "deflate", "br", "zstd"}
    assert of.answer(WIKI, path, {"accept-encoding": "gzip"}).headers["Content-Encoding"] == "gzip"


def test_broken_pages_keep_their_text():
    of, whole = site(broken_share=1), site(broken_share=0)
    for article in of.plan.articles:
        path = f"/{article.lang}/wiki/{article.slug}"
        text = html(of, WIKI, path)
        assert text != html(whole, WIKI, path)
        assert article.text.split("\n")[0] in text


def test_opt_outs_of_each_kind():
    of = site()
    slug = next(iter(of.reserved))
    replies = {kind: of.answer(PRESS, f"/reserved/{kind}/{slug}", {}) for kind in RESERVED}
    assert b'content="noai, noimageai"' in replies["noai-meta"].body
    assert replies["noai-header"].headers["X-Robots-Tag"] == "noai"
    assert replies["tdm-header"].headers["TDM-Reservation"] == "1"
    assert "gptbot: noimageai" in replies["noai-agent"].headers["X-Robots-Tag"]
    assert of.answer(PRESS, f"/reserved/tdm-lifted/{slug}", {}).headers["TDM-Reservation"] == "0"
    assert b"Disallow: /reserved/ai-txt/" in of.answer(PRESS, "/ai.txt", {}).body
    assert b'name="tdm-reservation"' in replies["tdm-meta"].body
    assert json.loads(of.answer(PRESS, "/.well-known/tdmrep.json", {}).body)[0]["location"] == "/reserved/tdm-site/*"
    assert of.answer(WIKI, f"/members/{slug}", {}).status == 200
    assert of.answer(PRESS, f"/reserved/else/{slug}", {}).status == 404


def test_odd_addresses():
    of = site()
    assert of.answer(WIKI, "/old/title-1", {}).headers["Location"] == "/en/wiki/title-1"
    assert [of.answer(WIKI, f"/error/{code}", {}).status for code in (403, 404, 500)] == [403, 404, 500]
    busy = of.answer(WIKI, "/busy", {})
    assert (busy.status, busy.headers["Retry-After"]) == (503, "0")
    assert of.answer(WIKI, "/busy", {}).status == 200
    for path in ("/xx/", "/en/nothing", "/en/topic/history/99", "/en/topic/none/", "/a/b/c/d", "/trap/none"):
        assert of.answer(WIKI, path, {}).status == 404, path
    assert of.answer(WIKI, "/trap/internal", {}).headers["Location"].startswith("http://169.254.169.254")
    assert of.answer(WIKI, "/trap/calendar?month=4", {}).body.count(b"month=5") == 1
    assert site(hostile=False).answer(WIKI, "/trap/bomb-gzip", {}).status == 404
    assert "casino" in html(of, PRESS, "/deals/1")
    assert of.answer(PRESS, "/deals/x", {}).status == 404


def test_bombs_are_small_on_the_wire():
    for encoding in ("gzip", "deflate", "br", "zstd"):
        reply = site().answer(WIKI, f"/trap/bomb-{encoding}", {})
        assert len(reply.body) < 60_000
        assert len(decode(reply.body, reply.headers["Content-Encoding"], BOMB_BYTES)) == BOMB_BYTES


def test_images_of_each_kind():
    kinds: dict[str, tuple[bytes, str]] = {}
    for number in range(200):
        kinds.setdefault(kind_of("key", f"{number}"), image("key", f"{number}"))
    assert set(kinds) == {"plain", "rotated", "bordered", "tiny", "broken"}
    data, media_type = kinds["rotated"]
    assert media_type == "image/jpeg"
    with Image.open(io.BytesIO(data)) as rotated:
        assert rotated.getexif()[0x0112] == 6
        assert rotated.height > rotated.width  # it is a landscape that was turned
    with Image.open(io.BytesIO(kinds["bordered"][0])) as bordered:
        assert min(bordered.convert("RGB").getpixel((3, 3))) > 240
    with Image.open(io.BytesIO(kinds["tiny"][0])) as tiny:
        assert tiny.size == (12, 9)
    with pytest.raises((OSError, SyntaxError)), Image.open(io.BytesIO(kinds["broken"][0])) as broken:
        broken.load()
    assert image("key", "7") == image("key", "7")


def test_an_article_with_an_image_shows_it():
    of = site(image_share=1, broken_share=0)
    text = html(of, WIKI, "/en/wiki/title-2") if ("en", "title-2") in of.articles else html(of, WIKI, "/en/wiki/title-3")
    path = re.search(r'<img src="(/media/[^"]+)" alt="Title', text).group(1)
    reply = of.answer(WIKI, path, {})
    assert reply.content_type in ("image/png", "image/jpeg")
    assert "ETag" in reply.headers


def test_no_articles_is_a_sentence():
    with pytest.raises(InputError, match=r"raw_crawl\.site\.articles asks for xx"):
        Site(Plan.of(small_site(articles={"xx": 3}), 1, articles()))


def test_the_server_keeps_connections_and_minds_its_manners():
    async def go() -> bytes:
        server = await serve(site(encoded_share=0))
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        requests = [
            f"GET /robots.txt HTTP/1.1\r\nHost: {PRESS}\r\n\r\n",
            f"HEAD /robots.txt HTTP/1.1\r\nHost: {PRESS}:80\r\n\r\n",
            "POST / HTTP/1.1\r\n\r\n",
            "GET /trap/short HTTP/1.1\r\nConnection: close\r\n\r\n",
        ]
        writer.write("".join(requests).encode())
        data = await reader.read()
        writer.close()
        server.close()
        return data

    data = asyncio.run(go())
    assert data.count(b"HTTP/1.1 200 OK") == 3
    assert data.count(b"Disallow: /ads/") == 1
    assert b"405 Method Not Allowed" in data
    assert data.endswith(b"too ear")
    assert b"Content-Length: 100000" in data


def test_a_client_that_never_ends_its_request_is_cut_off():
    async def go() -> bytes:
        server = await serve(site())
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(b"GET /" + b"x" * 70_000)
        data = await reader.read()
        writer.close()
        server.close()
        return data

    assert asyncio.run(go()) == b""


def test_a_process_of_its_own_that_ends_with_its_parent():
    with serving(small_site(), 1) as served:
        assert served.articles > 40
        with socket.create_connection(("127.0.0.1", served.port)) as visitor:
            visitor.sendall(b"GET /robots.txt HTTP/1.1\r\nHost: wiki.example\r\nConnection: close\r\n\r\n")
            assert b"Sitemap:" in b"".join(iter(lambda: visitor.recv(65_536), b""))
    with pytest.raises(OSError) as caught:
        socket.create_connection(("127.0.0.1", served.port)).close()
    assert caught.value.errno == errno.ECONNREFUSED


def test_a_site_that_cannot_start_says_why():
    with pytest.raises(InputError, match=r"could not start: .*asks for xx"), serving(small_site(articles={"xx": 1}), 1):
        pass


def test_a_taken_port_is_one_sentence():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        command = [sys.executable, "-m", "llm_assets.stages.crawl.site", "--port", str(port)]
        done = subprocess.run(
            [*command, "--config", small_site().model_dump_json()], capture_output=True, text=True, check=False
        )
    assert done.returncode == 1
    assert done.stderr.strip() == f"port {port} is taken; choose another with --port, or 0 for a free one"
