"""The HTTP client against servers that behave and servers that don't."""

import asyncio
import contextlib
import gzip
import socket

import pytest

from llm_assets.stages.crawl.address import Addresses
from llm_assets.stages.crawl.http import Answer, Client, Pace, ProtocolError, parse_head
from llm_assets.stages.crawl.site.pages import Site
from llm_assets.stages.crawl.site.plan import WIKI, Plan
from llm_assets.stages.crawl.site.server import serve
from tests.support.loopback import HOST, Loopback, http, small_site

LIMIT = 10_000


def get(replies, *targets: str, timeout: float = 5.0) -> tuple[list[Answer], Loopback]:
    site = Loopback(replies)

    async def go() -> list[Answer]:
        async with site.running() as port:
            client = Client(Addresses(pinned={HOST: ("127.0.0.1", port)}), "agent/1", timeout, LIMIT)
            answers = [await client.get(f"http://{HOST}{target}") for target in targets]
            await client.close()
            return answers

    return asyncio.run(go()), site


def one(raw: bytes, timeout: float = 5.0) -> Answer:
    return get({"/": raw}, "/", timeout=timeout)[0][0]


def chunked(*parts: bytes, end: bytes = b"0\r\n\r\n") -> bytes:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\n"
    return head + b"".join(b"%x;ext=1\r\n%s\r\n" % (len(part), part) for part in parts) + end


def test_a_plain_reply_with_its_head_as_received():
    answer = one(http(b"<p>hi</p>", ETag='"a"', X_Twice="1"))
    assert (answer.status, answer.payload, answer.failure) == (200, b"<p>hi</p>", "")
    assert answer.head.startswith(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n")
    assert answer.headers["etag"] == '"a"'
    assert answer.address == "127.0.0.1"


def test_connections_are_reused_and_replaced_when_closed():
    kept, closed = http(b"kept"), http(b"closed", Connection="close")
    answers, site = get({"/a": kept, "/b": closed}, "/a", "/b", "/a", "/a")
    assert [a.payload for a in answers] == [b"kept", b"closed", b"kept", b"kept"]
    assert site.asked[0][1]["host"] == HOST
    assert site.asked[0][1]["user-agent"] == "agent/1"


def test_chunks_with_extensions_and_trailers():
    assert one(chunked(b"ab", b"c" * 300, end=b"0\r\nTrailer: x\r\n\r\n")).payload == b"ab" + b"c" * 300


def test_a_body_to_the_end_of_the_connection():
    raw = b"HTTP/1.0 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\n\r\nall of it"
    assert one(raw).payload == b"all of it"


def test_interim_answers_are_passed_over():
    assert one(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + http(b"real")).payload == b"real"


def test_gzip_is_decoded_and_its_bomb_cut():
    """B07: the limit counts decoded bytes, and the next URL is fetched still."""
    packed = gzip.compress(bytes(50_000_000))[:LIMIT]
    assert len(gzip.compress(bytes(3_000_000))) < LIMIT
    replies = {
        "/ok": http(gzip.compress(b"<p>x</p>"), Content_Encoding="gzip"),
        "/bomb": http(gzip.compress(bytes(3_000_000)), Content_Encoding="gzip"),
        "/cut": http(packed[:5_000], Content_Encoding="gzip"),
        "/odd": http(b"x", Content_Encoding="lzma"),
    }
    (ok, bomb, cut, odd, again), _ = get(replies, "/ok", "/bomb", "/cut", "/odd", "/ok")
    assert ok.payload == again.payload == b"<p>x</p>"
    assert (bomb.failure, len(bomb.payload)) == ("too_large", LIMIT)
    assert (cut.failure, odd.failure) == ("too_large", "encoding")


def hostile(name: str, pace: Pace = Pace(100, 0.2), timeout: float = 10.0) -> Answer:  # noqa: B008 - frozen
    """What a visitor gets from one of the local site's traps, and that the next page is there still."""

    async def go() -> Answer:
        plan = Plan.of(small_site(articles={"en": 1}), 1)
        server = await serve(Site(plan))
        address = server.sockets[0].getsockname()
        client = Client(Addresses(pinned={WIKI: address}), "agent/1", timeout, 4_000_000, pace=pace)
        answer = await client.get(f"http://{WIKI}/trap/{name}")
        assert (await client.get(f"http://{WIKI}/robots.txt")).status == 200
        await client.close()
        server.close()
        return answer

    return asyncio.run(go())


def test_a_body_that_drips_is_given_up_long_before_the_time_limit():
    answer = hostile("drip")
    assert (answer.failure, answer.detail) == ("timeout", "after 0.2 s fewer than 100 bytes a second")
    assert hostile("drip", Pace(), 0.3).detail == "no whole answer within 0.3 s"


def test_headers_without_end_and_lengths_without_body():
    assert (hostile("headers").failure, hostile("length").failure) == ("protocol", "too_large")
    assert "1000000000000" in hostile("length").detail


def test_a_slow_body_that_keeps_the_pace_is_read_to_its_end():
    async def go() -> Answer:
        ended = asyncio.Event()

        async def slowly(reader, writer):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n")
            for _ in range(9):
                await asyncio.sleep(0.02)
                writer.write(bytes(100))
            writer.close()
            ended.set()

        server = await asyncio.start_server(slowly, "127.0.0.1", 0)
        client = Client(Addresses(pinned={HOST: server.sockets[0].getsockname()}), "a/1", 5, LIMIT, pace=Pace(100, 0.1))
        answer = await client.get(f"http://{HOST}/")
        await ended.wait()
        await client.close()
        server.close()
        return answer

    answer = asyncio.run(go())
    assert (answer.failure, len(answer.payload)) == ("", 900)
    assert answer.seconds > 0


@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/1.1 100 Continue\r\n\r\n" * 50 + http(b"late"),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1;" + b"e" * 70_000 + b"\r\n",
        chunked(*[b"x"] * 5, end=b"0\r\n" + b"Trailer: again and again\r\n" * 60_000),
    ],
    ids=["interim answers", "an extension without end", "trailers without end"],
)
def test_what_has_no_end_ends(raw):
    assert one(raw + b"Connection: close").failure in ("protocol", "truncated")


def test_of_a_file_that_may_be_cut_the_beginning_is_read():
    """RFC 9309, 2.5: the part of a robots.txt that was read counts, also where its length was stated."""
    site = Loopback({"/": http(b"x" * 900)})

    async def go() -> Answer:
        async with site.running() as port:
            client = Client(Addresses(pinned={HOST: ("127.0.0.1", port)}), "a/1", 5, 100)
            answer = await client.get(f"http://{HOST}/", max_bytes=500)
            await client.close()
            return answer

    answer = asyncio.run(go())
    assert (answer.failure, answer.payload[:500]) == ("too_large", b"x" * 500)


@pytest.mark.parametrize(
    "raw",
    [
        http(b"x" * (LIMIT + 1)),
        chunked(b"x" * LIMIT, b"y"),
        chunked(b"x" * (LIMIT * 9)),
        b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + b"x" * (LIMIT * 20),
    ],
    ids=["length", "chunks", "one chunk", "to the end"],
)
def test_large_bodies_stop_just_past_the_limit(raw):
    answer = one(raw)
    assert answer.failure == "too_large"
    assert answer.wire_bytes <= LIMIT + 65_536


@pytest.mark.parametrize(
    ("raw", "failure"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\nConnection: close\r\n\r\nshort", "truncated"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n64\r\nshort", "truncated"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nshort", "protocol"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\nshort", "protocol"),
        (b"SSH-2.0-OpenSSH\r\n\r\nConnection: close", "protocol"),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 20_000 + b"\r\n", "protocol"),
        (b"Connection: close", "connection"),
    ],
)
def test_what_servers_do_wrong_is_a_failure_and_no_exception(raw, failure):
    assert one(raw).failure == failure


def test_a_server_that_says_nothing_times_out():
    assert one(b"", timeout=0.05).failure == "timeout"


def test_nobody_listens_and_forbidden_addresses():
    with contextlib.closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]

        async def go() -> list[str]:
            client = Client(Addresses(allowed=["127.0.0.1"]), "a/1", 5, LIMIT)
            closed = Client(Addresses(), "a/1", 5, LIMIT)
            return [(await c.get(f"http://127.0.0.1:{port}/")).failure for c in (client, closed)]

        assert asyncio.run(go()) == ["connection", "address"]


def test_a_secure_address_is_spoken_to_in_tls():
    """The loopback server speaks no TLS, so the handshake fails; nothing is sent in the clear."""
    site = Loopback({"/": http(b"secret")})

    async def go() -> Answer:
        async with site.running() as port:
            return await Client(Addresses(pinned={HOST: ("127.0.0.1", port)}), "a/1", 0.2, LIMIT).get(f"https://{HOST}/")

    assert asyncio.run(go()).failure in ("connection", "timeout")
    assert site.asked == []


def test_heads_in_whatever_state():
    status, headers = parse_head(b"HTTP/1.1 404\r\nA: 1\r\na: 2\r\nno colon\r\nB:\tx\r\n  folded\r\n: nameless")
    assert (status, headers) == (404, {"a": "1, 2", "b": "x folded"})
    assert parse_head(b"HTTP/1.0 200 OK\nA: 1")[1] == {"a": "1"}
    for bad in (b"", b"HTTP/2 200", b"HTTP/1.1 abc", b"HTTP/1.1 999 x", b"<html>"):
        with pytest.raises(ProtocolError):
            parse_head(bad)
