"""The crawler on loopback sites: what it fetches, what it leaves, and what it writes down of both."""

import gzip
from datetime import UTC, datetime

import polars as pl
import pytest

from llm_assets.core.artefact import Inputs
from llm_assets.core.documents import payload_digest
from llm_assets.core.tombstones import TOMBSTONES, Tombstones
from llm_assets.stages.crawl.address import Addresses
from llm_assets.stages.crawl.crawler import _retry_after
from llm_assets.stages.crawl.earlier import Earlier
from tests.support.loopback import HOST, Loopback, config, crawl, http, page

ROOT = f"http://{HOST}"


def earlier(folder) -> Earlier:
    return Earlier(Inputs.of({"raw_crawl": [folder]}).many("raw_crawl"))


def tombstones(*rows: tuple[str, str]) -> Tombstones:
    return Tombstones.of(pl.DataFrame([(*row, "asked") for row in rows], schema=TOMBSTONES, orient="row"))


def test_links_are_followed_once_and_the_books_agree(tmp_path):
    replies = {
        "/": http(page("/a", "/a#x", "/b?utm_source=1", "/gone", "http://other.example/", "/pic.png", "/doc.pdf")),
        "/a": http(page("/", "/b")),
        "/b?utm_source=1": http(page()),
        "/pic.png": http(b"\x89PNG", Content_Type="image/png"),
        "/doc.pdf": http(b"%PDF", Content_Type="application/pdf"),
    }
    done, site = crawl(replies, tmp_path)
    assert sorted(set(site.targets)) == sorted(site.targets)
    assert done.fates() == {
        f"{ROOT}/": "kept",
        f"{ROOT}/a": "kept",
        f"{ROOT}/b?utm_source=1": "kept",
        f"{ROOT}/gone": "status",
        "http://other.example/": "scope",
        f"{ROOT}/pic.png": "kept",
        f"{ROOT}/doc.pdf": "content_type",
    }
    index = pl.read_parquet(tmp_path / "index.parquet")
    assert sorted(index["kind"]) == ["image", "page", "page", "page"]
    assert done.report.counts["documents_in"] == 7
    assert index.filter(pl.col("kind") == "image")["payload_digest"].item() == payload_digest(b"\x89PNG")


def test_forbidden_paths_are_not_asked_for(tmp_path):
    """B05: zero requests to what robots.txt forbids, through a BOM, a longer rule and a wildcard."""
    robots = b"\xef\xbb\xbfUser-agent: *\nAllow: /\nDisallow: /private\nDisallow: /*.pdf$\n"
    replies = {
        "/robots.txt": http(robots, Content_Type="text/plain"),
        "/": http(page("/private/x", "/a.pdf", "/ok")),
        "/ok": http(),
    }
    done, site = crawl(replies, tmp_path)
    assert not [target for target in site.targets if "private" in target or target.endswith(".pdf")]
    assert done.fates()[f"{ROOT}/private/x"] == done.fates()[f"{ROOT}/a.pdf"] == "robots"
    assert done.fates()[f"{ROOT}/ok"] == "kept"
    assert (tmp_path / "robots" / f"{HOST}.txt").read_bytes() == robots


@pytest.mark.parametrize(
    ("robots", "fate"),
    [
        (http(b"", "500 Oops"), "robots_unavailable"),
        (http(b"", "429 Slow"), "robots_unavailable"),
        (b"garbage\r\n\r\n", "robots_unavailable"),
        (http(b"", "404 None"), "kept"),
        (http(b"", "302 Found", Location="/other-robots"), "robots"),
        (http(b"", "302 Found", Location="/robots.txt"), "kept"),
        (http(b"User-agent: *\nDisallow: /\n" + b"#" * 60_000), "robots"),
    ],
    ids=["500", "429", "no http", "404", "redirect", "redirect loop", "too large: what was read counts"],
)
def test_what_robots_txt_answers(tmp_path, robots, fate):
    replies = {"/robots.txt": robots, "/other-robots": http(b"User-agent: *\nDisallow: /"), "/": http(page())}
    done, site = crawl(replies, tmp_path, settings=config(limits={"max_robots_bytes": 50_000}))
    assert done.fates() == {f"{ROOT}/": fate}
    assert ("/" in site.targets) == (fate == "kept")


def test_redirects_to_the_inside_are_refused(tmp_path):
    """B06: a literal, a mapped literal and a name that resolves to loopback; none gets a byte."""
    inside = Loopback({"/": http(page(text="secret"))})
    targets = ("http://169.254.169.254/latest", "http://[::ffff:10.0.0.1]/", "http://two-faced.example/", "http://127.0.0.1/")
    replies = {"/": http(page(*(f"/to{n}" for n in range(len(targets)))))}
    replies |= {f"/to{n}": http(b"", "302 Found", Location=target) for n, target in enumerate(targets)}

    async def answers(host: str, port: int) -> list[str]:
        return ["93.184.216.34", "127.0.0.1"]

    done, _ = crawl(
        replies,
        tmp_path,
        seeds=(f"{ROOT}/", *targets),
        addresses=lambda port: Addresses(pinned={HOST: ("127.0.0.1", port)}, resolver=answers),
    )
    fates = done.fates()
    assert {
        fates[target] for target in ("http://169.254.169.254/latest", "http://[::ffff:10.0.0.1]/", "http://127.0.0.1/")
    } == {"address"}
    assert inside.asked == []
    assert done.report.counts["kept"] == 1


def test_robots_and_sitemaps_pass_the_same_check(tmp_path):
    """B06: redirects of robots.txt and sitemaps are hops too."""
    robots = f"User-agent: *\nAllow: /\nSitemap: {ROOT}/sitemap.xml\nSitemap: http://169.254.169.254/s.xml\n".encode()
    replies = {
        "/robots.txt": http(robots),
        "/sitemap.xml": http(b"", "301 Moved", Location="http://127.0.0.1:9/sitemap.xml"),
        "/": http(page()),
    }
    done, site = crawl(replies, tmp_path)
    assert done.fates() == {f"{ROOT}/": "kept"}
    assert "/sitemap.xml" in site.targets


def test_sitemaps_plain_packed_and_nested(tmp_path):
    robots = f"User-agent: *\nDisallow: /no\nSitemap: {ROOT}/s.xml\n".encode()
    nested = "".join(f"<loc>{ROOT}/{name}</loc>" for name in ("s1.xml.gz", "s.xml", "bad.gz", "no.xml"))
    urls = f"<urlset><loc>{ROOT}/deep</loc><loc>ftp://x/</loc></urlset>"
    replies = {
        "/robots.txt": http(robots),
        "/s.xml": http(f"<sitemapindex>{nested}</sitemapindex>".encode()),
        "/s1.xml.gz": http(gzip.compress(urls.encode())),
        "/bad.gz": http(gzip.compress(urls.encode())[:20]),
        "/": http(page()),
        "/deep": http(page()),
    }
    done, site = crawl(replies, tmp_path)
    assert done.fates() == {f"{ROOT}/": "kept", f"{ROOT}/deep": "kept"}
    assert "/no.xml" not in site.targets


def test_limits_end_what_has_no_end(tmp_path):
    replies = {"/": http(page("/loop?n=1", "/chain/0", *(f"/cal?day={n}" for n in range(9))))}
    replies |= {f"/loop?n={n}": http(b"", "302 Found", Location=f"/loop?n={n + 1}") for n in range(1, 30)}
    replies |= {f"/chain/{n}": http(page(f"/chain/{n + 1}")) for n in range(30)}
    replies |= {f"/cal?day={n}": http(page(text=str(n))) for n in range(9)}
    settings = config(limits={"max_redirects": 3, "max_depth": 4, "max_queries_per_path": 5})
    done, _ = crawl(replies, tmp_path, settings=settings)
    fates = done.fates()
    assert fates[f"{ROOT}/loop?n=4"] == "redirect_limit"
    assert f"{ROOT}/loop?n=5" not in fates
    assert (fates[f"{ROOT}/chain/3"], fates[f"{ROOT}/chain/4"]) == ("kept", "depth")
    assert sum(fates[f"{ROOT}/cal?day={n}"] == "queries" for n in range(9)) == 4
    again, _ = crawl(replies, tmp_path / "few", settings=config(limits={"max_pages": 3}))
    assert again.requests == 3
    assert "max_pages" in again.fates().values()


def test_oversized_cut_and_undecodable_pages_are_left_out(tmp_path):
    """B07: a bomb is cut at the limit, and the next URL is fetched still."""
    replies = {
        "/": http(page("/bomb", "/short", "/odd", "/next")),
        "/bomb": http(gzip.compress(bytes(50_000_000)), Content_Encoding="gzip"),
        "/short": b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\nConnection: close\r\n\r\nx",
        "/odd": http(b"x", Content_Encoding="secret"),
        "/next": http(page()),
    }
    done, _ = crawl(replies, tmp_path, settings=config(limits={"max_payload_bytes": 1_000_000}))
    assert [done.fates()[f"{ROOT}/{name}"] for name in ("bomb", "short", "odd", "next")] == [
        "too_large",
        "truncated",
        "encoding",
        "kept",
    ]
    row = next(row for row in done.books._ledger if row[5] == "too_large")
    assert row[6:8] == (1_000_000.0, 1_000_000.0)


def test_busy_servers_are_asked_again_with_patience(tmp_path):
    counts = {"/once": 0, "/always": 0, "/later": 0}

    def busy(target: str, times: int, **headers: str):
        def reply(_: dict[str, str]) -> bytes:
            counts[target] += 1
            return http(b"", "503 Busy", **headers) if counts[target] <= times else http(page())

        return reply

    replies = {
        "/": http(page("/once", "/always", "/later")),
        "/once": busy("/once", 1, Retry_After="0"),
        "/always": busy("/always", 99),
        "/later": busy("/later", 99, Retry_After="3600"),
    }
    done, _ = crawl(replies, tmp_path)
    assert counts == {"/once": 2, "/always": 3, "/later": 1}
    assert [done.fates()[f"{ROOT}/{name}"] for name in ("once", "always", "later")] == ["kept", "status", "status"]


def test_retry_after_is_a_number_or_a_date():
    assert _retry_after("7") == 7.0
    assert _retry_after("Wed, 21 Oct 2015 07:28:00 GMT") == 0.0
    assert _retry_after("soon") is None


OPTOUT_REPLIES = {
    "/robots.txt": http(b"User-agent: GPTBot\nDisallow: /members\n"),
    "/.well-known/tdmrep.json": http(b'[{"location": "/reserved/*", "tdm-reservation": 1}]'),
    "/": http(page("/members/1", "/noai", "/meta", "/reserved/1", "/header", "/free")),
    "/members/1": http(page(text="1")),
    "/noai": http(page("/beyond", text="2"), X_Robots_Tag="noai"),
    "/meta": http(page(text="3", head='<meta name="robots" content="noai">')),
    "/reserved/1": http(page(text="4")),
    "/header": http(page(text="5"), TDM_Reservation="1"),
    "/free": http(page(text="6")),
    "/beyond": http(page(text="7")),
}


def test_opt_outs_are_honoured(tmp_path):
    done, site = crawl(OPTOUT_REPLIES, tmp_path)
    fates = {url.removeprefix(ROOT): rule for url, rule in done.fates().items()}
    assert fates == {
        "/": "kept", "/members/1": "optout_robots_ai", "/noai": "optout_noai", "/meta": "optout_noai",
        "/reserved/1": "optout_tdm", "/header": "optout_tdm", "/free": "kept", "/beyond": "kept",
    }  # fmt: skip
    assert "/members/1" not in site.targets


def test_opt_outs_are_recorded_where_the_recipe_does_not_honour_them(tmp_path):
    done, _ = crawl(OPTOUT_REPLIES, tmp_path, settings=config(honour_robots_ai=False, honour_noai=False, honour_tdm=False))
    index = pl.read_parquet(tmp_path / "index.parquet")
    flags = {
        row["url"].removeprefix(ROOT): [name for name in ("robots_ai", "noai", "tdm") if row[f"optout_{name}"]]
        for row in index.iter_rows(named=True)
    }
    assert flags == {
        "/": [], "/members/1": ["robots_ai"], "/noai": ["noai"], "/meta": ["noai"], "/reserved/1": ["tdm"], "/header": ["tdm"],
        "/free": [], "/beyond": [],
    }  # fmt: skip
    assert [done.report.counts[f"flagged_optout_{name}"] for name in ("robots_ai", "noai", "tdm")] == [1, 2, 2]


def test_revisits_by_validator_and_by_digest(tmp_path):
    """Unchanged pages cost a revisit record; what changed or is new is stored; what vanished is noticed."""

    def with_etag(body: bytes, tag: str):
        return lambda asked: (
            http(b"", "304 Not Modified", ETag=tag, Content_Length="")
            if asked.get("if-none-match") == tag
            else http(body, ETag=tag)
        )

    root = page("/same", "/digest", "/changed", "/gone", "/unlinked")
    first = {
        "/": with_etag(root, '"r"'),
        "/same": with_etag(page("/below"), '"s"'),
        "/below": http(page()),
        "/digest": http(page(text="no validators")),
        "/changed": with_etag(page(text="old"), '"1"'),
        "/gone": http(page(text="soon gone")),
        "/unlinked": http(page("/elsewhere", text="unlinked")),
    }
    before, _ = crawl(first, tmp_path / "one")
    second = {
        **first,
        "/": http(page("/same", "/digest", "/changed", "/gone", "/new"), ETag='"r2"'),
        "/changed": with_etag(page(text="new"), '"2"'),
        "/gone": http(b"", "410 Gone"),
        "/new": http(page(text="brand new")),
    }
    done, site = crawl(second, tmp_path / "two", earlier=earlier(tmp_path / "one"))
    index = pl.read_parquet(tmp_path / "two" / "index.parquet")
    kinds = {row["url"].removeprefix(ROOT): (row["record_type"], row["status"]) for row in index.iter_rows(named=True)}
    assert kinds == {
        "/": ("response", 200), "/same": ("revisit", 304), "/below": ("revisit", 200), "/digest": ("revisit", 200),
        "/changed": ("response", 200), "/new": ("response", 200), "/unlinked": ("revisit", 200),
    }  # fmt: skip
    old = {row["url"]: row for row in pl.read_parquet(tmp_path / "one" / "index.parquet").iter_rows(named=True)}
    for row in index.filter(pl.col("record_type") == "revisit").iter_rows(named=True):
        assert row["revisit_of"] == old[row["url"]]["doc_id"] != row["doc_id"]
        assert row["payload_digest"] == old[row["url"]]["payload_digest"]
        assert row["kind"] == "page"
    gone = next(row for row in done.books._ledger if row[3] == f"{ROOT}/gone")
    assert gone[5:10] == ("status", 410, 200, old[f"{ROOT}/gone"]["doc_id"], "vanished")
    assert "/below" in site.targets  # its link stands on a page that came as 304: read from the stored one
    assert done.fates()[f"{ROOT}/unlinked"] == "kept"
    assert f"{ROOT}/elsewhere" in before.fates()
    third, _ = crawl(
        second,
        tmp_path / "three",
        earlier=Earlier(Inputs.of({"raw_crawl": [tmp_path / "two", tmp_path / "one"]}).many("raw_crawl")),
    )
    assert third.report.counts["revisits"] == third.report.counts["kept"]


def test_what_is_buried_is_never_fetched_again(tmp_path):
    replies = {
        "/": http(page("/url", "/content", "http://sub.buried.example/", "/ok")),
        "/url": http(),
        "/content": http(b"bad"),
        "/ok": http(page()),
    }
    buried = tombstones(
        ("url", f"{ROOT}/url"), ("host", "buried.example"), ("sha256", payload_digest(b"bad").removeprefix("sha256:"))
    )
    done, site = crawl(replies, tmp_path, seeds=(f"{ROOT}/", "http://sub.buried.example/"), tombstones=buried)
    assert {url for url, rule in done.fates().items() if rule == "tombstone"} == {
        f"{ROOT}/url",
        f"{ROOT}/content",
        "http://sub.buried.example/",
    }
    assert "/url" not in site.targets


def test_a_seed_with_a_path_keeps_the_crawl_below_it(tmp_path):
    replies = {"/docs/start": http(page("/docs/more", "/blog")), "/docs/more": http(page()), "/blog": http(page())}
    done, _ = crawl(replies, tmp_path, seeds=(f"{ROOT}/docs/start",))
    assert done.fates() == {f"{ROOT}/docs/start": "kept", f"{ROOT}/docs/more": "kept", f"{ROOT}/blog": "scope"}


def test_one_worker_and_a_pause_where_the_recipe_asks_for_one(tmp_path):
    settings = config(limits={"delay_seconds": 0.001, "connections_per_host": 8})
    replies = {
        "/robots.txt": http(b"User-agent: *\nCrawl-delay: 0.002\n"),
        "/": http(page("/a", "/b")),
        "/a": http(page()),
        "/b": http(page()),
    }
    _, site = crawl(replies, tmp_path, settings=settings)
    assert site.targets == ["/robots.txt", "/.well-known/tdmrep.json", "/ai.txt", "/", "/a", "/b"]


def test_a_fault_of_ours_ends_the_crawl_loudly(tmp_path, monkeypatch):
    monkeypatch.setattr("llm_assets.stages.crawl.crawler.page_links", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        crawl({"/": http(page())}, tmp_path)


def test_dates_are_those_of_the_fetch(tmp_path):
    before = datetime.now(UTC)
    crawl({"/": http(page())}, tmp_path)
    moment = pl.read_parquet(tmp_path / "index.parquet")["fetched_at"].item()
    assert before <= moment <= datetime.now(UTC)
