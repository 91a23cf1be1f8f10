"""How often a host is asked, and when it is asked no more."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from llm_assets.stages.crawl import http as client
from llm_assets.stages.crawl.address import Addresses
from llm_assets.stages.crawl.host import Host
from llm_assets.stages.crawl.site.traps import trap
from tests.support.loopback import HOST, Loopback, config, crawl, http, page

ROOT = f"http://{HOST}"
PUBLIC = "93.184.216.34"


@pytest.mark.parametrize(
    ("delay", "took", "pause"),
    [(1.0, 0.0, 1.0), (1.0, 0.3, 1.5), (2.0, 0.3, 2.0), (1.0, 60.0, 100.0), (200.0, 60.0, 200.0), (0.0, 60.0, 0.0)],
    ids=["floor", "five times the fetch", "Crawl-delay is longer", "cut", "Crawl-delay above the cut", "no pause"],
)
def test_the_pause_is_the_longest_of_three(delay, took, pause):
    async def go() -> float:
        host = Host(ROOT, delay, 5.0, 100.0)
        now = asyncio.get_running_loop().time()
        host.rest(took)
        return max(0.0, host.next_at - now)

    assert asyncio.run(go()) == pytest.approx(pause, abs=0.2)


def test_each_fetch_counts_for_the_next_pause(tmp_path, monkeypatch):
    """Pages, robots.txt and sitemaps: after each its host rests for as long as it took, times the factor."""
    rested = []
    monkeypatch.setattr(Host, "rest", lambda self, seconds: rested.append(seconds))
    replies = {"/robots.txt": http(f"Sitemap: {ROOT}/s.xml\n".encode()), "/": http(page("/a")), "/a": http(page())}
    _, site = crawl(replies, tmp_path, settings=config(limits={"delay_seconds": 0.001}))
    assert len(rested) == len(site.targets) == 6
    assert all(seconds > 0 for seconds in rested)


def test_a_host_that_asks_for_very_long_pauses_is_left_out(tmp_path):
    replies = {"/robots.txt": http(b"User-agent: *\nCrawl-delay: 3600\n"), "/": http(page())}
    done, site = crawl(replies, tmp_path, settings=config(limits={"delay_seconds": 0.001}))
    assert done.fates() == {f"{ROOT}/": "crawl_delay"}
    assert done.books._ledger[0][6:8] == (3600.0, 60.0)
    assert site.targets == ["/robots.txt"]


def test_a_host_that_wants_to_be_left_alone_is(tmp_path):
    """429 with a long Retry-After: what waits in the queue is not asked for."""
    replies = {"/": http(page(*(f"/{n}" for n in range(9)))), "/0": http(b"", "429 Slow", Retry_After="3600")}
    replies |= {f"/{n}": http(page()) for n in range(1, 9)}
    done, site = crawl(replies, tmp_path, settings=config(limits={"delay_seconds": 0.001}))
    fates = done.fates()
    assert (fates[f"{ROOT}/"], fates[f"{ROOT}/0"]) == ("kept", "status")
    assert {fates[f"{ROOT}/{n}"] for n in range(1, 9)} == {"host_busy"}
    assert "/1" not in site.targets


def test_a_host_that_fails_again_and_again_is_given_up(tmp_path):
    replies = {"/": http(page(*(f"/{n}" for n in range(9)))), "/2": http(page())}
    replies |= {f"/{n}": b"garbage\r\n\r\n" for n in range(9) if n != 2}
    settings = config(limits={"delay_seconds": 0.001, "max_failures_in_row": 3})
    done, site = crawl(replies, tmp_path, settings=settings)
    assert [done.fates()[f"{ROOT}/{n}"] for n in range(9)] == [
        "protocol", "protocol", "kept", "protocol", "protocol", "protocol", "host_failing", "host_failing", "host_failing",
    ]  # fmt: skip
    assert "/6" not in site.targets


def test_pages_of_one_host_have_a_limit(tmp_path):
    replies = {"/": http(page(*(f"/{n}" for n in range(9))))} | {f"/{n}": http(page(text=str(n))) for n in range(9)}
    done, site = crawl(replies, tmp_path, settings=config(limits={"max_pages_per_host": 4}))
    assert sum(rule == "max_pages_per_host" for rule in done.fates().values()) == 6
    assert len([target for target in site.targets if target[1:].isdigit()]) == 3


def test_ai_txt_is_honoured_and_recorded(tmp_path):
    replies = {
        "/ai.txt": http(b"User-Agent: *\nDisallow: *.png\nDisallow: /art/\n", Content_Type="text/plain"),
        "/": http(page("/a.png", "/art/1", "/free")),
        "/a.png": http(b"\x89PNG", Content_Type="image/png"),
        "/art/1": http(page(text="art")),
        "/free": http(page(text="free")),
    }
    done, site = crawl(replies, tmp_path / "one")
    fates = {url.removeprefix(ROOT): rule for url, rule in done.fates().items()}
    assert fates == {"/": "kept", "/a.png": "optout_ai_txt", "/art/1": "optout_ai_txt", "/free": "kept"}
    assert not {"/a.png", "/art/1"} & set(site.targets)
    done, _ = crawl(replies, tmp_path / "two", settings=config(honour_ai_txt=False))
    flagged = {row["url"].removeprefix(ROOT) for row in done.books.index if row["optout_ai_txt"]}
    assert flagged == {"/a.png", "/art/1"}
    assert done.report.counts["flagged_optout_ai_txt"] == 2


def test_a_header_lifts_what_the_site_reserves(tmp_path):
    replies = {
        "/.well-known/tdmrep.json": http(b'[{"location": "/", "tdm-reservation": 1}]'),
        "/": http(page("/lifted", "/again"), TDM_Reservation="0"),
        "/lifted": http(page(text="1"), TDM_Reservation="0"),
        "/again": http(page(text="2", head='<meta name="tdm-reservation" content="1">'), TDM_Reservation="0"),
    }
    done, _ = crawl(replies, tmp_path)
    assert [done.fates()[f"{ROOT}{path}"] for path in ("/", "/lifted", "/again")] == ["kept", "kept", "optout_tdm"]


@pytest.mark.parametrize("where", ["page", "robots.txt", "sitemap", "tdmrep", "ai.txt"])
def test_no_connection_is_opened_to_the_inside_on_any_hop(tmp_path, monkeypatch, where):
    """B06: literals in several spellings, and names that resolve inside, at once or the second time they are looked up."""
    looked_up: dict[str, int] = {}
    opened: list[str] = []
    connect = asyncio.open_connection

    async def resolver(host: str, port: int) -> list[str]:
        looked_up[host] = looked_up.get(host, 0) + 1
        if host == "two-faced.example":
            return [PUBLIC, "127.0.0.1"]
        return [PUBLIC] if looked_up[host] == 1 else ["10.0.0.1"]

    async def watched(address: str, port: int, **more):
        opened.append(address)
        if address == PUBLIC:
            raise OSError("nobody there")
        return await connect(address, port, **more)

    monkeypatch.setattr(client.asyncio, "open_connection", watched)
    inside = [
        "http://169.254.169.254/x",
        "http://[::ffff:10.0.0.1]/x",
        "http://two-faced.example/x",
        "http://rebinding.example/x",
    ]
    inside += ["http://0x7f.1/x", "http://rebinding.example/y"]
    spots = {
        "page": [f"/to{n}" for n in range(len(inside))],
        "robots.txt": ["/robots.txt"],
        "sitemap": [f"/s{n}.xml" for n in range(len(inside))],
        "tdmrep": ["/.well-known/tdmrep.json"],
        "ai.txt": ["/ai.txt"],
    }[where]
    sitemaps = "".join(f"Sitemap: {ROOT}/s{n}.xml\n" for n in range(len(inside)))
    replies = {"/robots.txt": http(sitemaps.encode()), "/": http(page(*(f"/to{n}" for n in range(len(inside)))))}
    for number, target in enumerate(inside):
        hops = [http(b"", "302 Found", Location=target) for target in inside[number:] + inside[:number]]
        crawl(
            replies | dict(zip(spots, hops, strict=False)),
            tmp_path / str(number),
            seeds=(f"{ROOT}/", *inside),
            addresses=lambda port: Addresses(pinned={HOST: ("127.0.0.1", port)}, resolver=resolver),
        )
    assert set(opened) <= {"127.0.0.1", PUBLIC}  # the loopback address is the pinned site's own
    assert "10.0.0.1" not in opened


def test_a_host_allowed_by_name_may_be_private(tmp_path):
    site = Loopback({"/": http(page(text="ours"))})

    async def resolver(host: str, port: int) -> list[str]:
        return ["127.0.0.1"]

    async def go(allowed: list[str]) -> str:
        async with site.running() as port:
            found = client.Client(Addresses(allowed, resolver=resolver), "a/1", 5, 10_000)
            answer = await found.get(f"http://intranet.example:{port}/")
            await found.close()
            return answer.failure

    assert asyncio.run(go(["intranet.example"])) == ""
    assert asyncio.run(go(["other.example"])) == "address"
    assert len(site.asked) == 1


CRAWL_BOMBS = """
import resource, sys
from pathlib import Path
from llm_assets.stages.crawl.site.traps import trap
from tests.support.loopback import config, crawl, http, page
folder, names = Path(sys.argv[1]), sys.argv[2:]
settings = config(limits={"max_payload_bytes": 1_000_000})
plain = {"/": http(page("/next")), "/next": http(page(text="words " * 100_000))}
crawl(plain, folder / "plain", settings=settings)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
replies = {"/": http(page(*(f"/{name}" for name in names), "/next")), "/next": http(page())}
replies |= {f"/{name}": http((folder / name).read_bytes(), Content_Encoding=name) for name in names}
done, _ = crawl(replies, folder / "bombs", settings=settings)
for row in done.books._ledger:
    print(row[3].rpartition("/")[2] or "root", row[5], row[6])
print("grown", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_bombs_of_every_encoding_stop_at_the_limit_in_little_memory(tmp_path):
    """B07: at most 10 % past the decoded limit, the next URL is fetched, and memory does not follow the bomb."""
    for name in ("gzip", "deflate", "br", "zstd"):
        bomb = trap(f"bomb-{name}", "").body
        assert len(bomb) < 60_000
        (tmp_path / name).write_bytes(bomb)
    command = [sys.executable, "-c", CRAWL_BOMBS, str(tmp_path), "gzip", "deflate", "br", "zstd"]
    done = subprocess.run(command, cwd=Path(__file__).parents[3], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    said = {line.split()[0]: line.split()[1:] for line in done.stdout.splitlines()}
    for name in ("gzip", "deflate", "br", "zstd"):
        assert said[name][0] == "too_large"
        assert float(said[name][1]) <= 1_100_000
    assert said["next"][0] == "kept"
    assert int(said["grown"][0]) < 20_000  # KiB; one bomb alone would be 48,828
